"""The schema version of a database: which form its documents have, and how those of an earlier form are migrated.

The collection `schema` holds one document: the version, and while a migration is under way its target and how far it
came. Whatever writes brings the database to its own version first; whatever only reads refuses one that is behind.
Code never touches a database that is ahead of it. Migrations run under a lease, batch by batch in the order of `_id`,
and go on where one was killed.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pymongo import ReplaceOne, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from nightjar.config.errors import SchemaError
from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.leases import hold, live_dispatchers
from nightjar.jobs.machines.workers import VANISHED_S, heard_of
from nightjar.jobs.migrations import MIGRATIONS, SCHEMA_VERSION, Convert, Migration
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.states import JobStatus, WorkerStatus

MigrationProgress = Callable[[str, int, int], None]
"""Called with what is migrated, the documents done and those there are."""
MIGRATE_COMMAND = "nightjar services migrate"
BATCH = 500
LEASE = "schema"
LEASE_S = 30.0
SCHEMA_EVERY_S = 10.0
"""How often a process that works on a database for long looks whether a newer Nightjar has taken it over."""
WAIT_S = 0.2
"""How often one that waits for another's migration looks."""
_INDEX_NOT_FOUND, _NAMESPACE_NOT_FOUND = 27, 26


class Access(StrEnum):
    """What is to become of a database whose documents an earlier version of Nightjar wrote."""

    LOOK = "look"
    """No document is read: its version does not matter."""
    READ = "read"
    """It is refused."""
    WRITE = "write"
    """It is migrated."""


@dataclass(frozen=True, kw_only=True)
class SchemaState:
    """What the version document says."""

    version: int = 0
    """Of the documents, where no migration is under way."""
    target: int | None = None
    """A migration to this version has begun and has not ended: no code of another version may write."""
    nightjar: str | None = None
    """Version of the Nightjar that wrote this; None without a version document."""
    migration: int | None = None
    """The migration under way, and the collection and `_id` that it came to."""
    collection: str | None = None
    after: Any = None

    @property
    def stored(self) -> bool:
        return self.nightjar is not None


async def read_state(database: Database) -> SchemaState:
    """Version 0 where there is no version document."""
    row = await database.raw["schema"].find_one({"_id": "version"}) or {}
    mark = row.get("mark") or {}
    return SchemaState(
        version=row.get("version", 0),
        target=row.get("target"),
        nightjar=row.get("nightjar"),
        migration=mark.get("migration"),
        collection=mark.get("collection"),
        after=mark.get("after"),
    )


async def is_behind(database: Database, access: Access) -> bool:
    """Whether the database is to be migrated. Raises SchemaError where this access is not possible."""
    if access is Access.LOOK:
        return False
    state = await read_state(database)
    _check_not_ahead(state)
    if state.version == SCHEMA_VERSION:
        return False
    if access is Access.WRITE or await _is_new(database, state):
        return True
    half_way = ", half-way to a later one" if state.target is not None else ""
    raise SchemaError(
        f"The database {database.raw.name!r} is of schema version {state.version}{half_way}; this Nightjar, "
        f"{NIGHTJAR_VERSION}, reads version {SCHEMA_VERSION}. Commands that only read migrate nothing. Stop every "
        f"Nightjar process that works on it, then run `{MIGRATE_COMMAND}`."
    )


async def check_not_ahead(database: Database) -> None:
    """Raises SchemaError where a newer Nightjar has migrated the database, or is at it.

    Migrations wait for the processes of other versions to end; one that was stopped for long is not waited for.
    """
    _check_not_ahead(await read_state(database))


async def migrate(database: Database, progress: MigrationProgress | None = None) -> list[str]:
    """Brings the database to this code's version; the names of the migrations that ran here.

    Waits where another process is at it. Raises SchemaError for a database that is ahead, or while processes are at
    work that write another form.
    """
    if await _is_new(database, await read_state(database)):
        await _check_nobody_writes(database, SchemaState())
        await _write_state(database, {"version": SCHEMA_VERSION, "nightjar": NIGHTJAR_VERSION})
        return []
    owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    while True:
        async with hold(LEASE, owner, LEASE_S, database) as mine:
            if mine:
                return await _migrate(database, progress or _nobody)
        state = await read_state(database)
        _check_not_ahead(state)
        if state.version == SCHEMA_VERSION:
            return []
        await asyncio.sleep(WAIT_S)


