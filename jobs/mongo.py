"""A connected database: its collections, its clock, and inserting what may be there already.

Also the names of MongoDB's driver that other rooms handle, its errors and the writes of a bulk: only this room imports
pymongo, so that an in-memory database can stand in for it some day.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import pymongo
from pymongo import AsyncMongoClient, ReplaceOne, ReturnDocument, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from nightjar.jobs.events import EventSink, Silence

__all__ = [
    "DUPLICATE_KEY",
    "AsyncCollection",
    "Database",
    "DatabaseError",
    "DuplicateKeyError",
    "ReplaceOne",
    "ReturnDocument",
    "Row",
    "WriteConcern",
    "farewell",
    "insert_absent",
    "quick",
    "utc_now",
]

Row = dict[str, Any]
DatabaseError = PyMongoError
"""What the driver raises; those who use `jobs` need no driver of their own for it."""
DUPLICATE_KEY = 11000
FAREWELL_S = 2.0


def utc_now() -> datetime:
    """Now by this machine's clock, in UTC, at MongoDB's millisecond resolution."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def farewell() -> AbstractContextManager[None]:
    """For what a process does last: it waits only so long for a MongoDB that is away."""
    return pymongo.timeout(FAREWELL_S)


@dataclass(kw_only=True, eq=False)
class Database:
    """A connected database. Reads go through beanie's documents, hot writes through the raw collections.

    Not frozen: `jobs.database.reconnect` gives it another client when the server comes back at another address.
    """

    client: AsyncMongoClient[Row]
    raw: AsyncDatabase[Row]
    events: EventSink = field(default_factory=Silence)
    """Where it is said what moved, after it was written."""
    _former: list[AsyncMongoClient[Row]] = field(default_factory=list)

    def use(self, client: AsyncMongoClient[Row]) -> None:
        """Works through this client from now on. What goes through the former one ends in its own time."""
        self._former.append(self.client)
        self.client, self.raw = client, client[self.raw.name]

    @property
    def name(self) -> str:
        return self.raw.name

    @property
    def jobs(self) -> AsyncCollection[Row]:
        return self.raw["jobs"]

    @property
    def runs(self) -> AsyncCollection[Row]:
        return self.raw["runs"]

    @property
    def workers(self) -> AsyncCollection[Row]:
        return self.raw["workers"]

    @property
    def worker_records(self) -> AsyncCollection[Row]:
        """The last beat of each worker that ended; reports read its memory, GPU use and energy."""
        return self.raw["worker_records"]

    @property
    def leases(self) -> AsyncCollection[Row]:
        """Named leases, see `jobs.leases`."""
        return self.raw["leases"]

    async def now(self) -> datetime:
        """The time on the server's clock, by which leases and backoff are measured."""
        answer = await self.raw.command("hello")
        moment: datetime = answer["localTime"]  # naive: commands do not follow the client's tz_aware
        return moment.replace(tzinfo=UTC)

    async def version(self) -> str | None:
        """The server's version, where it tells."""
        version: str | None = (await self.raw.command("buildInfo")).get("version")
        return version

    async def close_former(self) -> None:
        """Closes clients that are used no more."""
        while self._former:
            with farewell():
                await self._former.pop().close()

    async def close(self) -> None:
        await self.close_former()
        with farewell():  # it tells the server which sessions have ended
            await self.client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def quick(collection: AsyncCollection[Row]) -> AsyncCollection[Row]:
    """The collection for writes that do not wait until they are on the disk."""
    return collection.with_options(write_concern=WriteConcern(w=1, j=False))


async def insert_absent(collection: AsyncCollection[Row], rows: Sequence[Row]) -> int:
    """Inserts the rows whose `_id` is not there yet, in one call; returns how many. Safe to repeat and to race.

    For documents named by their content: one that is there already is equal, and is left as it is.
    """
    if not rows:
        return 0
    try:
        await collection.insert_many(rows, ordered=False)
    except BulkWriteError as error:
        details = error.details or {}
        if any(problem["code"] != DUPLICATE_KEY for problem in details["writeErrors"]):
            raise
        return int(details["nInserted"])
    return len(rows)
