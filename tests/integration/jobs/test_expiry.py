"""What is kept for a while only goes by age, whoever wrote it: the dispatcher's chore, on a real MongoDB."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.night_settings import NightSettings
from nightjar.config.settings import Settings
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import RunStatus
from tests.workbench import make_run, opened_bench

KEEP = NightSettings(keep_records_days=30)


async def retain(database: Database, services: ServiceUrls, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", night=KEEP)
    async with opened_bench(database, services, settings) as bench:
        await bench.dispatcher.retain()


async def ids(name: str, database: Database) -> set[str]:
    return {row["_id"] async for row in database.raw[name].find({}, {"_id": 1})}


@pytest.fixture
async def now(database: Database) -> datetime:
    return await database.now()


async def test_crashes_and_calls(database: Database, services: ServiceUrls, tmp_path: Path, now: datetime) -> None:
    """A call that is still to be made stays, however old. One that is unsure counts from when it was written."""
    old, new = now - timedelta(days=31), now - timedelta(days=29)
    crashes = [{"_id": name, "at": at, "worker": "w", "held": []} for name, at in (("old", old), ("new", new))]
    await database.raw["crashes"].insert_many(crashes)
    calls = [
        ("old", "delivered", old, old),
        ("new", "delivered", old, new),
        ("unsure", "unsure", old, None),
        ("waiting", "waiting", old, None),
    ]
    await database.raw["deliveries"].insert_many(
        [
            {"_id": name, "run": "r", "state": state, "created_at": begun, "finished_at": ended, "due_at": begun}
            for name, state, begun, ended in calls
        ]
    )
    await retain(database, services, tmp_path)
    assert await ids("crashes", database) == {"new"}
    assert await ids("deliveries", database) == {"new", "waiting"}


async def test_leases(database: Database, services: ServiceUrls, tmp_path: Path, now: datetime) -> None:
    """A week after they lapsed."""
    ages = {"held": -1, "lapsed": 6, "old": 8}
    rows = [{"_id": name, "owner": "w", "until": now - timedelta(days=days)} for name, days in ages.items()]
    await database.leases.insert_many(rows)
    await retain(database, services, tmp_path)
    assert {"held", "lapsed"} <= await ids("leases", database)
    assert "old" not in await ids("leases", database)


async def test_workers(database: Database, services: ServiceUrls, tmp_path: Path, now: datetime) -> None:
    """Rows of workers that vanished become records; old records go, but for those that a run's report reads."""

    def worker(name: str, begun_days: float, beat_days: float) -> dict[str, object]:
        begun, beat = (now - timedelta(days=days) for days in (begun_days, beat_days))
        return {"_id": name, "state": "ready", "started_at": begun, "beat_at": beat, "process_peak_bytes": 7}

    await make_run("kept", status=RunStatus.DONE)
    worked = {"created_at": now - timedelta(days=100), "outcome.finished_at": now - timedelta(days=99)}
    await database.runs.update_one({"_id": "kept"}, {"$set": worked})
    await make_run("dropped", status=RunStatus.DONE)
    dropped = {"created_at": now - timedelta(days=60), "outcome.finished_at": now - timedelta(days=50)}
    await database.runs.update_one({"_id": "dropped"}, {"$set": {**dropped, "transcripts_dropped_at": now}})
    await database.workers.insert_many(
        [worker("here", 3, 0), worker("silent", 3, 0.5), worker("gone", 3, 2), worker("long gone", 55, 52)]
    )
    await database.worker_records.insert_many(
        [worker("of the run", 101, 99.5), worker("of nobody", 70, 65), worker("recent", 29, 28)]
    )
    await retain(database, services, tmp_path)
    assert await ids("workers", database) == {"here", "silent"}
    assert await ids("worker_records", database) == {"gone", "of the run", "recent"}
    row = await database.worker_records.find_one({"_id": "gone"})
    assert row is not None
    assert row["process_peak_bytes"] == 7
