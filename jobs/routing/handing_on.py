"""Handing jobs of a policy to its next candidate, where the one before cannot answer now."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.routing.routed import can_be_handed_on, handed_on
from nightjar.jobs.states import WORKING_RUNS, JobStatus


async def leave_paused_endpoints(database: Database) -> int:
    """Hands on what waits for models whose endpoint is paused, in runs that work; returns how many jobs.

    What is under way comes back by itself.
    """
    now: Row = {"until": {"$gt": datetime.now(UTC)}}
    reasons = {row["_id"]: row["reason"] async for row in database.raw["endpoint_pauses"].find(now)}
    if not reasons:
        return 0
    at_them: Row = {"facts.remote.endpoint": {"$in": sorted(reasons)}}
    fields = {"facts.remote.endpoint": 1}
    models = {
        row["_id"]: row["facts"]["remote"]["endpoint"] async for row in database.raw["models"].find(at_them, fields)
    }
    working: Row = {"status": {"$in": sorted(WORKING_RUNS)}, "models.policy.candidates": {"$in": list(models)}}
    runs = [row["_id"] async for row in database.runs.find(working, {"_id": 1})]
    count = 0
    for model, endpoint in models.items() if runs else ():
        why = f"{endpoint} is paused: {reasons[endpoint]}"
        query: Row = {"run": {"$in": runs}, "model": model}
        count += await hand_on_waiting(query, why, database, without=list(models))
    return count


async def hand_on_waiting(query: Row, why: str, database: Database, *, without: Collection[str] = ()) -> int:
    """Hands on the PENDING jobs among these that have another candidate, none of `without`; returns how many."""
    waiting: Row = {"status": JobStatus.PENDING, **can_be_handed_on(without), **query}
    done = await database.jobs.update_many(waiting, [{"$set": handed_on(why, without)}])
    return done.modified_count
