"""Who owns a job: claim, renew, commit, release, fail. Each is a compare-and-set on the raw collection.

A job's `fence` grows with every claim and with everything that takes the job away; a worker that holds an older number
can change nothing. Leases are measured on MongoDB's clock (`$$NOW`), so hosts may disagree about the time by minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import UpdateOne

from nightjar.config.errors import LeaseLostError
from nightjar.jobs.documents import Job
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.patience import patiently
from nightjar.jobs.records import Attempt, AttemptEnd, TurnRecord, cut
from nightjar.jobs.retry import Again, Dead, Decision
from nightjar.jobs.routing.routed import can_be_handed_on, handed_on
from nightjar.jobs.states import JobStatus
from nightjar.jobs.transcript_size import size_refused
from nightjar.jobs.unreadable_jobs import read_jobs

ATTEMPTS_KEPT = 20


async def claim(fences: Mapping[str, int], worker: str, host: str, lease_s: float, database: Database) -> list[Job]:
    """Moves each of the jobs (job id -> fence) that is PENDING and due to RUNNING under a new fence.

    Returns the jobs now held by this worker. The others are held elsewhere or not due. The fence is the one that the
    queue named, so an entry older than the job's last change claims nothing. A worker must not call it twice at once
    for one job.

    A job is read before it is claimed: one that this version cannot read ends with its reason, or waits for newer
    workers, and never takes a worker with it.
    """
    query: Row = {
        "$or": [{"_id": job_id, "fence": fence} for job_id, fence in fences.items()],
        "status": JobStatus.PENDING,
        "$expr": {"$lte": ["$due_at", "$$NOW"]},
    }
    started: Row = {"fence": {"$add": ["$fence", 1]}, "worker": {"$literal": worker}, "host": {"$literal": host}}
    started |= {"started_at": "$$NOW", "ended_at": None, "end": None, "error": None, "turns_committed": 0}
    change: Row = {
        "status": JobStatus.RUNNING,
        "fence": {"$add": ["$fence", 1]},
        "owner": {"$literal": worker},
        "lease_until": _lease_end(lease_s),
        "attempts": {"$slice": [{"$concatArrays": ["$attempts", [started]]}, -ATTEMPTS_KEPT]},
    }
    rows = await patiently(lambda: database.jobs.find(query).to_list())
    jobs = {job.id: job for job in await read_jobs(rows, database)}
    if not jobs:
        return []
    query["$or"] = [{"_id": job.id, "fence": job.fence} for job in jobs.values()]
    ours: Row = {"_id": {"$in": list(jobs)}, "owner": worker, "status": JobStatus.RUNNING}

    async def attempt() -> list[Row]:
        await database.jobs.update_many(query, [{"$set": change}])
        rows = database.jobs.find(ours, _CHANGED_BY_CLAIM)
        return [row async for row in rows if row["fence"] == jobs[row["_id"]].fence + 1]

    return [_claimed(jobs[row["_id"]], row) for row in await patiently(attempt)]


_CHANGED_BY_CLAIM: Row = {"fence": 1, "status": 1, "owner": 1, "lease_until": 1, "attempts": {"$slice": -1}}


def _claimed(before: Job, row: Row) -> Job:
    """The job as it is after the claim, without reading its turns again."""
    changed = {name: row[name] for name in ("fence", "owner", "lease_until")}
    attempts = [*before.attempts, Attempt.model_validate(row["attempts"][0])][-ATTEMPTS_KEPT:]
    return before.model_copy(update={**changed, "status": JobStatus(row["status"]), "attempts": attempts})


async def renew(fences: dict[str, int], worker: str, lease_s: float, database: Database) -> set[str]:
    """Extends the leases of a worker's jobs (job id -> fence); returns the ids of those it no longer holds."""
    if not fences:
        return set()
    mine: Row = {"_id": {"$in": list(fences)}, "owner": worker, "status": JobStatus.RUNNING}
    await database.jobs.update_many(mine, [{"$set": {"lease_until": _lease_end(lease_s)}}])
    return await lost(fences, database)


async def lost(fences: dict[str, int], database: Database) -> set[str]:
    """The ids of the jobs (job id -> fence) that are no longer RUNNING under that fence."""
    if not fences:
        return set()
    cursor = database.jobs.find({"_id": {"$in": list(fences)}, "status": JobStatus.RUNNING}, {"fence": 1})
    held = {row["_id"] async for row in cursor if row["fence"] == fences[row["_id"]]}
    return set(fences) - held


async def check_held(job: Job, database: Database) -> None:
    """Raises LeaseLostError if this claim no longer owns the job, ServiceError if MongoDB stays unreachable."""
    if await patiently(lambda: lost({job.id: job.fence}, database)):
        raise _no_longer_held(job)


def commit_of(job: Job, turn: TurnRecord, *, last: bool) -> UpdateOne:
    """The write that appends a turn under the job's fence, exactly once; the last turn makes the job DONE."""
    query = _held(job) | {"turns_committed": turn.index}
    change: Row = {
        "$push": {"turns": turn.model_dump(mode="python")},
        "$inc": {
            "turns_committed": 1,
            "turns_empty": int(turn.draw.empty is not None),
            "attempts.$[mine].turns_committed": 1,
        },
    }
    if last:
        change["$set"] = {"status": JobStatus.DONE, "lease_until": None, "attempts.$[mine].end": AttemptEnd.DONE}
        change["$currentDate"] = {"finished_at": True, "attempts.$[mine].ended_at": True}

    return UpdateOne(query, change, array_filters=[{"mine.fence": job.fence}])


