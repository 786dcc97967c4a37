"""The connection to MongoDB, the one place where the truth lies."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

import pymongo
from pydantic import SecretStr
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, PyMongoError

from nightjar.config.errors import SchemaError, ServiceError, SettingsError
from nightjar.config.redact import redact_text

Row = dict[str, Any]
DatabaseError = PyMongoError
"""What the driver raises; those who use `jobs` need no driver of their own for it."""
MigrationProgress = Callable[[str, int, int], None]
"""Called with what is migrated, the documents done and those there are."""
DUPLICATE_KEY = 11000
OPERATION_TIMEOUT_S = 10
"""No single operation may take longer than this; a server that goes away is waited for that long."""


class Access(StrEnum):
    """What may become of a database whose documents an earlier version of Nightjar wrote; see `jobs.schema`."""

    LOOK = "look"
    """No document is read: its version does not matter."""
    READ = "read"
    """It is refused."""
    WRITE = "write"
    """It is migrated."""


@dataclass(frozen=True, kw_only=True)
class Database:
    """A connected database. Reads go through beanie's documents, hot writes through the raw collections."""

    client: AsyncMongoClient[Row]
    raw: AsyncDatabase[Row]

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
        """The last beat of workers that ended; reports read their memory, GPU use and energy."""
        return self.raw["worker_records"]

    @property
    def leases(self) -> AsyncCollection[Row]:
        """Named leases, see `jobs.leases`."""
        return self.raw["leases"]

    async def now(self) -> datetime:
        """The server's clock, the only one that leases and backoff are measured on."""
        answer = await self.raw.command("hello")
        moment: datetime = answer["localTime"]  # naive: commands do not follow the client's tz_aware
        return moment.replace(tzinfo=UTC)

    async def version(self) -> str | None:
        """The server's version, where it tells."""
        version: str | None = (await self.raw.command("buildInfo")).get("version")
        return version

    async def close(self) -> None:
        await self.client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def connect(
    url: SecretStr,
    name: str,
    *,
    timeout_s: float = 5,
    documents: bool = True,
    access: Access = Access.WRITE,
    progress: MigrationProgress | None = None,
) -> Database:
    """Connects, checks that the server answers, and makes the documents of `jobs.documents` and their indexes usable.

    `documents=False` leaves that out, for a quick look through the raw collections. `access` says what is to be done
    about documents of an earlier version; `progress` is told of their migration.

    Raises ServiceError, naming host and port but no password, within `timeout_s` when there is no answer. Raises
    SchemaError for documents of another version that this code may not touch.
    """
    from nightjar.jobs import schema

    client = _client(url, timeout_s)
    database = Database(client=client, raw=client[name])
    try:
        # The client's timeoutMS overrides serverSelectionTimeoutMS; making indexes may take longer than reaching it.
        with pymongo.timeout(timeout_s * 0.8):
            await client.admin.command("ping")
            behind = await schema.is_behind(database, access)
        if behind:
            await schema.migrate(database, progress)
        if documents:
            await _init_documents(database.raw)
    except SchemaError:
        await client.close()
        raise
    except PyMongoError as error:
        await client.close()
        raise ServiceError(
            f"MongoDB at {address(url)} cannot be used: {_short(error)}. Check NIGHTJAR_MONGO_URL and that the "
            "server runs; without that setting Nightjar starts a server of its own."
        ) from None
    return database


async def insert_absent(collection: AsyncCollection[Row], rows: Sequence[Row]) -> int:
    """Inserts the rows whose `_id` is not there yet, in one call; how many. Safe to repeat and to race.

    For documents that are named by their content: what is there is equal, and is left as it is.
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


def _client(url: SecretStr, timeout_s: float) -> AsyncMongoClient[Row]:
    """An unconnected client. An option that the driver would only warn of, such as tsl=true, is an error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            return AsyncMongoClient(
                url.get_secret_value(),
                tz_aware=True,
                appname="nightjar",
                journal=True,  # what was acknowledged survives a kill -9 of mongod
                connectTimeoutMS=int(timeout_s * 1000),
                timeoutMS=OPERATION_TIMEOUT_S * 1000,
            )
    except (PyMongoError, UserWarning, ValueError, OSError) as error:
        raise SettingsError(
            f"NIGHTJAR_MONGO_URL, for {address(url)}, is not valid: {redact_text(_short(error))}. Correct it."
        ) from None


async def _init_documents(raw: AsyncDatabase[Row]) -> None:
    from beanie import init_beanie

    from nightjar.jobs.documents import ALL

    await init_beanie(database=raw, document_models=list(ALL))


def address(url: SecretStr) -> str:
    """Host and port of a server's URL, without the user, the password and the options."""
    rest = url.get_secret_value().partition("://")[2] or url.get_secret_value()
    return rest.rpartition("@")[2].partition("/")[0].partition("?")[0] or "(no host)"


def _short(error: Exception) -> str:
    """The first clause of a driver's message; the rest repeats timeouts and topology."""
    if "No servers found yet" in str(error):
        return "no answer to the first connection"
    text = str(error).split(" (configured timeouts", 1)[0].split(", Timeout:", 1)[0].split(", full error:", 1)[0]
    return f"{type(error).__name__}: {text}".rstrip(".")
