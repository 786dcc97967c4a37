"""What a person, or the dispatcher, does to a whole run: pause, resume, cancel, retry, stop. Removing is in `removal`.

Every move is one compare-and-set on the run, followed by idempotent writes to its jobs: a call that is interrupted is
finished by calling it again, or by the dispatcher (`settle`). A job that was running gets a new fence, so that its
worker can commit nothing more; workers look every second and stop what they lost.
"""

from __future__ import annotations

from nightjar.config.errors import UsageError
from nightjar.jobs.backlog import has_open_jobs
from nightjar.jobs.documents import Run
from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.routing.handing_on import hand_on_waiting
from nightjar.jobs.runs.judging_moves import cancel_judging, may_cancel
from nightjar.jobs.runs.open_jobs import FRESH, change_open, drop_open
from nightjar.jobs.states import RUN_MOVES, TERMINAL_RUNS, WORKING_RUNS, JobKind, JobStatus, RunStatus


async def pause(run: Run, database: Database) -> Run:
    """No job of the run is claimed any more, and what runs stops within seconds. Raises UsageError."""
    moved = await move(run, RunStatus.PAUSED, database, reason="paused")
    await settle(moved, database)
    return moved


async def resume(run: Run, database: Database) -> Run:
    """A paused or stopped run goes on where it was. Raises UsageError."""
    if run.status in (RunStatus.DONE, RunStatus.JUDGING):
        raise UsageError(f"Run {run.name!r} is {run.status}: there is nothing to resume.")
    return await move(run, RunStatus.ACTIVE, database)


async def cancel(run: Run, database: Database, *, reason: str = "cancelled") -> Run:
    """Ends the run for good: what is not done becomes CANCELLED. Raises UsageError.

    Where only verdicts (and similarities) are not there yet, they alone are given up: the run is DONE by the judging
    before, or about to be closed by its replies.
    """
    if await _only_judging(run, database):
        return await cancel_judging(run, reason, database)
    moved = await move(run, RunStatus.CANCELLED, database, reason=reason)
    await settle(moved, database)
    return moved


async def _only_judging(run: Run, database: Database) -> bool:
    if not may_cancel(run) or (run.waves is not None and not run.waves.over):
        return False  # of waves there may be more to come
    if run.status is RunStatus.JUDGING or run.judging.again:
        return True
    if await has_open_jobs(run.id, database, kinds=[JobKind.REPLY]):
        return False
    helping: Row = {"run": run.id, "kind": {"$in": [JobKind.JUDGE, JobKind.EMBED, JobKind.FIDELITY]}}
    return run.judging.under_way is not None or await database.jobs.find_one(helping, {"_id": 1}) is not None


async def stop(run: Run, reason: str, database: Database, *, also: Row | None = None) -> Run:
    """The run ends itself, for example after too many failures; `retry` or `resume` makes it go on.

    `also`: other fields that change with the status.
    """
    moved = await move(run, RunStatus.STOPPED, database, reason=reason, also=also)
    await settle(moved, database)
    return moved


async def give_up_model(run: Run, model: str, reason: str, database: Database) -> None:
    """The run's jobs of a model that wait become DEAD: nobody can serve it. Idempotent; `retry` gives them back.

    Jobs of a policy are its next candidate's, where one is left.
    """
    await hand_on_waiting({"run": run.id, "model": model}, reason, database)
    dead: Row = {"status": JobStatus.DEAD, "reason": {"$literal": reason}, "finished_at": "$$NOW"}
    await change_open(run.id, [JobStatus.PENDING], dead, database, why=_why(run), only={"model": model})


