"""The same on a worker of a model at an endpoint that does wrong: no turn is lost, and no cent.

`make chaos` runs the long one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tomlkit

from nightjar.jobs.documents import Job
from nightjar.jobs.identity import chain_digest
from nightjar.jobs.money.spending import Expense, settle_lost, spending
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import JobStatus
from tests.acceptance.chaos.faults import committed, endure
from tests.acceptance.chaos.house import CLOUD, RUN, House, inhabited
from tests.fake_endpoint import KEY, MODEL_AT_FAKE, FakeEndpoint, fake_endpoint

ENDPOINT_FAULTS = (
    "429",
    "429 retry after",
    "500",
    "503 retry after",
    "cut",
    "half event",
    "silence",
    "silence in the middle",
    "error in the middle",
    "no use",
)
KINDS = ("kill worker", "kill supervisor", "kill dispatcher", "kill redis", "kill mongo", "term worker", "stop worker")
PRICE = {"input": 1_000.0, "output": 2_000.0}
"""Dear, so that a few tokens cost something."""


@dataclass
class EndpointFaults:
    """Makes the endpoint do wrong at even steps of the run's progress, and counts how."""

    fake: FakeEndpoint
    database: Database
    every: int
    chance: random.Random
    counts: Counter[str] = field(default_factory=Counter)

    async def strike(self) -> None:
        """Until it is cancelled."""
        step = self.every
        while True:
            if await committed(self.database) >= step:
                kind = self.chance.choice(ENDPOINT_FAULTS)
                self.counts[kind] += 1
                self.fake.faults.append(kind)
                step += self.every
            await asyncio.sleep(0.05)


def remote_house(folder: Path, fake: FakeEndpoint) -> House:
    table = {
        "endpoints": {"fake": fake.table(price=PRICE, limits={"concurrency": 6})},
        CLOUD: {"endpoint": "fake", "model": MODEL_AT_FAKE},
    }
    further = {"FAKE_KEY": KEY, "NIGHTJAR_REMOTE__SILENCE_S": "1", "NIGHTJAR_REMOTE__CONNECT_S": "2"}
    return House(folder=folder, workers=2, knobs={}, registry=tomlkit.dumps(table), further=further)


async def endure_remotely(folder: Path, *, sequences: int, faults: int, every: int, seed: int, limit_s: float) -> None:
    """Every turn once, with its reply, chained; each that was paid for is counted, whatever died when."""
    turns = 3
    with fake_endpoint(pause_s=0.05) as fake:
        house = remote_house(folder, fake)
        async with inhabited(house) as database:
            striker = EndpointFaults(fake=fake, database=database, every=every, chance=random.Random(seed))
            striking = asyncio.create_task(striker.strike())
            try:
                counts = await endure(
                    house,
                    database,
                    sequences=sequences,
                    turns=turns,
                    faults=faults,
                    seed=seed,
                    limit_s=limit_s,
                    kinds=KINDS,
                )
            finally:
                striking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await striking
            await all_settled(database)
            print(f"seed {seed}: {dict(counts)}, endpoint: {dict(striker.counts)}, {len(fake.paid)} requests begun")
            await judge_transcripts(sequences, turns)
            await judge_ledger(fake, database)


async def all_settled(database: Database) -> None:
    """What the dead had reserved; a dispatcher does the same a little later."""
    for _ in range(600):
        await settle_lost(database, after_s=0)
        if await Expense.find({"settled": False}).count() == 0:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("an expense stays open")


async def judge_transcripts(sequences: int, turns: int) -> None:
    jobs = await Job.find({"run": RUN}).to_list()
    assert len(jobs) == sequences
    assert {job.status for job in jobs} == {JobStatus.DONE}
    for job in jobs:
        assert [turn.index for turn in job.turns] == list(range(turns))
        chain = ""
        for turn in job.turns:
            assert turn.draw.reply == f"Reply to: {turn.prompt}"
            chain = chain_digest(chain, turn.index, turn.prompt, turn.draw.raw_text)
            assert turn.chain == chain, f"{job.sequence}: turn {turn.index} does not follow from the one before it"


async def judge_ledger(fake: FakeEndpoint, database: Database) -> None:
    entries = {entry.id: entry for entry in await Expense.find({"run": RUN}).to_list()}
    draws = [turn.draw.remote for job in await Job.find({"run": RUN}).to_list() for turn in job.turns]
    of_turns = {draw.expense: draw for draw in draws if draw is not None}
    assert len(of_turns) == len(draws), "each turn has a request of its own"
    for name, draw in of_turns.items():
        assert (entries[name].use, entries[name].lost) == (draw.use, False)
    others = [entry for name, entry in entries.items() if name not in of_turns]
    assert all(entry.use is not None and entry.usd is not None for entry in others)
    [total] = (await spending([RUN], database))[RUN]
    assert total.usd is not None
    committed_usd = sum(draw.usd or 0 for draw in of_turns.values())
    assert total.usd == pytest.approx(committed_usd + sum(entry.usd or 0 for entry in others))
    assert total.requests >= len(fake.paid), "whatever the endpoint began is counted"
    assert (total.open, total.unpriced) == (0, 0)


async def test_a_short_run_at_an_endpoint_through_mixed_faults(tmp_path: Path) -> None:
    await endure_remotely(tmp_path, sequences=24, faults=5, every=9, seed=1, limit_s=150)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_four_hundred_sequences_at_an_endpoint_through_sixty_faults(tmp_path: Path, seed: int) -> None:
    await endure_remotely(tmp_path, sequences=400, faults=60, every=25, seed=seed, limit_s=3500)
