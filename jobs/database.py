"""The connection to MongoDB, the single source of truth."""

from __future__ import annotations

import contextlib
import warnings

import pymongo
from pydantic import SecretStr
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from nightjar.config.errors import SchemaError, ServiceError, SettingsError
from nightjar.config.redact import redact_text
from nightjar.config.urls import address
from nightjar.jobs import schema
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.schema import Access, MigrationProgress

__all__ = ["Access", "MigrationProgress", "connect", "reconnect", "still_answers"]
INDEX_TIMEOUT_S = 1800
OPERATION_TIMEOUT_S = 10
"""No single operation may take longer; this is also how long a server that went away is waited for."""

ANSWER_S = 4.0
"""A server that is well answers a ping much sooner."""


async def connect(
    url: SecretStr,
    name: str,
    *,
    timeout_s: float = 5,
    documents: bool = True,
    access: Access = Access.WRITE,
    progress: MigrationProgress | None = None,
) -> Database:
    """Connects, checks that the server answers, and makes every document and their indexes usable.

    `documents=False` leaves that out, for a quick look through the raw collections. `access` says what is to be done
    about documents of an earlier version; `progress` is told of their migration.

    Raises ServiceError, naming host and port but no password, within `timeout_s` when there is no answer. Raises
    SchemaError for documents of another version that this code may not touch.
    """
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
            with pymongo.timeout(INDEX_TIMEOUT_S):  # an index that is new may be made over very many documents
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


async def still_answers(database: Database) -> bool:
    """Whether MongoDB answers through the client that is in use."""
    try:
        with pymongo.timeout(ANSWER_S):
            await database.client.admin.command("ping")
    except PyMongoError:
        return False
    return True


async def reconnect(database: Database, url: SecretStr, *, timeout_s: float = 5) -> None:
    """Gives a connected database a new client, for the address where its server is by now.

    Raises ServiceError if nobody answers there.

    What is under way through the old client fails as if the server were away, and is tried again through the new one.
    """
    from beanie.exceptions import CollectionWasNotInitialized

    from nightjar.jobs.every_document import ALL

    client = _client(url, timeout_s)
    try:
        with pymongo.timeout(timeout_s * 0.8):
            await client.admin.command("ping")
    except PyMongoError as error:
        await client.close()
        raise ServiceError(f"MongoDB at {address(url)} cannot be used: {_short(error)}.") from None
    former = database.raw
    database.use(client)
    for document in ALL:
        with contextlib.suppress(CollectionWasNotInitialized):
            if document.get_pymongo_collection().database is former:
                # The very object, by which the next reconnect knows its documents.
                document.set_database(database.raw)  # type: ignore[no-untyped-call]
                document.set_collection(database.raw[document.get_collection_name()])  # type: ignore[no-untyped-call]


def _client(url: SecretStr, timeout_s: float) -> AsyncMongoClient[Row]:
    """An unconnected client. An option that the driver only warns about, such as tsl=true, is an error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            return AsyncMongoClient(
                url.get_secret_value(),
                tz_aware=True,
                appname="nightjar",
                journal=True,  # an acknowledged write survives a kill -9 of mongod
                connectTimeoutMS=int(timeout_s * 1000),
                timeoutMS=OPERATION_TIMEOUT_S * 1000,
            )
    except (PyMongoError, UserWarning, ValueError, OSError) as error:
        raise SettingsError(
            f"NIGHTJAR_MONGO_URL, for {address(url)}, is not valid: {redact_text(_short(error))}. Correct it."
        ) from None


async def _init_documents(raw: AsyncDatabase[Row]) -> None:
    from beanie import init_beanie

    from nightjar.jobs.every_document import ALL

    await init_beanie(database=raw, document_models=list(ALL))


def _short(error: Exception) -> str:
    """The first clause of a driver's message; the rest repeats timeouts and topology."""
    if "No servers found yet" in str(error):
        return "no answer to the first connection"
    text = str(error).split(" (configured timeouts", 1)[0].split(", Timeout:", 1)[0].split(", full error:", 1)[0]
    return f"{type(error).__name__}: {text}".rstrip(".")
