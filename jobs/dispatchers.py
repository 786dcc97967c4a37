"""Whether any dispatcher is alive: each leaves its mark every few seconds, on MongoDB's clock."""

from __future__ import annotations

from nightjar.jobs.database import Database

_MARK = "dispatcher"
LIVE_S = 10.0


async def mark_dispatcher(name: str, database: Database) -> None:
    """One dispatcher's sign of life."""
    until = {"$add": ["$$NOW", round(LIVE_S * 1000)]}
    await database.leases.update_one(
        {"_id": _MARK}, [{"$set": {"owner": {"$literal": name}, "until": until}}], upsert=True
    )


async def dispatcher_is_live(database: Database) -> bool:
    """True where one left its mark within the last seconds."""
    row = await database.leases.find_one({"_id": _MARK, "$expr": {"$gte": ["$until", "$$NOW"]}})
    return row is not None
