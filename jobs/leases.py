"""Named leases: one holder at a time, on MongoDB's clock. For a GPU, for a model's suspects, for closing a run.

Beside them the dispatchers' mark: any of them leaves it every few seconds, and it says that one is alive. A standby
takes the mark only where no other's counts; each standby has a mark of its own, too, that says what it may close.
Dispatchers of one schema version share a mark; up to schema version 0 the mark had no version in its name.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from nightjar.jobs.closers import Closers
from nightjar.jobs.migrations import SCHEMA_VERSION
from nightjar.jobs.mongo import Database, Row, farewell

DISPATCHER_MARK = "dispatcher"
STANDBY_MARK = "standby"
DISPATCHER_LIVE_S = 10.0
"""How long a dispatcher's mark counts."""


@dataclass(frozen=True, kw_only=True)
class DispatcherMark:
    """Whose the dispatchers' mark is."""

    owner: str
    standby: bool
    """It dispatches beside other work, and only while nobody else does."""


def closing_lease(run: str) -> str:
    """The name of the lease that whoever closes a run, or removes it, holds meanwhile."""
    return f"close:{run}"


async def acquire(name: str, owner: str, duration_s: float, database: Database) -> bool:
    """Takes a lease that is free, lapsed or already `owner`'s, or extends it; False while somebody else holds it."""
    mine = {"$literal": owner}
    free = {"$or": [{"$eq": ["$owner", mine]}, {"$lt": ["$until", "$$NOW"]}]}  # a missing date is before any other
    until = {"$add": ["$$NOW", round(duration_s * 1000)]}
    taken = {"owner": {"$cond": [free, mine, "$owner"]}, "until": {"$cond": [free, until, "$until"]}}
    row = await _upsert(name, [{"$set": taken}], database)
    return row is not None and row["owner"] == owner


async def holder(name: str, database: Database) -> str | None:
    """Who holds the lease now; None where nobody does."""
    row = await database.leases.find_one({"_id": name, "$expr": {"$gte": ["$until", "$$NOW"]}})
    return None if row is None else str(row["owner"])


async def is_held(pattern: str, database: Database) -> bool:
    """Whether anybody holds a lease whose name matches."""
    return await database.leases.find_one({**_LIVE, "_id": {"$regex": pattern}}, {"_id": 1}) is not None


async def give_back(name: str, owner: str, database: Database) -> None:
    """Frees a lease, if `owner` still holds it."""
    await database.leases.delete_one({"_id": name, "owner": owner})


@asynccontextmanager
async def hold(name: str, owner: str, duration_s: float, database: Database) -> AsyncIterator[bool]:
    """Holds a lease for as long as the block runs, extending it; yields False where somebody else has it.

    When a holder dies, others can take the lease after `duration_s`, however long its work would have taken.
    """
    if not await acquire(name, owner, duration_s, database):
        yield False
        return

    async def extend() -> None:
        while True:
            await asyncio.sleep(duration_s / 3)
            with contextlib.suppress(PyMongoError):
                await acquire(name, owner, duration_s, database)

    keeper = asyncio.create_task(extend())
    try:
        yield True
    finally:
        keeper.cancel()
        with contextlib.suppress(PyMongoError):
            await give_back(name, owner, database)


async def mark_dispatcher(name: str, database: Database, *, silent_s: float = 0.0) -> None:
    """One dispatcher's sign of life. `silent_s`: how long ago it last reached Redis and rang for what is due."""
    mark = _mark(name, silent_s) | {"standby": False}
    await database.leases.update_one({"_id": f"{DISPATCHER_MARK}@{SCHEMA_VERSION}"}, [{"$set": mark}], upsert=True)


