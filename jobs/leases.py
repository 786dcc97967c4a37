"""Named leases: one holder at a time, on MongoDB's clock. For a GPU, for a model's suspects, for closing a run."""

from __future__ import annotations

from pymongo.errors import DuplicateKeyError

from jobs.database import Database


async def acquire(name: str, owner: str, duration_s: float, database: Database) -> bool:
    """Takes a lease that is free, lapsed or one's own, or extends it; False while somebody else holds it."""
    query = {"_id": name, "$or": [{"owner": owner}, {"$expr": {"$lt": ["$until", "$$NOW"]}}]}
    held = {"owner": {"$literal": owner}, "until": {"$add": ["$$NOW", round(duration_s * 1000)]}}
    try:
        await database.leases.update_one(query, [{"$set": held}], upsert=True)
    except DuplicateKeyError:
        return False
    return True


async def holder(name: str, database: Database) -> str | None:
    """Who holds the lease now."""
    row = await database.leases.find_one({"_id": name, "$expr": {"$gte": ["$until", "$$NOW"]}})
    return None if row is None else str(row["owner"])


async def give_back(name: str, owner: str, database: Database) -> None:
    """Frees a lease, if one still holds it."""
    await database.leases.delete_one({"_id": name, "owner": owner})
