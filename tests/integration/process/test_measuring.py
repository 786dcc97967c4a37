"""When a worker measures its model's speed: after its work or while nobody waits, once, and never in anybody's way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.documents import Run
from nightjar.jobs.machines.speeds import SpeedKey, keep_speed, known_speed
from nightjar.jobs.models import ProbeKind, SpeedProbe
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import RunStatus, WorkerStatus
from nightjar.pipeline.collect.collector import collect
from nightjar.workers.engine.fake import ScriptedEngine
from nightjar.workers.engine.request import Generation, Request, TextTap
from nightjar.workers.process import measuring
from tests.workbench import Bench, make_run, opened_bench, until

KEY = SpeedKey(digest="0" * 64, machine="a test's", settings={})
KNOWN = SpeedProbe(
    kind=ProbeKind.TIME,
    measured_at=datetime(2026, 11, 1, tzinfo=UTC),
    prompt_tokens=1,
    generated_tokens=2,
    slots=2,
    prefill_tokens_per_s=3.0,
    decode_tokens_per_s=4.0,
    by_slots={1: 4.0, 2: 6.0},
)


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    settings = Settings(home=tmp_path / "home", lease_s=15, beat_s=0.2, drain_s=5)
    async with opened_bench(database, services, settings) as bench:
        yield bench


@pytest.fixture(autouse=True)
def _soon_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "IDLE_S", 0.1)


class Noting(ScriptedEngine):
    """Notes the requests it is asked, in order."""

    def __init__(self, **how: Any) -> None:
        super().__init__(slots=2, **how)
        self.asked: list[str] = []

    async def generate(self, request: Request, tap: TextTap | None = None) -> Generation:
        self.asked.append(request.id)
        return await super().generate(request, tap)

    @property
    def probes(self) -> list[bool]:
        """Of the requests, which measured."""
        return [name.startswith("speed-probe") for name in self.asked]


async def done(run_id: str) -> bool:
    run = await Run.get(run_id)
    return run is not None and run.status is RunStatus.DONE


async def test_no_reply_waits_for_the_probe(bench: Bench) -> None:
    """It was 52 of the 59 seconds before the first reply. Now the worker is ready with nothing measured, measures after
    its last job, and the report has what it found, with its date and tokens."""
    await make_run("r", sequences=3, turns=2)
    engine = Noting()
    async with bench.dispatching(), bench.worker(engine, burst=True, probe=None) as worker:
        assert await asyncio.wait_for(worker.task, 120) == 0
        await worker.beat.leave()
        await until(lambda: done("r"))
    assert engine.probes == sorted(engine.probes), "a probe came before a reply"
    assert engine.probes.count(False) == 6
    stored = await known_speed(KEY, bench.database)
    assert stored is not None
    assert stored.kind is ProbeKind.TIME
    assert stored.measured_at is not None
    assert min(stored.prompt_tokens, stored.generated_tokens) > 1
    [model] = (await collect("r", bench.database)).models
    assert model.resources.probe == stored


async def test_what_is_known_is_not_measured_again_unless_it_is_asked_for(bench: Bench) -> None:
    """`--probe` asks; `--no-probe` forbids; without either the first measurement stays."""
    for number, (probe, known, measured) in enumerate(
        [(None, KNOWN, False), (True, KNOWN, True), (False, None, False), (None, None, True)]
    ):
        await bench.database.raw["speeds"].delete_many({})
        await make_run(f"r{number}", sequences=1)
        engine = Noting()
        if known is not None:
            await keep_speed(KEY, known, bench.database)
            engine.load = engine.load.model_copy(update={"probe": known})
        async with bench.dispatching(), bench.worker(engine, burst=True, probe=probe, name=f"h:{number}:1") as worker:
            assert await asyncio.wait_for(worker.task, 120) == 0
        assert any(engine.probes) is measured, (probe, known)
        stored = await known_speed(KEY, bench.database)
        assert (stored != known) is measured


async def test_a_speed_of_a_busy_machine_is_measured_again(bench: Bench) -> None:
    await make_run("r", sequences=1)
    engine = Noting()
    engine.load = engine.load.model_copy(update={"probe": KNOWN.model_copy(update={"busy": True})})
    async with bench.dispatching(), bench.worker(engine, burst=True, probe=None) as worker:
        assert await asyncio.wait_for(worker.task, 120) == 0
    assert any(engine.probes)


async def test_a_burst_without_work_measures_nothing(bench: Bench) -> None:
    engine = Noting()
    async with bench.worker(engine, burst=True, probe=None) as worker:
        assert await asyncio.wait_for(worker.task, 60) == 0
    assert engine.asked == []


async def test_work_that_comes_ends_a_measurement_and_a_later_pause_makes_it(bench: Bench) -> None:
    """A worker that measures while idle hands its engine over at once."""
    engine = Noting(token_delay_s=0.02)
    async with bench.dispatching(), bench.worker(engine, probe=None) as worker:
        await until(lambda: any(engine.probes))
        assert worker.beat.doing().sentence == "measuring its speed"
        await make_run("r", sequences=2, turns=1)
        await until(lambda: done("r"), within_s=60)
        assert engine.asked.index(next(name for name in engine.asked if not name.startswith("speed"))) > 0
        assert await known_speed(KEY, bench.database) is None
        await until(lambda: known_speed(KEY, bench.database), within_s=60)
        count = len(engine.asked)
        await asyncio.sleep(1.5)
        assert len(engine.asked) == count, "it measured twice"


async def test_a_worker_that_measures_hears_that_it_is_to_end(bench: Bench) -> None:
    """Ctrl-C and SIGTERM set the same wish; four minutes of probe did not hear it."""
    engine = Noting(token_delay_s=0.05)
    async with bench.worker(engine, probe=True) as worker:
        await until(lambda: any(engine.probes))
        asked = time.monotonic()
        worker.process.drain()
        assert await asyncio.wait_for(worker.task, 30) == 0
        assert time.monotonic() - asked < 5
    assert await known_speed(KEY, bench.database) is None


async def test_a_beat_says_what_is_done_and_how_far_it_is(bench: Bench) -> None:
    """For `status` and `eval`: the share of a long prompt, then what is waited for."""
    engine = Noting(token_delay_s=0.002, context=4096)
    await make_run("r", sequences=1, turns=1)
    long = "word " * 500
    await bench.database.raw["sequences"].update_many({}, {"$set": {"sequence.turns.0.prompt": long}})
    async with bench.dispatching(), bench.worker(engine, probe=False) as worker:

        async def reading() -> bool:
            doing = worker.beat.doing()
            return doing.share is not None and 0 < doing.share < 1 and doing.sentence.startswith("reading the prompt, ")

        await until(reading, within_s=60)
        row = await until(
            lambda: bench.database.workers.find_one({"_id": "host:1:1", "doing.task": "prefill"}), within_s=60
        )
        assert row["doing"]["tokens"] > 2_000
        await until(lambda: done("r"), within_s=60)
        await until(lambda: worker.beat.waits_for is not None)
        assert worker.beat.doing().sentence == "waiting for a job: no run has work for scripted"
        assert worker.beat.state is WorkerStatus.READY


async def test_a_worker_says_that_no_dispatcher_runs(bench: Bench) -> None:
    """160 jobs due, and the worker stood at "ready, 0 turns" without a word."""
    await make_run("r", sequences=1)
    async with bench.worker(Noting(), probe=False) as worker:
        await until(lambda: worker.beat.waits_for is not None)
        assert "waiting for a dispatcher: jobs for scripted are there" in worker.beat.doing().sentence
