"""Energy of a run on the scripted engine with a card that a test makes up: from the slots to the report."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.money.energy import RunEnergy
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import JobStatus, RunStatus, WorkerStatus
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.report.page.cost_table import cost_table
from nightjar.workers.engine.fake import ScriptedEngine
from tests.workbench import MODEL, Bench, make_run, opened_bench, statuses, until


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(database, services, Settings(home=tmp_path / "home", lease_s=15, drain_s=5)) as bench:
        yield bench


def growing() -> Callable[[], float]:
    """A counter that grows by a joule with each look."""
    count = itertools.count(5_000)
    return lambda: float(next(count))


async def evaluated(bench: Bench, read: Callable[[], float | None], usd_per_kwh: float | None) -> None:
    engine = ScriptedEngine(lambda prompt, seed: "word " * 4, slots=2)
    async with bench.worker(engine) as worker:
        await until(lambda: worker.beat.state is WorkerStatus.READY)
        worker.beat.energy.read = read
        worker.beat.usd_per_kwh = usd_per_kwh
        await make_run("r", sequences=3, turns=2)
        async with bench.dispatching():
            await until(_all_done, within_s=60)
        await worker.beat.write()
    await bench.database.runs.update_one({"_id": "r"}, {"$set": {"status": RunStatus.DONE}})


async def _all_done() -> bool:
    return (await statuses("r")).get(JobStatus.DONE) == 3


@pytest.mark.parametrize(
    ("tells", "usd_per_kwh", "shown"),
    [
        (True, 3600.0, "dollars"),
        (True, None, None),  # nobody asks what it costs: the energy is there all the same
        (False, 0.35, "unknown"),  # asked, and the card does not tell: never 0
        (False, None, None),
    ],
)
async def test_a_run_on_a_card(bench: Bench, tells: bool, usd_per_kwh: float | None, shown: str | None) -> None:
    await evaluated(bench, growing() if tells else lambda: None, usd_per_kwh)
    parts = await RunEnergy.find({"run": "r"}).to_list()
    assert [part.joules is not None for part in parts] == [tells], "also that nothing is known is written down"
    report = await collect("r", bench.database)
    [model] = report.models
    tokens = model.total.counts.reply_tokens
    if tells:
        joules = parts[0].joules
        assert joules is not None
        assert joules > 0
        assert model.resources.energy_j == joules
        assert model.resources.energy_j_per_1000_tokens == pytest.approx(1000 * joules / tokens)
    else:
        assert model.resources.energy_j is None
        assert model.resources.reasons["energy_j"]
    assert len(report.costs) == (shown is not None)
    if shown is not None:
        [cost] = report.costs
        assert (cost.model, cost.role, cost.requests, cost.reply_tokens) == (MODEL, "replies", 6, tokens)
        expected = 3600.0 * (parts[0].joules or 0) / 3.6e6 if shown == "dollars" else None
        assert cost.usd == (expected if expected is None else pytest.approx(expected))
        text = cost_table(report).rows[0][2].text
        assert (text == "unknown") is (shown == "unknown")
        assert cost.price is not None
        assert "a kWh" in cost.price


async def test_a_worker_without_an_account_leaves_the_sum_unknown(bench: Bench) -> None:
    await evaluated(bench, growing(), 0.35)
    await bench.database.raw["run_energy"].update_one({}, {"$set": {"worker": "another"}})
    report = await collect("r", bench.database)
    assert report.models[0].resources.energy_j is None
    assert report.costs[0].usd is None
