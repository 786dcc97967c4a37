"""The schema version on a real MongoDB: who migrates, who refuses, and migrations that are killed or meet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import SchemaError
from nightjar.jobs import schema
from nightjar.jobs.database import Access, connect
from nightjar.jobs.leases import mark_dispatcher
from nightjar.jobs.migrations import MIGRATIONS, SCHEMA_VERSION, Migration
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.schema import migrate, read_state
from nightjar.workers.process.heartbeat import Heartbeat
from tests.old_data import put_old_data, snapshot


@pytest.fixture
async def old(database: Database) -> Database:
    """A database that e84adcd left behind, with no process working on it."""
    await put_old_data(database)
    return database


async def reopened(database: Database, services: ServiceUrls, access: Access) -> None:
    async with await connect(services.mongo, database.raw.name, access=access):
        pass


async def test_an_empty_database_gets_todays_version_at_once(database: Database, services: ServiceUrls) -> None:
    for access in (Access.READ, Access.WRITE):
        await database.client.drop_database(database.raw.name)
        await reopened(database, services, access)
        state = await read_state(database)
        assert (state.version, state.stored) == (SCHEMA_VERSION, True), access


async def test_reading_refuses_an_older_database_and_changes_nothing(old: Database, services: ServiceUrls) -> None:
    before = await snapshot(old)
    with pytest.raises(SchemaError, match=r"schema version 0.*reads version \d+.*nightjar services migrate"):
        await reopened(old, services, Access.READ)
    await reopened(old, services, Access.LOOK)
    after = await snapshot(old)
    assert {name: after[name] for name in before} == before
    assert not (await read_state(old)).stored


async def test_writing_migrates_an_older_database(old: Database, services: ServiceUrls) -> None:
    shown: list[tuple[str, int, int]] = []

    def progress(*values: Any) -> None:
        shown.append(values)

    async with await connect(services.mongo, old.raw.name, progress=progress):
        pass
    assert (await read_state(old)).version == SCHEMA_VERSION
    assert {what.partition(":")[0] for what, _, _ in shown} == {
        migration.name for migration in MIGRATIONS if migration.converts
    }
    assert all(0 < done <= total for _, done, total in shown)
    await reopened(old, services, Access.READ)
    indexes = await old.runs.index_information()
    assert "outcome_untold" in indexes
    assert "untold" not in indexes


@pytest.mark.parametrize("access", [Access.READ, Access.WRITE])
async def test_a_newer_database_is_refused(access: Access, database: Database, services: ServiceUrls) -> None:
    """Also a database that a newer Nightjar has started to migrate."""
    newer = {"nightjar": "9.9.9", "changed_at": await database.now()}
    why = rf"version {SCHEMA_VERSION + 1}, written by Nightjar 9.9.9.*Upgrade this"
    for versions in ({"version": SCHEMA_VERSION + 1}, {"version": SCHEMA_VERSION, "target": SCHEMA_VERSION + 1}):
        await database.raw["schema"].replace_one({"_id": "version"}, newer | versions, upsert=True)
        with pytest.raises(SchemaError, match=why):
            await reopened(database, services, access)


async def a_fresh_beat(old: Database) -> str:
    await old.workers.update_one({"state": "ready"}, [{"$set": {"beat_at": "$$NOW"}}])
    return "worker old-host:"


async def a_dispatchers_mark(old: Database) -> str:
    until = await old.now() + timedelta(seconds=9)
    await old.leases.update_one({"_id": "dispatcher"}, {"$set": {"until": until}})
    return "dispatcher dispatcher-"


async def a_jobs_lease(old: Database) -> str:
    until = await old.now() + timedelta(seconds=9)
    await old.workers.delete_many({})
    await old.jobs.update_one({"status": "RUNNING"}, {"$set": {"lease_until": until}})
    return "worker old-host:"


@pytest.mark.parametrize("alive", [a_fresh_beat, a_dispatchers_mark, a_jobs_lease])
async def test_processes_of_another_version_are_named_and_nothing_is_migrated(
    alive: Callable[[Database], Any], old: Database
) -> None:
    named = await alive(old)
    before = await snapshot(old)
    with pytest.raises(SchemaError, match=rf"at work on it: {named}.*Stop them"):
        await migrate(old)
    after = await snapshot(old)
    assert {name: rows for name, rows in after.items() if name != "leases"} == {
        name: rows for name, rows in before.items() if name != "leases"
    }


async def test_a_worker_that_died_long_ago_holds_nothing_up(old: Database) -> None:
    """The fixture's own: beats and leases are old, and the one whose death was seen is no worker at all."""
    await old.workers.update_one({"state": "dead"}, [{"$set": {"beat_at": "$$NOW"}}])
    assert await migrate(old) == [migration.name for migration in MIGRATIONS]


