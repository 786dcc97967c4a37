"""Named leases: one holder at a time, on MongoDB's clock. For a GPU, for a model's suspects, for closing a run."""

from __future__ import annotations

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from jobs.database import Database, Row


async def acquire(name: str, owner: str, duration_s: float, database: Database) -> bool:
    """Takes a lease that is free, lapsed or one's own, or extends it; False while somebody else holds it."""
    mine = {"$literal": owner}
    free = {"$or": [{"$eq": ["$owner", mine]}, {"$lt": ["$until", "$$NOW"]}]}  # a missing date is before any other
    until = {"$add": ["$$NOW", round(duration_s * 1000)]}
    taken = {"owner": {"$cond": [free, mine, "$owner"]}, "until": {"$cond": [free, until, "$until"]}}
    row = await _upsert(name, [{"$set": taken}], database)
    return row is not None and row["owner"] == owner


async def holder(name: str, database: Database) -> str | None:
    """Who holds the lease now."""
    row = await database.leases.find_one({"_id": name, "$expr": {"$gte": ["$until", "$$NOW"]}})
    return None if row is None else str(row["owner"])


async def give_back(name: str, owner: str, database: Database) -> None:
    """Frees a lease, if one still holds it."""
    await database.leases.delete_one({"_id": name, "owner": owner})


async def _upsert(name: str, update: list[Row], database: Database) -> Row | None:
    try:
        return await database.leases.find_one_and_update(
            {"_id": name}, update, upsert=True, return_document=ReturnDocument.AFTER
        )
    except DuplicateKeyError:  # two first holders met; the other one was quicker
        return None