def _nobody(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def _check_not_ahead(state: SchemaState) -> None:
    newest = max(state.version, state.target or 0)
    if newest > SCHEMA_VERSION:
        raise SchemaError(
            f"The database is of schema version {newest}, written by Nightjar {state.nightjar}; this installation, "
            f"Nightjar {NIGHTJAR_VERSION}, knows version {SCHEMA_VERSION} at most. Upgrade this installation to "
            f"Nightjar {state.nightjar} or later."
        )


async def _is_new(database: Database, state: SchemaState) -> bool:
    """No version and no document but leases: whoever comes first decides on the version."""
    if state.stored:
        return False
    for name in await database.raw.list_collection_names():
        if name != "leases" and await database.raw[name].find_one({}, {"_id": 1}) is not None:
            return False
    return True


async def _migrate(database: Database, progress: MigrationProgress) -> list[str]:
    state = await read_state(database)
    _check_not_ahead(state)
    if state.version == SCHEMA_VERSION:
        return []
    await _check_nobody_writes(database, state)
    await _write_state(database, {"version": state.version, "target": SCHEMA_VERSION, "nightjar": NIGHTJAR_VERSION})
    applied = []
    for number, migration in enumerate(MIGRATIONS[state.version :], state.version + 1):
        await _apply(migration, number, state, database, progress)
        target = SCHEMA_VERSION if number < SCHEMA_VERSION else None
        await _write_state(database, {"version": number, "target": target, "mark": None})
        applied.append(migration.name)
    return applied


async def _write_state(database: Database, values: Row) -> None:
    change = {"$set": values, "$currentDate": {"changed_at": True}}
    await database.raw["schema"].update_one({"_id": "version"}, change, upsert=True)


async def _check_nobody_writes(database: Database, state: SchemaState) -> None:
    """Raises SchemaError that names the processes which write documents of another form."""
    working = [f"worker {name}" for name in await _live_workers(database)]
    dispatchers = await live_dispatchers(database)
    working += [f"dispatcher {name}" for version, name in dispatchers.items() if version != SCHEMA_VERSION]
    if working:
        raise SchemaError(
            f"The database is of schema version {state.version} and this Nightjar writes version {SCHEMA_VERSION}, but "
            f"processes of another version are at work on it: {', '.join(working)}. Stop them, then give the command "
            f"again. One that was killed is taken for alive for up to {VANISHED_S:.0f} s."
        )


async def _live_workers(database: Database) -> list[str]:
    """Ids of workers of another version that may come back, and of whoever holds a job by a fresh lease."""
    other_version: Row = {"state": {"$ne": WorkerStatus.DEAD}, "schema_version": {"$ne": SCHEMA_VERSION}}
    beating = other_version | heard_of(VANISHED_S)
    leased: Row = {"status": JobStatus.RUNNING, "$expr": {"$gte": ["$lease_until", "$$NOW"]}}
    workers = {row["_id"] async for row in database.workers.find(beating, {"_id": 1})}
    return sorted(workers | {row["owner"] async for row in database.jobs.find(leased, {"owner": 1})})


async def _apply(
    migration: Migration, number: int, begun: SchemaState, database: Database, progress: MigrationProgress
) -> None:
    """Runs one migration, from where `begun` says that it came to before it was killed."""
    names = list(migration.converts)
    resumed = begun.collection if begun.migration == number else None
    for name in names[names.index(resumed) if resumed in names else 0 :]:
        after = begun.after if name == resumed else None
        collection, convert = database.raw[name], migration.converts[name]
        total, done = await collection.estimated_document_count(), 0
        while batch := await _batch(collection, after):
            if not await _convert_batch(collection, batch, convert):
                continue  # one of them was changed in between: they are read again
            after, done = batch[-1]["_id"], done + len(batch)
            await _write_state(database, {"mark": {"migration": number, "collection": name, "after": after}})
            progress(f"{migration.name}: {name}", min(done, total), total)
    for name, index in migration.dropped_indexes:
        await _drop_index(database.raw[name], index)


async def _batch(collection: AsyncCollection[Row], after: Any) -> list[Row]:
    query: Row = {} if after is None else {"_id": {"$gt": after}}
    return await collection.find(query).sort("_id", 1).limit(BATCH).to_list()


async def _convert_batch(collection: AsyncCollection[Row], batch: list[Row], convert: Convert) -> bool:
    """Stores the new form of the documents. False where one is not any more as it was read, and stays as it is.

    A document that gets another `_id` is inserted where absent before the old one goes.
    """
    same: list[ReplaceOne[Row]] = []
    inserted: list[UpdateOne] = []
    gone: list[Any] = []
    for row in batch:
        new = convert(row)
        if new["_id"] != row["_id"]:
            rest = {name: value for name, value in new.items() if name != "_id"}
            inserted.append(UpdateOne({"_id": new["_id"]}, {"$setOnInsert": rest}, upsert=True))
            gone.append(row["_id"])
        elif new != row:
            unchanged = {"_id": row["_id"], "$expr": {"$eq": ["$$ROOT", {"$literal": row}]}}
            same.append(ReplaceOne(unchanged, new))
    if inserted:
        await collection.bulk_write(inserted, ordered=False)
        await collection.delete_many({"_id": {"$in": gone}})
    return not same or (await collection.bulk_write(same, ordered=False)).matched_count == len(same)


async def _drop_index(collection: AsyncCollection[Row], index: str) -> None:
    try:
        await collection.drop_index(index)
    except OperationFailure as error:
        if error.code not in (_INDEX_NOT_FOUND, _NAMESPACE_NOT_FOUND):
            raise