async def commit_turn(job: Job, turn: TurnRecord, database: Database, *, last: bool) -> None:
    """Appends a turn, exactly once; the last one makes the job DONE.

    Committing the same turn again, after a lost answer, changes nothing. Raises LeaseLostError if this claim no longer
    owns the job, TranscriptError if the job's document has no room for the turn.
    """
    write = commit_of(job, turn, last=last)

    async def attempt() -> None:
        with size_refused(job):
            done = await database.jobs.bulk_write([write])
        if done.matched_count == 0:
            mine = {f"turns.{turn.index}.fence": job.fence, f"turns.{turn.index}.chain": turn.chain}
            if await database.jobs.find_one({"_id": job.id, **mine}, {"_id": 1}) is None:
                raise _no_longer_held(job, f": turn {turn.index + 1}")

    await patiently(attempt)


async def commit_result(job: Job, result: Row, database: Database) -> None:
    """Stores the result of a job without turns as its `payload.result` and makes it DONE, exactly once.

    Committing again after a lost answer changes nothing. Raises LeaseLostError.
    """
    change: Row = {
        "$set": {
            "payload.result": result,
            "status": JobStatus.DONE,
            "turns_committed": job.turns_total,
            "lease_until": None,
            "attempts.$[mine].end": AttemptEnd.DONE,
        },
        "$currentDate": {"finished_at": True, "attempts.$[mine].ended_at": True},
    }

    async def attempt() -> None:
        with size_refused(job):
            done = await database.jobs.update_one(_held(job), change, array_filters=[{"mine.fence": job.fence}])
        if done.matched_count == 0:
            ours = {"_id": job.id, "fence": job.fence, "status": JobStatus.DONE}
            if await database.jobs.find_one(ours, {"_id": 1}) is None:
                raise _no_longer_held(job)

    await patiently(attempt)


async def release(job: Job, note: str, database: Database) -> bool:
    """Gives a job back, to be claimed again at once; counts no try. False if it was already lost."""
    change: Row = {"due_at": "$$NOW", "attempts": close_attempt(AttemptEnd.RELEASED, note)}
    return await _give_up(_held(job), JobStatus.PENDING, change, database)


async def fail(job: Job, decision: Decision, error: str, database: Database) -> bool:
    """Applies the decision on an error: another try later, or DEAD. False if the job was already lost."""
    return await apply_decision(_held(job), decision, AttemptEnd.ERROR, error, database)


async def apply_decision(query: Row, decision: Decision, end: AttemptEnd, note: str, database: Database) -> bool:
    """Ends the running attempt of the one job that matches `query`, as decided; False if none matches.

    A job of a policy that would be DEAD is its next candidate's, where one is left.
    """
    change: Row = {"attempts": close_attempt(end, note)}
    change |= {counter: {"$add": [f"${counter}", 1]} for counter in decision.counted}
    match decision:
        case Again():
            change |= {"due_at": {"$add": ["$$NOW", round(decision.delay_s * 1000)]}}
            change |= {"suspect": True} if decision.suspect else {}
            return await _give_up(query, JobStatus.PENDING, change, database)
        case Dead():
            next_one: Row = {**change, **handed_on(cut(decision.reason))}
            if await _changed({**query, **can_be_handed_on()}, next_one, database):
                return True
            change |= {"reason": {"$literal": cut(decision.reason)}, "finished_at": "$$NOW"}
            return await _give_up(query, JobStatus.DEAD, change, database)


def close_attempt(end: AttemptEnd, note: str | None) -> dict[str, Any]:
    """Pipeline expression: `attempts`, with the current fence's attempt ended if it is still open."""
    ended = {"ended_at": "$$NOW", "end": str(end), "error": {"$literal": None if note is None else cut(note)}}
    is_open = {"$and": [{"$eq": ["$$attempt.fence", "$fence"]}, {"$eq": ["$$attempt.end", None]}]}
    each = {"$cond": [is_open, {"$mergeObjects": ["$$attempt", ended]}, "$$attempt"]}
    return {"$map": {"input": "$attempts", "as": "attempt", "in": each}}


def _held(job: Job) -> Row:
    return {"_id": job.id, "fence": job.fence, "status": JobStatus.RUNNING}


def _lease_end(lease_s: float) -> Row:
    return {"$add": ["$$NOW", round(lease_s * 1000)]}


async def _give_up(query: Row, status: JobStatus, change: Row, database: Database) -> bool:
    return await _changed(query, {"status": status, "owner": None, "lease_until": None, **change}, database)


async def _changed(query: Row, change: Row, database: Database) -> bool:
    async def attempt() -> bool:
        return (await database.jobs.update_one(query, [{"$set": change}])).matched_count == 1

    return await patiently(attempt)


def _no_longer_held(job: Job, what: str = "") -> LeaseLostError:
    return LeaseLostError(f"Job {job.id} is no longer held under fence {job.fence}{what}.")
