"""The worker and the dispatcher together, on the scripted engine, with a real MongoDB and Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.documents import Job, PublishedModel, Run, RunModel
from nightjar.jobs.identity import chain_digest, turn_seed
from nightjar.jobs.machines.worker_documents import WorkerState
from nightjar.jobs.mongo import Database
from nightjar.jobs.runs import control
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.workers.engine.fake import Faults, ScriptedEngine
from tests.workbench import Bench, make_run, opened_bench, statuses, until


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(
        database, services, Settings(home=tmp_path / "home", lease_s=15, beat_s=0.2, drain_s=5)
    ) as bench:
        yield bench


async def done(run_id: str) -> bool:
    run = await Run.get(run_id)
    return run is not None and run.status is RunStatus.DONE


async def test_a_run_is_generated_and_closed(bench: Bench) -> None:
    """Every turn is committed once, in order, with its chain, seed and parameters; the run ends DONE."""
    await make_run("r", sequences=6, turns=3)
    async with bench.dispatching(), bench.worker(ScriptedEngine(slots=2), burst=True) as worker:
        assert await asyncio.wait_for(worker.task, 120) == 0
        await until(lambda: done("r"))
    jobs = await Job.find({"run": "r"}).sort("+order").to_list()
    assert [job.status for job in jobs] == [JobStatus.DONE] * 6
    for job in jobs:
        chain = ""
        for index, turn in enumerate(job.turns):
            chain = chain_digest(chain, index, turn.prompt, turn.draw.reply_ids or ())
            assert turn.chain == chain
            assert turn.draw.seed == turn_seed(7, job.sequence_digest, 0, index)
        assert [turn.index for turn in job.turns] == [0, 1, 2]
        assert job.turns[1].reprefill_reason is None
        assert job.turns[1].reused_tokens > 0
    run = await Run.get("r")
    assert run is not None
    assert run.models[0].digest == worker.engine.facts.digest
    assert run.models[0].loads[0].probe is None
    assert await PublishedModel.get("scripted") is not None


async def test_the_same_seed_gives_the_same_text(bench: Bench) -> None:
    """Two runs with one seed agree reply by reply."""
    await make_run("a", sequences=3)
    await make_run("b", sequences=3)
    async with bench.dispatching(), bench.worker(ScriptedEngine(slots=1), burst=True) as worker:
        assert await asyncio.wait_for(worker.task, 120) == 0
    texts = {
        run: [[t.draw.reply for t in job.turns] for job in await Job.find({"run": run}).sort("+order").to_list()]
        for run in ("a", "b")
    }
    assert texts["a"] == texts["b"]
    assert len({reply for job in texts["a"] for reply in job}) == 6


async def test_a_flushed_redis_costs_latency_only(bench: Bench) -> None:
    """FLUSHALL again and again while a run works: the dispatcher rings again."""
    await make_run("r", sequences=20, turns=2)
    async with bench.dispatching(), bench.worker(ScriptedEngine(slots=2, token_delay_s=0.0005), burst=True) as worker:
        while not worker.task.done():
            await bench.doorbell.redis.flushall()
            await asyncio.sleep(0.4)
    assert await statuses("r") == {JobStatus.DONE: 20}


async def test_another_file_under_the_same_name_is_refused(bench: Bench) -> None:
    """The run has fixed a digest; a worker with another file does none of its jobs and names both digests."""
    await make_run("r", models=[RunModel(name="scripted", digest="a" * 64)])
    async with bench.dispatching(), bench.worker(ScriptedEngine(digest="b" * 64), burst=True) as worker:
        assert await asyncio.wait_for(worker.task, 120) != 0
        assert worker.beat.reason is not None
        assert "a" * 64 in worker.beat.reason
        assert "b" * 64 in worker.beat.reason
    assert await statuses("r") == {JobStatus.PENDING: 4}


async def test_pause_stops_running_jobs_and_resume_goes_on(bench: Bench) -> None:
    """Within seconds, though replies take long; committed turns stay, and no try is counted."""
    run = await make_run("r", sequences=4, turns=3)
    async with bench.dispatching(), bench.worker(ScriptedEngine(slots=2, token_delay_s=0.004)) as worker:
        await until(lambda: Job.find({"turns_committed": {"$gte": 1}}).count())
        run = await control.pause(run, bench.database)
        await until(lambda: worker.engine.stats().slots_used == 0, within_s=5)
        assert set(await statuses("r")) <= {JobStatus.PENDING, JobStatus.DONE}
        before = {job.id: job.turns for job in await Job.find({"run": "r"}).to_list()}
        await control.resume(run, bench.database)
        await until(lambda: done("r"), within_s=40)
    for job in await Job.find({"run": "r"}).to_list():
        assert job.turns[: len(before[job.id])] == before[job.id]
        assert job.tries == 0


async def test_cancel_ends_running_jobs(bench: Bench) -> None:
    run = await make_run("r", sequences=4, turns=2)
    async with bench.dispatching(), bench.worker(ScriptedEngine(slots=2, token_delay_s=0.02)) as worker:
        await until(lambda: worker.engine.stats().slots_used == 2)
        await control.cancel(run, bench.database)
        await until(lambda: worker.engine.stats().slots_used == 0, within_s=5)
    assert await statuses("r") == {JobStatus.CANCELLED: 4}


async def test_a_drain_gives_jobs_back_without_counting_a_try(bench: Bench) -> None:
    """Running turns end and are committed; what is left is PENDING, and another worker finishes it."""
    await make_run("r", sequences=6, turns=4)
    async with bench.dispatching():
        async with bench.worker(ScriptedEngine(slots=2, token_delay_s=0.002), name="one:1:1") as first:
            await until(lambda: Job.find({"turns_committed": {"$gte": 1}}).count())
            first.process.drain()
            assert await asyncio.wait_for(first.task, 10) == 0
        left = await Job.find({"run": "r"}).to_list()
        assert {job.status for job in left} <= {JobStatus.PENDING, JobStatus.DONE}
        assert all(job.owner is None or job.status is JobStatus.DONE for job in left)
        async with bench.worker(ScriptedEngine(slots=2), burst=True, name="two:1:1") as second:
            assert await asyncio.wait_for(second.task, 120) == 0
    for job in await Job.find({"run": "r"}).to_list():
        assert (job.status, job.tries, job.lapses, job.turns_committed) == (JobStatus.DONE, 0, 0, 4)


async def test_a_drain_past_its_deadline_drops_the_turn(bench: Bench) -> None:
    """A reply that takes forever is cancelled, and its job is released."""
    await make_run("r", sequences=2, turns=1)
    bench.settings = bench.settings.model_copy(update={"drain_s": 0.3})
    async with bench.dispatching(), bench.worker(ScriptedEngine(slots=2, token_delay_s=0.05)) as worker:
        await until(lambda: worker.engine.stats().slots_used == 2)
        worker.process.drain()
        assert await asyncio.wait_for(worker.task, 5) == 0
    assert await statuses("r") == {JobStatus.PENDING: 2}
    assert all(job.tries == 0 for job in await Job.find({"run": "r"}).to_list())


async def test_a_failing_decode_makes_suspects_that_run_alone_and_end_well(bench: Bench) -> None:
    """One decode fails with several jobs in it: none of them dies, each runs alone, all end DONE."""
    await make_run("r", sequences=6, turns=2)
    engine = ScriptedEngine(slots=3, faults=Faults(raise_at=40))
    async with bench.dispatching(), bench.worker(engine, burst=True) as worker:
        assert await asyncio.wait_for(worker.task, 120) == 0
    jobs = await Job.find({"run": "r"}).to_list()
    assert {job.status for job in jobs} == {JobStatus.DONE}
    assert sum(job.crashes for job in jobs) >= 1


async def test_what_cannot_succeed_dies_at_once_with_its_reason(bench: Bench) -> None:
    """A prompt longer than the context: no second try."""
    await make_run("r", sequences=2, turns=1)
    async with bench.dispatching(), bench.worker(ScriptedEngine(context=24, slots=1), burst=True) as worker:
        assert await asyncio.wait_for(worker.task, 120) == 0
    for job in await Job.find({"run": "r"}).to_list():
        assert (job.status, job.tries) == (JobStatus.DEAD, 1)
        assert job.reason is not None
        assert job.reason.startswith("ContextError")


async def test_a_run_stops_itself_at_its_failure_limit(bench: Bench) -> None:
    """`fail_on_error` 2: after the second dead job the run is STOPPED and says why."""
    await make_run("r", sequences=30, turns=1, fail_on_error=2.0)
    async with bench.dispatching(), bench.worker(ScriptedEngine(context=24, slots=1)):

        async def stopped() -> Run | None:
            run = await Run.get("r")
            return run if run is not None and run.status is RunStatus.STOPPED else None

        run = await until(stopped)
    assert "fail_on_error is 2" in run.status_reason


async def test_the_beat_tells_what_the_worker_does(bench: Bench) -> None:
    """Slots in use and tokens per second while it works; an orderly end takes the worker off the list."""
    await make_run("r", sequences=4, turns=2)
    async with bench.dispatching(), bench.worker(ScriptedEngine(slots=2, token_delay_s=0.002)):

        async def busy() -> WorkerState | None:
            state = await WorkerState.get("host:1:1")
            return state if state is not None and state.slots_used == 2 and state.tokens_per_s > 0 else None

        state = await until(busy)
        assert (state.state, state.model, state.slots, state.device) == ("ready", "scripted", 2, "scripted")


async def test_higher_priority_goes_first(bench: Bench) -> None:
    """A run enqueued later with a higher priority overtakes one that already fills the window."""
    await make_run("low", sequences=60, turns=1)
    async with bench.dispatching(), bench.worker(ScriptedEngine(slots=2, token_delay_s=0.001)):
        await until(lambda: Job.find({"run": "low", "status": "DONE"}).count())
        await make_run("high", sequences=4, turns=1, priority=5)
        await until(lambda: Job.find({"run": "high", "order": 3, "status": "DONE"}).count())
        assert await Job.find({"run": "low", "status": "PENDING"}).count() > 20
