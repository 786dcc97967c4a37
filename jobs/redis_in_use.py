"""Which Redis the processes of a database use: all the same one, or those who ring are not heard by those who listen.

A Redis is known by an id that it holds itself, since its address may differ from host to host. MongoDB keeps the id of
the one in use; who uses it says so every few seconds, and restores the id where Redis has lost everything. One that
nobody has used for a while may be replaced.

The other way round, Redis keeps which databases use it. Several may share one; but a host with an address of Redis and
none of MongoDB has an empty MongoDB of its own, and its work would be none: it is refused beside another database.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightjar.config.errors import SettingsError
from nightjar.config.urls import address
from nightjar.jobs.mongo import Database, ReturnDocument, Row, insert_absent
from nightjar.jobs.queue import Doorbell

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

IN_USE_S = 30.0
"""Nobody uses a Redis any more of which so long nobody has said that he does."""
RESTORED_S = 8.0
"""A Redis that lost its id gets it back within this time, from those who use it."""
_ROW = {"_id": "redis"}
_DATABASE = {"_id": "database"}


@dataclass(frozen=True, kw_only=True)
class MongoInUse:
    """Where this process's MongoDB is, as others are told."""

    where: str
    alone: bool
    """It is the embedded one of this home, though Redis is by URL: nobody else at that Redis sees what is in it."""


def mongo_in_use(settings: Settings) -> MongoInUse:
    """By the settings; nothing is asked of a server."""
    host = socket.gethostname()
    if settings.mongo_url is None:
        where = f"the embedded one of {settings.home} on {host}"
        return MongoInUse(where=where, alone=settings.redis_url is not None)
    known = address(settings.mongo_url)
    local = known.startswith("/") or known.partition(":")[0] in ("localhost", "127.0.0.1", "[")
    return MongoInUse(where=f"the one at {known}{f' on {host}' if local else ''}", alone=False)


@dataclass(kw_only=True)
class RedisInUse:
    """This process's Redis, held against the one in use."""

    doorbell: Doorbell
    database: Database
    mongo: MongoInUse
    _known: str | None = None

    async def begin(self) -> None:
        """The first check of a process. Raises ServiceError where Redis is away, SettingsError where another is in
        use.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + RESTORED_S
        while await self.doorbell.read_id() is None and loop.time() < deadline:
            if await _in_use(self.database) is None:
                break
            await asyncio.sleep(0.25)
        await self.check()

    async def check(self) -> None:
        """Says that this Redis is used. Raises the same."""
        if (why := await _another_database(self.doorbell, self.database, self.mongo)) is not None:
            raise SettingsError(why)
        self._known = await self.doorbell.read_id() or await self.doorbell.take_id(self._known or uuid.uuid4().hex)
        row = await self._claim(self._known)
        if row["id"] != self._known:
            raise SettingsError(other_redis(self.doorbell.where, row))
        while (identity := await _database_id(self.database)) is None:
            await insert_absent(self.database.raw["services"], [{**_DATABASE, "id": uuid.uuid4().hex}])
        await self.doorbell.note_database(identity, self.mongo.where)

    async def _claim(self, identity: str) -> Row:
        """Who uses which Redis: this process's own where no other is in use."""
        past = {"$subtract": ["$$NOW", round(IN_USE_S * 1000)]}
        ours = {"$or": [{"$eq": ["$id", identity]}, {"$lt": ["$used_at", past]}]}  # a missing date is before any other
        now: Row = {"id": identity, "where": self.doorbell.where, "host": socket.gethostname()}
        values: Row = {key: {"$cond": [ours, {"$literal": value}, f"${key}"]} for key, value in now.items()}
        values["used_at"] = {"$cond": [ours, "$$NOW", "$used_at"]}
        services = self.database.raw["services"]
        after = ReturnDocument.AFTER
        while (row := await services.find_one_and_update(_ROW, [{"$set": values}], return_document=after)) is None:
            await insert_absent(services, [dict(_ROW)])  # of two first ones neither fails
        return row


async def other_in_use(doorbell: Doorbell, database: Database, mongo: MongoInUse) -> str | None:
    """Why this Redis is of no use, for those who only look; None where it is the one in use, or none is."""
    if (why := await _another_database(doorbell, database, mongo)) is not None:
        return why
    row = await _in_use(database)
    mine = await doorbell.read_id() if row is not None else None
    if row is None or mine == row["id"] or (mine is None and row["where"] == doorbell.where):
        return None
    return other_redis(doorbell.where, row)


def other_redis(mine: str, row: Row) -> str:
    """Both named, and what to do."""
    return (
        f"Redis at {mine} is not the one that the workers and dispatchers of this database use: that is the one at "
        f"{row['where']}, as host {row['host']} says. What is put into one is not heard at the other. Set "
        "NIGHTJAR_REDIS_URL to the same server on all hosts. One that is not used any more is forgotten after "
        f"{IN_USE_S:.0f} s."
    )


def other_database(mine: str, redis: str, theirs: Iterable[str]) -> str:
    """Both named, and what to do."""
    return (
        f"NIGHTJAR_REDIS_URL is set here and NIGHTJAR_MONGO_URL is not, so that this host's MongoDB is {mine}. Others "
        f"who use Redis at {redis} work with another MongoDB: {'; '.join(sorted(theirs))}. Their runs are not in "
        "yours, nor yours in theirs. Set NIGHTJAR_MONGO_URL to the same server on all hosts, or leave "
        f"NIGHTJAR_REDIS_URL out here. A MongoDB that is not used any more is forgotten after {IN_USE_S:.0f} s."
    )


async def _another_database(doorbell: Doorbell, database: Database, mongo: MongoInUse) -> str | None:
    if not mongo.alone:
        return None
    others = await doorbell.databases(IN_USE_S)
    if others:
        others.pop(await _database_id(database) or "", None)
    return other_database(mongo.where, doorbell.where, others.values()) if others else None


async def _database_id(database: Database) -> str | None:
    """What tells this database from others; None where nobody has used it yet."""
    row = await database.raw["services"].find_one(_DATABASE)
    return None if row is None else str(row["id"])


async def _in_use(database: Database) -> Row | None:
    past = {"$subtract": ["$$NOW", round(IN_USE_S * 1000)]}
    return await database.raw["services"].find_one({**_ROW, "$expr": {"$gte": ["$used_at", past]}})