async def stand_by(name: str, here: Closers, database: Database, *, silent_s: float = 0.0) -> DispatcherMark:
    """One standby's sign of life. It takes the dispatchers' mark where no other's counts; whose that is now."""
    own: Row = {"owner": name, "closers": here.model_dump()}
    lasting = {"until": {"$add": ["$$NOW", round(DISPATCHER_LIVE_S * 1000)]}}
    values = [{"$set": {key: {"$literal": value} for key, value in own.items()} | lasting}]
    await database.leases.update_one({"_id": _standby_mark(name)}, values, upsert=True)
    free = {"$or": [{"$eq": ["$owner", {"$literal": name}]}, {"$lt": ["$until", "$$NOW"]}]}
    taken = _mark(name, silent_s) | {"standby": True}
    changed = {key: {"$cond": [free, value, f"${key}"]} for key, value in taken.items()}
    row = await _upsert(f"{DISPATCHER_MARK}@{SCHEMA_VERSION}", [{"$set": changed}], database)
    if row is None:
        return DispatcherMark(owner="", standby=True)  # another one's, as the next call will see
    return DispatcherMark(owner=row["owner"], standby=bool(row.get("standby")))


async def end_watch(name: str, database: Database) -> None:
    """Takes a dispatcher's marks down, so that others need not wait until they count no more."""
    with farewell():
        await database.leases.delete_one({"_id": f"{DISPATCHER_MARK}@{SCHEMA_VERSION}", "owner": name})
        await database.leases.delete_one({"_id": _standby_mark(name)})


def _mark(name: str, silent_s: float) -> Row:
    until = {"$add": ["$$NOW", round(DISPATCHER_LIVE_S * 1000)]}
    rang_at = {"$max": ["$rang_at", {"$subtract": ["$$NOW", round(silent_s * 1000)]}]}
    return {"owner": {"$literal": name}, "until": until, "rang_at": rang_at}


def _standby_mark(name: str) -> str:
    return f"{STANDBY_MARK}@{SCHEMA_VERSION}:{name}"


async def dispatcher_is_live(database: Database) -> bool:
    """Whether any dispatcher has left its mark within the last seconds."""
    return await database.leases.find_one(_LIVE_MARK, {"_id": 1}) is not None


async def since_ringing_s(database: Database) -> float | None:
    """Seconds since any live dispatcher last rang; None where that is not known."""
    silent_ms = {"$subtract": ["$$NOW", "$rang_at"]}
    ages = [row["ms"] async for row in database.leases.find(_LIVE_MARK, {"ms": silent_ms}) if row.get("ms") is not None]
    return min(ages) / 1000 if ages else None


async def live_dispatchers(database: Database) -> dict[int, str]:
    """Schema version -> name of a dispatcher of that version, or a standby, with a mark of the last seconds."""
    rows = database.leases.find({**_LIVE, "_id": {"$regex": f"^({DISPATCHER_MARK}(@|$)|{STANDBY_MARK}@)"}})
    return {_version(row["_id"]): row["owner"] async for row in rows}


async def live_closers(database: Database) -> list[Closers] | None:
    """What the live standbys are; None where a dispatcher lives that closes everything."""
    if await database.leases.find_one({**_LIVE_MARK, "standby": {"$ne": True}}, {"_id": 1}) is not None:
        return None
    rows = database.leases.find({**_LIVE, "_id": {"$regex": f"^{STANDBY_MARK}@"}})
    return [Closers.model_validate(row["closers"]) async for row in rows]


def _version(mark: str) -> int:
    return int(mark.partition("@")[2].partition(":")[0] or 0)


_LIVE: Row = {"$expr": {"$gte": ["$until", "$$NOW"]}}
_LIVE_MARK: Row = {"_id": {"$regex": f"^{DISPATCHER_MARK}(@|$)"}, **_LIVE}


async def _upsert(name: str, update: list[Row], database: Database) -> Row | None:
    try:
        return await database.leases.find_one_and_update(
            {"_id": name}, update, upsert=True, return_document=ReturnDocument.AFTER
        )
    except DuplicateKeyError:  # two processes took it for the first time at once; the other was quicker
        return None
