"""What went wrong with nights and nobody may have seen: for `nightjar status`."""

from __future__ import annotations

from nightjar.jobs.database import Database, Row
from nightjar.jobs.ending import Hook
from nightjar.jobs.nights import DeliveryState

RECENT_S = 7 * 86_400
SHOWN = 20


async def night_troubles(database: Database) -> list[str]:
    """Sentences: ticks that made no run or wait, and calls that failed or are unsure, of the last week."""
    told = []
    async for row in database.raw["schedules"].find({}).sort("_id", 1):
        if row.get("last_error"):
            told.append(f"Schedule {row['_id']} could not start its newest run: {row['last_error']}")
        if row.get("waiting_for"):
            told.append(f"Schedule {row['_id']} waits for run {row['waiting_for']} to end.")
    states = [DeliveryState.FAILED, DeliveryState.UNSURE]
    recent = {"$expr": {"$gt": ["$created_at", {"$subtract": ["$$NOW", RECENT_S * 1000]}]}}
    query: Row = {"state": {"$in": states}, **recent}
    async for row in database.raw["deliveries"].find(query).sort("created_at", -1).limit(SHOWN):
        hook = Hook.model_validate(row["hook"])
        how = "could not be told" if row["state"] == DeliveryState.FAILED else "may have been told or not"
        told.append(
            f"{hook} {how} that run {row['run_name']} is {row['event']}: {row.get('outcome')}. "
            f"`nightjar run tell {row['run_name']}` calls again."
        )
    return told
