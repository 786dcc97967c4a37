"""Removing runs, on a real MongoDB: in batches, finished by anybody, and never under somebody's hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from itertools import pairwise
from pathlib import Path

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import UsageError
from nightjar.config.settings import Settings
from nightjar.jobs import leases
from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Baseline
from nightjar.jobs.runs import removal
from nightjar.jobs.runs.control import pinned_runs
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.closing.close import close_run
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.collect.run_scorers import RunScorers
from nightjar.pipeline.collect.scoring import scored_jobs
from nightjar.pipeline.compare.baseline import read_baseline, set_baseline
from nightjar.pipeline.nights.night_store import read_nights
from nightjar.pipeline.transcripts import JobRow
from tests import factories
from tests.workbench import make_run, opened_bench, until


async def documents(database: Database) -> dict[str, int]:
    names = ("runs", "jobs", "scores", "nights")
    return {name: await database.raw[name].count_documents({}) for name in names}


async def begin(run: Run, database: Database) -> None:
    """A removal that was killed before it deleted anything."""
    await database.runs.update_one({"_id": run.id}, {"$set": {"status": RunStatus.REMOVING}})


async def test_it_goes_in_batches_and_says_how_far_it_is(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "BATCH", 5)
    run = await factories.store(database)
    await close_run(run, database, tmp_path)
    await make_run("other")
    before = await documents(database)
    seen: list[tuple[int, int]] = []
    count = await removal.remove_run(run, database, lambda done, total: seen.append((done, total)))
    assert count == before["jobs"] - 4
    steps = [0, *(done for done, _ in seen)]
    assert {later - earlier for earlier, later in pairwise(steps)} <= {1, 2, 3, 4, 5}
    assert seen[-1] == (count + before["scores"], count + before["scores"])
    assert await documents(database) == {"runs": 1, "jobs": 4, "scores": 0, "nights": 0}


async def test_a_dispatcher_finishes_it(database: Database, services: ServiceUrls, settings: Settings) -> None:
    run = await factories.store(database)
    await begin(run, database)

    async def gone() -> bool:
        return await documents(database) == {"runs": 0, "jobs": 0, "scores": 0, "nights": 0}

    async with opened_bench(database, services, settings) as bench, bench.dispatching():
        await until(gone)


async def test_it_waits_for_whoever_writes_its_report(database: Database) -> None:
    """Else scores would be stored for a run that is gone."""
    run = await make_run("r", status=RunStatus.STOPPED)
    async with leases.hold(leases.closing_lease("r"), "dispatcher", 30, database):
        removing = asyncio.create_task(removal.remove_run(run, database))

        async def marked() -> bool:
            return await Run.find_one({"_id": "r", "status": RunStatus.REMOVING}) is not None

        await until(marked)
        assert await removal.finish_removals("another", database) == []
        assert (await documents(database))["jobs"] == 4
    assert await removing == 4
    assert (await documents(database))["runs"] == 0


async def test_two_that_remove_it_at_once(database: Database) -> None:
    run = await make_run("r", sequences=50, status=RunStatus.CANCELLED)
    await asyncio.gather(*(removal.remove_run(run, database) for _ in range(2)))
    assert (await documents(database))["runs"] == 0


async def test_a_run_that_becomes_a_baseline_meanwhile_stays(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody sets it between the look and the mark: it is as it was."""
    run = await factories.store(database)
    looks = 0

    async def look(connected: Database) -> frozenset[str]:
        nonlocal looks
        looks += 1
        found = await pinned_runs(connected)
        if looks == 1:
            await Baseline(id="sample", run=run.id, run_name=run.name, set_at=factories.START).save()
        return found

    monkeypatch.setattr("nightjar.jobs.runs.removal.pinned_runs", look)
    with pytest.raises(UsageError, match="is a baseline"):
        await removal.remove_run(run, database)
    now = await Run.get(run.id)
    assert now is not None
    assert (now.status, now.status_reason) == (run.status, run.status_reason)
    assert (await documents(database))["jobs"] > 0


async def test_nobody_reads_a_run_that_is_being_removed(database: Database) -> None:
    """Neither as a report, nor as a night, nor as a baseline that was set when it was whole."""
    run = await factories.store(database)
    other = run.model_copy(update={"id": "other", "name": "other"})
    await set_baseline(run, None, database)
    await begin(run, database)
    with pytest.raises(UsageError, match="is being removed"):
        await collect(run.id, database)
    assert await read_nights("sample", 10, database) == []
    assert await read_baseline(other, None, database) == await read_baseline(
        other.model_copy(update={"suite_name": "without a baseline"}), None, database
    )
    with pytest.raises(UsageError, match="only a run that is DONE"):
        await set_baseline(run.model_copy(update={"status": RunStatus.REMOVING}), None, database)
    await database.raw["baselines"].delete_many({})
    with pytest.raises(UsageError, match="was removed"):
        await set_baseline(run, None, database)
    assert await database.raw["baselines"].count_documents({}) == 0


async def test_a_report_that_was_being_read_is_given_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The removal begins after the run was found and before its last job was read."""
    run = await factories.store(database)

    async def read_and_remove(scorers: RunScorers, batches: AsyncIterable[list[JobRow]]) -> list[JobRow]:
        jobs = await scored_jobs(scorers, batches)
        await begin(run, database)
        return jobs

    monkeypatch.setattr("nightjar.pipeline.collect.collector.scored_jobs", read_and_remove)
    with pytest.raises(UsageError, match="is being removed"):
        await collect(run.id, database)
