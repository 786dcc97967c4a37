"""Runs that may not go: the baselines of suites, and those that schedules are held against."""

from __future__ import annotations

from nightjar.jobs.database import Database


async def pinned_runs(database: Database) -> frozenset[str]:
    """Ids of the runs that something refers to."""
    found = {row["run"] async for row in database.raw["baselines"].find({}, {"run": 1})}
    named = [name for name in await database.raw["schedules"].distinct("enqueue.baseline") if name]
    query = {"$or": [{"name": {"$in": named}}, {"_id": {"$in": named}}]}
    return frozenset(found | {row["_id"] async for row in database.runs.find(query, {"_id": 1})})
