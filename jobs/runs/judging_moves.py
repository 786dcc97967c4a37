"""What becomes of a judging: begun, complete, failed, cancelled. Every step is one compare-and-set on the run.

A judging of a run that is DONE leaves `outcome` and the judging that counts alone until it is complete: given up, it
leaves the run as it was. Where the run was changed meanwhile, or has no earlier end, it is closed by what counts then.
"""

from __future__ import annotations

from nightjar.config.errors import UsageError
from nightjar.jobs.documents import Run
from nightjar.jobs.judgings import Judging, JudgingStatus
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.runs.open_jobs import drop_open
from nightjar.jobs.states import JobKind, RunStatus

_CANCELLABLE = [RunStatus.ACTIVE, RunStatus.PAUSED, RunStatus.JUDGING]


async def begin_judging(run: Run, asked: Judging, database: Database, *, budget: float | None = None) -> Run:
    """A DONE run gets a judging more, and is JUDGING. `budget`: the run's, from now on; None: it stays as it is.

    Raises UsageError where the run was changed by somebody else.
    """
    row = asked.model_dump(mode="python") | {"number": len(run.judging.passes) + 1}
    begun = {"$mergeObjects": [{"$literal": row}, {"begun_at": "$$NOW"}]}
    change: Row = {
        "status": RunStatus.JUDGING,
        "status_reason": None,
        "judging.planned": False,
        "judging.passes": {"$concatArrays": ["$judging.passes", [begun]]},
    }
    if budget is not None:
        change |= {"budget": budget, "budget_reached": None}
    seen = _seen(run) | {"judging.passes": {"$size": len(run.judging.passes)}, "transcripts_dropped_at": None}
    return await _changed(run, seen, [{"$set": change}], database)


async def complete_judging(run: Run, database: Database) -> Run:
    """All that the open judging asked for has ended: its verdicts count from now on."""
    judging = run.judging.under_way
    if judging is None:
        return run
    change = {"$set": {_of(judging, "status"): JudgingStatus.COMPLETE, "judging.shown": judging.number}}
    seen = _seen(run) | {_of(judging, "status"): JudgingStatus.OPEN, "judging.planned": True}
    return await _changed(run, seen, change | _ended_now(judging), database)


async def fail_judging(run: Run, number: int, reason: str, database: Database) -> Run:
    """The judging, or what became of it, is nothing to show; what counted before it does again."""
    judging = run.judging.passes[number - 1]
    before = [one for one in run.judging.passes[: number - 1] if one.status is JudgingStatus.COMPLETE]
    change: Row = {
        _of(judging, "status"): JudgingStatus.FAILED,
        _of(judging, "reason"): reason,
        "judging.shown": before[-1].number if before else None,
    }
    return await _given_up(run, judging, change, database)


async def cancel_judging(run: Run, reason: str, database: Database) -> Run:
    """Nobody wants verdicts of a run any more whose replies are there: its open jobs of judges and similarities go.

    It is DONE then, or about to be closed. Raises UsageError where the run was changed by somebody else.
    """
    judging = run.judging.under_way
    change: Row = {"status": RunStatus.JUDGING, "status_reason": None, "judging.planned": True}
    change |= {"judging.check.planned": True} if run.judging.check is not None else {}
    seen = _seen(run) | {"judging.passes": {"$size": len(run.judging.passes)}}
    if judging is not None:
        change |= {_of(judging, "status"): JudgingStatus.CANCELLING, _of(judging, "reason"): reason}
        seen |= {_of(judging, "status"): judging.status}
    return await finish_cancelling(await _changed(run, seen, {"$set": change}, database), database)


async def finish_cancelling(run: Run, database: Database) -> Run:
    """Drops the open jobs of a judging that was cancelled, or what another call left of them. Idempotent."""
    await drop_open(
        run.id, database, kinds=[JobKind.JUDGE, JobKind.EMBED, JobKind.FIDELITY], why="the judging was cancelled"
    )
    judging = run.judging.under_way
    if judging is None or judging.status is not JudgingStatus.CANCELLING:
        return run
    first = run.judging.shown == judging.number
    change: Row = {_of(judging, "status"): JudgingStatus.CANCELLED, "judging.planned": first}
    change |= {"judging.shown": None} if first else {}
    return await _given_up(run, judging, change, database)


async def _given_up(run: Run, judging: Judging, change: Row, database: Database) -> Run:
    """Ends a judging that is not shown, as it was seen. The run is DONE where its end from before still holds; else it
    goes on and is closed by what counts.
    """
    seen: Row = {"_id": run.id, _of(judging, "status"): judging.status}
    holds: Row = seen | {"status": RunStatus.JUDGING, "outcome.finished_at": {"$ne": None}}
    as_it_was: Row = {"status": RunStatus.DONE, "status_reason": None, "judging.planned": True}
    if not (await database.runs.update_one(holds, {"$set": change | as_it_was} | _ended_now(judging))).matched_count:
        await database.runs.update_one(seen, {"$set": change} | _ended_now(judging))
    return await _now(run)


def may_cancel(run: Run) -> bool:
    """Whether the run is in a state in which its judging alone may be cancelled."""
    return run.status in _CANCELLABLE


def _of(judging: Judging, field: str) -> str:
    return f"judging.passes.{judging.number - 1}.{field}"


def _ended_now(judging: Judging) -> Row:
    return {"$currentDate": {_of(judging, "ended_at"): True}}


def _seen(run: Run) -> Row:
    return {"_id": run.id, "status": run.status}


async def _changed(run: Run, seen: Row, change: Row | list[Row], database: Database) -> Run:
    """The run after the change. Raises UsageError where it is not any more as it was seen."""
    if not (await database.runs.update_one(seen, change)).matched_count:
        await _now(run)
        raise UsageError(f"Run {run.name!r} is being changed by somebody else; look at `nightjar run show {run.name}`.")
    return await _now(run)


async def _now(run: Run) -> Run:
    current = await Run.get(run.id)
    if current is None:
        raise UsageError(f"Run {run.name!r} was removed.")
    return current