async def retry(run: Run, database: Database, *, reason: str | None = None) -> int:
    """Gives every DEAD job, or those whose reason begins with `reason`, a fresh start; returns how many.

    The turns a job has committed stay. A run that was DONE or STOPPED works again.
    """
    if run.status is RunStatus.CANCELLED:
        raise UsageError(f"Run {run.name!r} was cancelled and cannot work again. Enqueue a new one.")
    run.check_transcripts()
    query: Row = {"run": run.id, "status": JobStatus.DEAD}
    if reason is not None:
        query["$expr"] = {"$eq": [{"$indexOfCP": ["$reason", {"$literal": reason}]}, 0]}
    changed = await database.jobs.update_many(query, [{"$set": FRESH}])
    database.events.say(Moved(kind=EventKind.RUN, run=run.id))
    if changed.modified_count:  # its end of before no longer holds, if it is being judged again
        again: Row = {"_id": run.id, "status": RunStatus.JUDGING}
        await database.runs.update_one(again, {"$set": {"outcome.finished_at": None}})
    current = await Run.get(run.id) or run
    if current.status is RunStatus.STOPPED or (current.status is RunStatus.DONE and changed.modified_count):
        await move(current, RunStatus.ACTIVE, database)
    return changed.modified_count


async def pinned_runs(database: Database) -> frozenset[str]:
    """Ids of the runs that may not go: the baselines of suites, and the runs that schedules are compared with."""
    baselines = {row["run"] async for row in database.raw["baselines"].find({}, {"run": 1})}
    named = [name for name in await database.raw["schedules"].distinct("enqueue.baseline") if name]
    query = {"$or": [{"name": {"$in": named}}, {"_id": {"$in": named}}]}
    return frozenset(baselines | {row["_id"] async for row in database.runs.find(query, {"_id": 1})})


async def move(
    run: Run,
    to: RunStatus,
    database: Database,
    *,
    reason: str | None = None,
    also: Row | None = None,
    same_end: bool = False,
) -> Run:
    """One compare-and-set of a run's status along a legal move; moving to where it already is changes nothing.

    `same_end`: a run that had ended before ends as it did, and whoever was told of that is not told again.

    Raises UsageError where the move is not legal from the status that the database holds.
    """
    legal = [status for status, targets in RUN_MOVES.items() if to in targets]
    change: Row = {"status": to, "status_reason": {"$literal": reason}, **(also or {})}
    change["outcome.finished_at"] = "$$NOW" if to in TERMINAL_RUNS else None
    change["outcome.untold"] = to in (RunStatus.DONE, RunStatus.STOPPED)
    if same_end:
        no_end = {"$eq": [{"$ifNull": ["$outcome.finished_at", None]}, None]}
        change["outcome.untold"] = {"$or": [no_end, "$outcome.untold"]}
        change["outcome.finished_at"] = {"$ifNull": ["$outcome.finished_at", "$$NOW"]}
    if to in WORKING_RUNS:
        change |= {"judging.planned": False, "outcome.verdict": None, "budget_reached": None}
    query: Row = {"_id": run.id, "status": {"$in": legal}}
    if to in WORKING_RUNS:
        query["transcripts_dropped_at"] = None
    await database.runs.update_one(query, [{"$set": change}])
    database.events.say(Moved(kind=EventKind.RUN, run=run.id))
    current = await Run.get(run.id)
    if current is None:
        raise UsageError(f"Run {run.name!r} was removed.")
    if to in WORKING_RUNS:
        current.check_transcripts()
    if current.status is not to:
        raise UsageError(f"Run {run.name!r} is {current.status} and cannot become {to}.")
    return current


async def settle(run: Run, database: Database) -> None:
    """Makes a run's jobs agree with its status: nothing runs in a run that does not work. Idempotent."""
    if run.status is RunStatus.CANCELLED:
        await drop_open(run.id, database, kinds=list(JobKind), why=_why(run))
    elif run.status in (RunStatus.PAUSED, RunStatus.STOPPED):
        waiting: Row = {"status": JobStatus.PENDING, "due_at": "$$NOW"}
        await change_open(run.id, [JobStatus.RUNNING], waiting, database, why=_why(run))


def _why(run: Run) -> str:
    return f"the run was {run.status.lower()}"
