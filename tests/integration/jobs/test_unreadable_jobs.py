"""Jobs whose documents cannot be read, on a real MongoDB: each ends or is left to others, and hinders none."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.jobs import backlog, ownership
from nightjar.jobs.documents import Job
from nightjar.jobs.machines.worker_documents import WorkerState
from nightjar.jobs.migrations import SCHEMA_VERSION
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.states import JobStatus
from nightjar.pipeline.dispatch.lapsed_leases import take_back_lapsed
from tests.documents import a_job, a_run, a_turn

A_TURN = a_turn(0).model_dump(mode="python")
DAMAGED: list[tuple[dict[str, Any], str]] = [
    ({"turns": [{"index": 0}]}, "turns.0"),
    ({"attempts": "none"}, "attempts"),
    ({"tries": "three"}, "tries"),
    ({"sequence_document": None}, "sequence_document"),
    ({"turns": [A_TURN | {"prompt": 5}], "turns_committed": 1}, "turns.0.prompt"),
]
NEWER: list[dict[str, Any]] = [
    {"turns": [A_TURN | {"thinking_level": "high"}], "turns_committed": 1},
    {"kind": "likelihood"},
]


async def two_jobs(database: Database, damage: dict[str, Any]) -> None:
    """A healthy job, and one with this damage."""
    await a_run().insert()
    await a_job("healthy").insert()
    await a_job("damaged", order=1).insert()
    await database.jobs.update_one({"_id": "damaged"}, {"$set": damage})


async def row(database: Database) -> dict[str, Any]:
    found = await database.jobs.find_one({"_id": "damaged"})
    assert found is not None
    return found


async def claimed(database: Database) -> list[str]:
    jobs = await ownership.claim({"healthy": 0, "damaged": 0}, "w", "host", 30, database)
    return [job.id for job in jobs]


async def newer_worker(model: str = "m", schema_version: int = 999) -> None:
    now = utc_now()
    state = {"id": "new:1:1", "host": "new", "pid": 1, "model": model, "state": "ready", "started_at": now}
    await WorkerState(**state, beat_at=now, schema_version=schema_version).insert()


@pytest.mark.parametrize(("damage", "field"), DAMAGED)
async def test_a_damaged_job_ends_with_its_reason_before_it_is_claimed(
    database: Database, damage: dict[str, Any], field: str
) -> None:
    """It names the field; the document is kept as it was, and the job can be read again."""
    await two_jobs(database, damage)
    await newer_worker()
    stored = await row(database)
    assert await claimed(database) == ["healthy"]
    dead = await Job.get("damaged")
    assert dead is not None
    assert dead.status is JobStatus.DEAD
    assert dead.reason is not None
    assert dead.reason.startswith(f"it cannot be read: {field}")
    assert dead.attempts == []
    kept = await database.raw["put_aside"].find_one({"_id": "damaged"})
    assert kept is not None
    assert kept["row"] == stored
    assert (kept["run"], kept["collection"]) == ("run1", "jobs")


@pytest.mark.parametrize("damage", NEWER)
async def test_what_a_newer_version_wrote_is_left_to_its_workers(database: Database, damage: dict[str, Any]) -> None:
    """The job stays as it is and is due again soon, so that it does not fill the queue either."""
    await two_jobs(database, damage)
    await newer_worker()
    before = await row(database)
    assert await claimed(database) == ["healthy"]
    after = await row(database)
    assert after.pop("due_at") > before.pop("due_at")
    assert after == before


@pytest.mark.parametrize("damage", NEWER)
async def test_without_such_a_worker_it_ends_and_nothing_of_it_is_lost(
    database: Database, damage: dict[str, Any]
) -> None:
    """A newer worker of another model, or one of this version, can do nothing for it."""
    await two_jobs(database, damage)
    await newer_worker(model="other")
    before = await row(database)
    assert await claimed(database) == ["healthy"]
    after = await row(database)
    assert after["status"] == JobStatus.DEAD
    assert "upgrade this worker, then `nightjar run retry`" in after["reason"]
    assert {name: after[name] for name in damage} == {name: before[name] for name in damage}


async def test_a_job_that_the_queue_cannot_hold_ends_too(database: Database) -> None:
    """Without a fence that is a number it cannot be rung for."""
    await two_jobs(database, {"fence": "one"})
    assert await backlog.due("m", "run1", 10, database) == [("healthy", 0)]
    assert (await row(database))["status"] == JobStatus.DEAD


async def test_a_job_that_is_due_at_no_time_ends(database: Database) -> None:
    await two_jobs(database, {"due_at": "soon"})
    assert await claimed(database) == ["healthy"]
    assert (await row(database))["status"] == JobStatus.DEAD


async def test_a_damaged_job_whose_lease_lapsed_holds_up_no_other(database: Database) -> None:
    await two_jobs(database, {})
    assert len(await ownership.claim({"healthy": 0, "damaged": 0}, "w", "host", 0, database)) == 2
    await database.jobs.update_one({"_id": "damaged"}, {"$set": {"lapses": "many", "attempts": 7}})
    await take_back_lapsed(database)
    assert {job["_id"]: job["status"] async for job in database.jobs.find({})} == {
        "healthy": JobStatus.PENDING,
        "damaged": JobStatus.DEAD,
    }


async def test_a_beat_that_is_newer_by_its_nightjar_version_counts(database: Database) -> None:
    """Versions of Nightjar that share a schema version can differ in what they write, too."""
    await two_jobs(database, NEWER[1])
    await newer_worker(schema_version=0)
    await database.workers.update_one({"_id": "new:1:1"}, {"$set": {"nightjar_version": "99.0"}})
    assert await claimed(database) == ["healthy"]
    assert (await row(database))["status"] == JobStatus.DEAD
    await database.jobs.update_one({"_id": "damaged"}, {"$set": {"status": JobStatus.PENDING}})
    await database.workers.update_one({"_id": "new:1:1"}, {"$set": {"schema_version": SCHEMA_VERSION}})
    assert await claimed(database) == []
    assert (await row(database))["status"] == JobStatus.PENDING
