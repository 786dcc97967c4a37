"""Taking open jobs away from whoever holds them: with a new fence, so that nobody commits to them any more."""

from __future__ import annotations

from typing import Any

from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.ownership import close_attempt
from nightjar.jobs.records import AttemptEnd
from nightjar.jobs.routing.routed import FROM_THE_FIRST
from nightjar.jobs.states import JobKind, JobStatus

BATCH = 5_000
"""Jobs changed by one write, so that no write takes longer than an operation may."""
FRESH: Row = {"status": JobStatus.PENDING, "reason": None, "due_at": "$$NOW", "suspect": False, "finished_at": None}
FRESH |= {"tries": 0, "lapses": 0, "crashes": 0, "fence": {"$add": ["$fence", 1]}, **FROM_THE_FIRST}
"""What an ended job becomes that is to be done again; the turns that it has committed stay."""


async def change_open(
    run: str, statuses: list[JobStatus], change: Row, database: Database, *, why: str, only: Row | None = None
) -> None:
    """Changes a run's jobs of these statuses, in batches. `why`: what is noted of attempts that this ends."""
    taken: Row = {"fence": {"$add": ["$fence", 1]}, "owner": None, "lease_until": None}
    update: list[dict[str, Any]] = [{"$set": {**change, **taken, "attempts": close_attempt(AttemptEnd.RELEASED, why)}}]
    for status in statuses:
        query: Row = {"run": run, "status": status, **(only or {})}
        while ids := [row["_id"] async for row in database.jobs.find(query, {"_id": 1}).limit(BATCH)]:
            await database.jobs.update_many({**query, "_id": {"$in": ids}}, update)


async def drop_open(run: str, database: Database, *, kinds: list[JobKind], why: str, only: Row | None = None) -> None:
    """The run's open jobs of these kinds become CANCELLED."""
    ended: Row = {"status": JobStatus.CANCELLED, "reason": "cancelled", "finished_at": "$$NOW"}
    of_kinds: Row = {"kind": {"$in": kinds}, **(only or {})}
    await change_open(run, [JobStatus.RUNNING, JobStatus.PENDING], ended, database, why=why, only=of_kinds)
