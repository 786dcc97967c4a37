"""The dispatcher on a real MongoDB and Redis, without workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs import backlog, ownership
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.queue import Doorbell, queue_name
from nightjar.jobs.records import AttemptEnd
from nightjar.jobs.runs import control
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.jobs.status.overview import read_overview
from nightjar.jobs.status.views import ServiceState
from nightjar.pipeline.dispatch.dispatcher import Dispatcher
from nightjar.pipeline.dispatch.interrupted import finish_expansions, settle_runs
from nightjar.pipeline.dispatch.lapsed_leases import take_back_lapsed
from nightjar.pipeline.dispatch.ringing import Ringer
from nightjar.pipeline.dispatch.window import SMALLEST
from tests.workbench import MODEL, make_run, until


@pytest.fixture
async def doorbell(services: ServiceUrls) -> AsyncIterator[Doorbell]:
    doorbell = await Doorbell.connect(services.redis)
    await doorbell.redis.flushall()
    yield doorbell
    await doorbell.close()


@pytest.fixture
def ringer(database: Database, doorbell: Doorbell) -> Ringer:
    return Ringer(database, doorbell)


@pytest.fixture
def dispatcher(database: Database, doorbell: Doorbell, tmp_path: Path) -> Dispatcher:
    return Dispatcher(database, doorbell, Settings(home=tmp_path / "home"))


async def queue(doorbell: Doorbell) -> list[str]:
    return [entry.decode() for entry in await doorbell.redis.zrange(queue_name(MODEL), 0, -1)]


async def run_now(run_id: str = "r") -> Run:
    run = await Run.get(run_id)
    assert run is not None
    return run


async def test_redis_holds_a_small_window_in_order(ringer: Ringer, doorbell: Doorbell) -> None:
    """Of 200 due jobs the first few are rung for, each under its fence; ringing again changes nothing."""
    await make_run("r", sequences=200, turns=1)
    await ringer.ring()
    first = await Job.find({"run": "r"}).sort("+order").limit(SMALLEST).to_list()
    assert await queue(doorbell) == [f"{job.id}.0" for job in first]
    await ringer.ring()
    assert await doorbell.depth(MODEL) == SMALLEST


async def test_it_looks_less_often_while_nothing_changes(
    ringer: Ringer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times a second without work or with news of it; once a second while the same jobs wait and others run."""
    clock, looks, ring = 0.0, list[float](), ringer.ring

    async def look() -> None:
        looks.append(clock)
        await ring()

    async def seconds(count: int) -> list[float]:
        nonlocal clock
        looks.clear()
        for _ in range(4 * count):
            clock += 0.25
            await ringer.ring_when_due()
        return [at - looks[0] for at in looks]

    monkeypatch.setattr("nightjar.pipeline.dispatch.ringing.monotonic", lambda: clock)
    monkeypatch.setattr(ringer, "ring", look)
    assert await seconds(1) == [0, 0.25, 0.5, 0.75]
    await make_run("r", sequences=4)
    assert await seconds(4) == [0, 0.25, 0.75, 1.75, 2.75, 3.75]
    job = (await Job.find({"run": "r"}).to_list())[0]
    assert await ownership.claim({job.id: 0}, "worker", "host", 60, database)
    assert await seconds(2) == [0, 0.25, 0.75]


async def test_payloads_are_json(ringer: Ringer, doorbell: Doorbell) -> None:
    """Nothing in Redis is a pickle."""
    await make_run("r", sequences=1)
    await ringer.ring()
    for key in await doorbell.redis.keys("arq:job:*"):
        assert (await doorbell.redis.get(key)).startswith(b'{"t": null, "f": "start", "a": [')


async def test_a_lapsed_lease_is_taken_back(database: Database) -> None:
    """The job is PENDING again with a short backoff; the lapse is counted, no try is."""
    await make_run("r", sequences=1)
    job = (await Job.find({"run": "r"}).to_list())[0]
    assert await ownership.claim({job.id: 0}, "gone", "host", 0, database)
    await asyncio.sleep(0.01)
    await take_back_lapsed(database)
    now = await Job.get(job.id)
    assert now is not None
    assert (now.status, now.lapses, now.tries) == (JobStatus.PENDING, 1, 0)
    assert now.attempts[0].end is AttemptEnd.LAPSED


async def test_a_job_whose_worker_vanishes_forever_dies(database: Database) -> None:
    await make_run("r", sequences=1, max_lapses=3)
    job = (await Job.find({"run": "r"}).to_list())[0]
    for fence in range(3):
        await database.jobs.update_one({"_id": job.id}, [{"$set": {"due_at": "$$NOW"}}])
        assert await ownership.claim({job.id: fence}, "gone", "host", 0, database)
        await asyncio.sleep(0.01)
        await take_back_lapsed(database)
    now = await Job.get(job.id)
    assert now is not None
    assert (now.status, now.reason) == (JobStatus.DEAD, "its worker vanished 3 times")


async def test_an_interrupted_expansion_is_finished(database: Database) -> None:
    """A producer that died half-way: the missing jobs are added under the same ids, the run becomes ACTIVE."""
    await make_run("r", sequences=6, status=RunStatus.EXPANDING)
    before = {job.id for job in await Job.find({"run": "r"}).to_list()}
    await database.jobs.delete_many({"run": "r", "order": {"$gte": 3}})
    past = {"$subtract": ["$$NOW", 60_000]}
    await database.runs.update_one({"_id": "r"}, [{"$set": {"created_at": past}}])
    await finish_expansions("dispatcher-1", database)
    assert {job.id for job in await Job.find({"run": "r"}).to_list()} == before
    assert (await run_now()).status is RunStatus.ACTIVE