async def test_processes_of_this_version_hold_nothing_up(old: Database) -> None:
    """A beat and a dispatcher's mark carry the version."""
    await Heartbeat(worker="w", host="h", pid=1, model="m", beat_s=1, database=old).write()
    await mark_dispatcher("d", old)
    row = await old.workers.find_one({"_id": "w"})
    assert row is not None
    assert row["schema_version"] == SCHEMA_VERSION
    assert await migrate(old)


async def test_a_killed_migration_goes_on_where_it_was(old: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle of the scores: batches that were done are not read again, and the result is the same."""
    monkeypatch.setattr(schema, "BATCH", 20)
    batches: list[Any] = []
    batch = schema._batch

    async def dying(collection: Any, after: Any) -> list[Row]:
        if collection.name == "scores":
            batches.append(after)
            if len(batches) == 5:
                raise asyncio.CancelledError
        return await batch(collection, after)

    monkeypatch.setattr(schema, "_batch", dying)
    with pytest.raises(asyncio.CancelledError):
        await migrate(old)
    state = await read_state(old)
    assert (state.version, state.target, state.collection) == (1, SCHEMA_VERSION, "scores")
    assert state.after == batches[-1]
    with pytest.raises(SchemaError, match="half-way"):
        await schema.is_behind(old, Access.READ)
    begun = list(batches)
    await migrate(old)
    assert batches[len(begun)] == begun[-1]
    killed = await _documents(old)
    await put_old_data(old)
    await migrate(old)
    assert await _documents(old) == killed


async def test_two_that_migrate_at_once_do_it_once(old: Database, services: ServiceUrls) -> None:
    applied = await asyncio.gather(*(_migrated(old, services) for _ in range(3)))
    assert sorted(map(len, applied)) == [0, 0, len(MIGRATIONS)]
    assert (await read_state(old)).version == SCHEMA_VERSION


async def test_a_document_that_changes_meanwhile_is_read_again(old: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document is replaced only if it is still as it was read, so that no other write is lost."""
    batch, meddled = schema._batch, False

    async def meddling(collection: Any, after: Any) -> list[Row]:
        nonlocal meddled
        rows = await batch(collection, after)
        if collection.name == "runs" and not meddled:
            meddled = True
            await collection.update_many({}, {"$set": {"priority": 77}})
        return rows

    monkeypatch.setattr(schema, "_batch", meddling)
    await migrate(old)
    runs = await old.runs.find().to_list()
    assert {run["priority"] for run in runs} == {77}
    assert all("outcome" in run and "untold" not in run for run in runs)


async def test_a_second_migration_does_nothing(old: Database) -> None:
    await migrate(old)
    before = await _documents(old)
    assert await migrate(old) == []
    assert await _documents(old) == before


def _noted(row: Row) -> Row:
    return row | {"noted": True}


async def test_a_later_migration_refuses_workers_of_the_version_before(
    old: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this version's processes leave behind is what the next one looks for."""
    await migrate(old)
    await Heartbeat(worker="w", host="h", pid=1, model="m", beat_s=1, database=old).write()
    await mark_dispatcher("d", old)
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, Migration(name="note", converts={"suites": _noted})))
    monkeypatch.setattr(schema, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with pytest.raises(SchemaError, match="worker w, dispatcher d"):
        await migrate(old)
    await old.workers.delete_one({"_id": "w"})
    await old.leases.delete_many({})
    assert await migrate(old) == ["note"]
    assert await old.raw["suites"].count_documents({"noted": True}) == 1


async def _documents(database: Database) -> dict[str, list[Row]]:
    """All but the leases and the version, which hold the time of day."""
    return {name: rows for name, rows in (await snapshot(database)).items() if name not in ("leases", "schema")}


async def _migrated(database: Database, services: ServiceUrls) -> list[str]:
    async with await connect(services.mongo, database.raw.name, documents=False, access=Access.LOOK) as own:
        return await migrate(own)
