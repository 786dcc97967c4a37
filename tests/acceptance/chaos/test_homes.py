"""Faults of real use in three homes side by side: each turn once, none lost, and all comes back by itself."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from pathlib import Path

import pytest

from nightjar.config import embedded
from nightjar.jobs.database import connect
from tests.acceptance.chaos.home_faults import POISONED, HomeFaults
from tests.acceptance.chaos.house import RUN, House
from tests.acceptance.chaos.scripted_worker import MODEL, NEWER_FIELD
from tests.acceptance.chaos.verdict import Verdict, judge
from tests.home import port_range
from tests.workbench import make_run

TURNS = 4
KNOBS = {"slots": 4, "token_delay_s": 0.002}


def three_houses(folder: Path) -> list[House]:
    """One at sockets, one at ports, and one in which a worker is of a newer version than the others."""
    houses = []
    for name in ("sockets", "ports", "versions"):
        (folder / name).mkdir()
        houses.append(House(folder=folder / name, workers=2, dispatchers=2, knobs=KNOBS, embedded=True))
    houses[1].further["NIGHTJAR_EMBEDDED_PORTS"] = port_range()
    houses[2].own["worker1"] = houses[2].with_knobs(newer=True)
    return houses


async def begin(house: House, sequences: int) -> None:
    """The house's servers, its run, and a run for damaged jobs that never ends."""
    urls = await asyncio.to_thread(embedded.service_urls, house.settings)
    async with await connect(urls.mongo, "nightjar", timeout_s=60):
        await make_run(POISONED, sequences=1, turns=1, model=MODEL, jobs_total=1_000_000)
        await make_run(RUN, sequences=sequences, turns=TURNS, model=MODEL)


async def endure(house: House, kinds: list[str], seed: int, sequences: int) -> HomeFaults:
    """The faults, one after the other, at even steps of the run's progress."""
    faults = HomeFaults(house=house, chance=random.Random(seed))
    faults.chance.shuffle(kinds)
    mending = asyncio.create_task(house.mend())
    try:
        for number, kind in enumerate(kinds):
            await faults.until(number * sequences * TURNS // (len(kinds) + 1))
            await faults.strike(kind)
        await faults.until(sequences * TURNS)
    finally:
        mending.cancel()
        faults.release()
        house.close()
    return faults


async def verdict_on(house: House) -> Verdict:
    urls = await asyncio.to_thread(embedded.service_urls, house.settings)
    async with await connect(urls.mongo, "nightjar", timeout_s=60) as database:
        await database.jobs.update_many({}, {"$unset": {NEWER_FIELD: 1}})
        return await judge(house, turns=TURNS)


async def endure_in_three_homes(folder: Path, *, faults: int, sequences: int) -> None:
    houses = three_houses(folder)
    try:
        for house in houses:
            await begin(house, sequences)
        every = list(HomeFaults(house=houses[0], chance=random.Random(0)).kinds)
        plans = [[every[n % len(every)] for n in range(at, faults, len(houses))] for at in range(len(houses))]
        async with asyncio.TaskGroup() as group:  # a home that fails ends the others
            enduring = [
                group.create_task(endure(house, plan, seed, sequences))
                for seed, (house, plan) in enumerate(zip(houses, plans, strict=True))
            ]
        done = [task.result() for task in enduring]
        verdicts = [await verdict_on(house) for house in houses]
    finally:
        for house in houses:
            house.close()
            embedded.down(house.settings)
    took: dict[str, list[float]] = defaultdict(list)
    for home in done:
        for kind, times in home.took_s.items():
            took[kind] += times
    for kind, times in sorted(took.items()):
        print(f"{kind}: {len(times)} times, all well again after {max(times):.1f} s at most")
    assert sum(map(len, took.values())) == faults
    for house, verdict in zip(houses, verdicts, strict=True):
        print(f"{house.folder.name}: {verdict.generated} generations for {verdict.turns} turns")
        assert (verdict.done, verdict.wrong, verdict.late, verdict.after_commit) == (sequences, [], 0, 0)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
async def test_two_hundred_faults_in_three_homes(tmp_path: Path) -> None:
    """Issue 19: 300 sequences in all."""
    await endure_in_three_homes(tmp_path, faults=200, sequences=100)