async def test_several_dispatchers_close_a_run_once(
    database: Database, doorbell: Doorbell, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Three at once: the run is DONE, with its report, and nothing fails."""
    settings = Settings(home=tmp_path / "home")
    await make_run("r", sequences=2)
    await database.jobs.update_many({"run": "r"}, {"$set": {"status": "DONE"}})
    dispatchers = [Dispatcher(database, doorbell, settings) for _ in range(3)]
    stop = asyncio.Event()
    tasks = [asyncio.create_task(dispatcher.run(stop)) for dispatcher in dispatchers]

    async def done() -> bool:
        return (await run_now()).status is RunStatus.DONE

    await until(done)
    stop.set()
    await asyncio.gather(*tasks)
    assert (settings.reports_dir / "r.html").is_file()


async def test_a_job_retried_while_its_run_closes_is_not_forgotten(
    dispatcher: Dispatcher, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry that comes between the last look and DONE makes the run ACTIVE again."""
    run = await make_run("r", sequences=2)
    await database.jobs.update_many({"run": "r"}, {"$set": {"status": "DEAD", "reason": "x"}})
    await dispatcher.advance()
    await dispatcher.advance()

    async def close(run_id: str, *_: object) -> None:
        assert await control.retry(run, database) == 2

    monkeypatch.setattr("nightjar.pipeline.closing.finish.close_run", close)
    await dispatcher.close()
    assert (await run_now()).status is RunStatus.ACTIVE


async def test_new_jobs_are_rung_for_at_once(
    dispatcher: Dispatcher, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However seldom the dispatcher looks, the judges' jobs of a run are rung for as soon as they are planned."""
    looks: list[str] = []

    async def look(_: Ringer) -> None:
        looks.append("ring")

    monkeypatch.setattr(Ringer, "ring", look)
    monkeypatch.setattr("nightjar.pipeline.dispatch.ringing.monotonic", lambda: 1.0)
    ring = {chore.__name__: chore for _, chore in dispatcher.chores()}["ring_when_due"]
    await make_run("r", sequences=1)
    await database.jobs.update_many({"run": "r"}, {"$set": {"status": "DONE"}})
    await dispatcher.advance()
    await ring()
    await ring()
    assert len(looks) == 1  # the clock stands still
    await dispatcher.advance()
    await ring()
    assert len(looks) == 2


async def test_a_report_that_cannot_be_written_does_not_keep_a_run_open(
    dispatcher: Dispatcher, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_run("r", sequences=1)
    await database.jobs.update_many({"run": "r"}, {"$set": {"status": "DONE"}})

    async def close(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("nightjar.pipeline.closing.finish.close_run", close)
    for _ in range(2):
        await dispatcher.advance()
    await dispatcher.close()
    run = await run_now()
    assert run.status is RunStatus.DONE
    assert "no space left" in str(run.status_reason)


async def test_an_interrupted_cancel_is_finished(database: Database) -> None:
    """The run was moved, its jobs were not: the next settling does it."""
    await make_run("r", sequences=3)
    await database.runs.update_one({"_id": "r"}, [{"$set": {"status": "CANCELLED", "outcome.finished_at": "$$NOW"}}])
    await settle_runs(database)
    assert {job.status for job in await Job.find({"run": "r"}).to_list()} == {JobStatus.CANCELLED}


async def test_the_overview_counts_and_explains(database: Database) -> None:
    """Counts by status, turns, retries, dead jobs by reason, and why what waits is waiting."""
    await make_run("r", sequences=10, turns=2)
    ids = [job.id for job in await Job.find({"run": "r"}).sort("+order").to_list()]
    done = {"status": "DONE", "turns_committed": 2, "turns_empty": 1}
    await database.jobs.update_many({"_id": {"$in": ids[:3]}}, {"$set": done})
    dead = {"status": "DEAD", "reason": "ContextError: 9 tokens", "fence": 3, "tries": 1, "lapses": 1}
    await database.jobs.update_many({"_id": {"$in": ids[3:5]}}, {"$set": dead})
    overview = await read_overview(database, ServiceState(ok=True))
    view = overview.runs[0]
    assert view.jobs == {"PENDING": 5, "RUNNING": 0, "DONE": 3, "DEAD": 2, "CANCELLED": 0}
    assert view.turns == {"committed": 6, "empty": 3}
    assert view.retries == 4
    assert [(row.kind, row.count) for row in overview.dead] == [("ContextError", 2)]
    assert [(row.model, row.waiting, row.reason) for row in overview.queues] == [(MODEL, 5, "no worker for model")]
    assert overview.stalled
    await control.pause(await run_now(), database)
    overview = await read_overview(database, ServiceState(ok=True))
    assert (overview.queues[0].reason, overview.stalled) == ("paused", False)


async def test_backlog_of_a_burst_worker(database: Database) -> None:
    """It has work while a run that works, or is being written, has an open job of its model."""
    run = await make_run("r", sequences=1)
    assert await backlog.model_has_work(MODEL, database)
    assert not await backlog.model_has_work("another", database)
    assert not await backlog.model_has_work(MODEL, database, without=["r"])
    await control.pause(run, database)
    assert not await backlog.model_has_work(MODEL, database)
