"""A million jobs, a worker that has nothing to generate, twelve workers of one model, two hundred small runs.

What must hold is asserted; speeds are printed, since they are the machine's as much as Nightjar's.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import mean, median

import psutil
import pytest
from redis.asyncio import Redis

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.models import ModelKind
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import publish_model
from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.pipeline.dispatch.window import LARGEST
from nightjar.pipeline.runs.producer import enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from nightjar.workers.engine.fake import scripted_facts
from tests.acceptance.chaos.house import PROJECT, House, inhabited, status
from tests.acceptance.chaos.scripted_worker import MODEL
from tests.workbench import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
SEQUENCES = 10_000
REPEATS = int(os.environ.get("CHAOS_SCALE_REPEATS", "100"))
KILLS = 5
REDIS_BYTES = 100_000_000
NOTHING_TO_DO = 20_000
WORKERS, SLOTS = 12, 32
SMALL_RUNS = 200
CLOSED_WITHIN_S = 30.0
TOKEN_S = 0.006
"""Of a whole batch's time: 32 slots make a step of a fifth of a second."""


async def suite(database: Database, *, sequences: int, turns: int = 1) -> None:
    """A suite named "many", and a published model that may run it."""
    listed = (
        Sequence(id=f"s{n}", turns=tuple(TurnSpec(prompt=f"Tell of day {n}, part {t}.") for t in range(turns)))
        for n in range(sequences)
    )
    await import_suite(SuiteContent(name="many", sequences=tuple(listed)), database)
    await publish_model(database, scripted_facts(MODEL, context=4096, kind=ModelKind.CHAT, digest="0" * 64), by="test")


async def jobs_in(status: JobStatus, run: Run, database: Database) -> int:
    return await database.jobs.count_documents({"run": run.id, "status": status}, hint="status")


async def until_done(jobs: float, run: Run, database: Database, *, within_s: float) -> int:
    """Waits for that many DONE jobs and returns their number; checks rarely, to leave the machine to the work."""
    end = time.monotonic() + within_s
    while (done := await jobs_in(JobStatus.DONE, run, database)) < jobs:
        assert time.monotonic() < end, f"too slow: {done} of {jobs} jobs"
        await asyncio.sleep(0.2)
    return done


async def test_a_million_jobs(tmp_path: Path) -> None:
    """The producer is killed five times and a dispatcher finishes: each job once; Redis stays small."""
    house = House(folder=tmp_path, workers=0, knobs={})
    house.mending = False
    total = SEQUENCES * REPEATS
    async with inhabited(house) as database:
        await suite(database, sequences=SEQUENCES)
        command = [sys.executable, "-m", "nightjar", "enqueue", "--suite", "many", "--model", MODEL, "--name", "big"]

        async def reached(mark: int) -> bool:
            return await database.jobs.estimated_document_count() >= mark

        began = time.monotonic()
        for kill in range(1, KILLS + 1):
            producer = await asyncio.create_subprocess_exec(
                *command, "--repeats", str(REPEATS), env=os.environ | house.environment(), cwd=PROJECT
            )
            await until(partial(reached, total * kill // (KILLS + 1)), within_s=300)
            producer.kill()
            await producer.wait()
        house.start("dispatcher")

        async def whole() -> bool:
            run = await Run.find_one({"name": "big"})
            return run is not None and run.status is RunStatus.ACTIVE

        await until(whole, within_s=900)
        took = time.monotonic() - began
        assert await database.jobs.count_documents({}) == total
        told, _, status_s = await status(house)
        assert told["runs"][0]["jobs"]["PENDING"] == total
        await asyncio.sleep(3)
        async with Redis(port=house.redis_port) as redis:
            entries = await redis.dbsize()
            redis_bytes = (await redis.info("memory"))["used_memory"]
    print(
        f"{total:,} jobs in {took:.0f} s, {total / took:,.0f} jobs/s with {KILLS} kills; status {status_s:.1f} s; "
        f"Redis {redis_bytes / 1e6:.1f} MB, {entries} keys"
    )
    assert entries <= LARGEST + 10
    assert redis_bytes < REDIS_BYTES


@contextmanager
def cpu_of(pids: dict[str, int], spent: dict[str, float]) -> Iterator[None]:
    """Adds to `spent` the CPU seconds that the processes use meanwhile."""
    before = {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in pids.items()}
    yield
    for name, pid in pids.items():
        spent[name] = sum(psutil.Process(pid).cpu_times()[:2]) - before[name]


async def test_jobs_that_generate_nothing(tmp_path: Path) -> None:
    """What a job costs by itself: queue, claim, prompt, record, commit, through one worker of 32 slots."""
    house = House(folder=tmp_path, workers=1, knobs={"slots": SLOTS, "noop": True})
    async with inhabited(house) as database:
        await suite(database, sequences=NOTHING_TO_DO // 20)
        run = (await enqueue(make_request(suite="many", models=(MODEL,), repeats=20), database)).run
        await until_done(0.1 * NOTHING_TO_DO, run, database, within_s=300)
        pids = {name: process.pid for name, process in house.processes.items() if name != "worker0"}
        pids["worker"] = house.generating()[0].pid
        spent: dict[str, float] = {}
        with cpu_of(pids, spent):
            began, first = time.monotonic(), await jobs_in(JobStatus.DONE, run, database)
            jobs = await until_done(0.95 * NOTHING_TO_DO, run, database, within_s=600) - first
            took = time.monotonic() - began
        await until_done(NOTHING_TO_DO, run, database, within_s=120)
        again = await Job.find({"$or": [{"fence": {"$ne": 1}}, {"turns_committed": {"$ne": 1}}]}).count()
    costs = ", ".join(f"{name} {1000 * seconds / jobs:.2f}" for name, seconds in sorted(spent.items()))
    print(f"{jobs / took:,.0f} jobs/s; milliseconds of CPU a job: {costs}")
    assert again == 0


async def test_twelve_workers_of_one_model_are_kept_busy(tmp_path: Path) -> None:
    """384 slots, two turns a job: full from the moment they are until no job waits any more."""
    house = House(folder=tmp_path, workers=WORKERS, knobs={"slots": SLOTS, "token_delay_s": TOKEN_S})
    slots = WORKERS * SLOTS
    used: list[int] = []
    async with inhabited(house) as database:
        await suite(database, sequences=3 * slots, turns=2)
        run = (await enqueue(make_request(suite="many", models=(MODEL,)), database)).run

        async def slots_used() -> int:
            return sum([row["slots_used"] async for row in database.workers.find({}, {"slots_used": 1})])

        async def full() -> bool:
            return await slots_used() >= 0.99 * slots

        await until(full, within_s=300)
        while await jobs_in(JobStatus.PENDING, run, database):
            used.append(await slots_used())
            await asyncio.sleep(0.5)
        await until_done(3 * slots, run, database, within_s=300)
    print(f"{slots} slots, {len(used)} looks: {mean(used) / slots:.1%} busy, {min(used) / slots:.1%} at the least")
    assert len(used) > 20
    assert mean(used) >= 0.93 * slots


async def test_two_hundred_small_runs_that_end_together(tmp_path: Path) -> None:
    """They are closed side by side: none waits for the reports of all the others, and `status` answers meanwhile."""
    house = House(folder=tmp_path, workers=1, knobs={"slots": SLOTS, "noop": True})
    async with inhabited(house) as database:
        await suite(database, sequences=5)
        runs = [
            (await enqueue(make_request(suite="many", models=(MODEL,), name=f"small-{n}"), database)).run
            for n in range(SMALL_RUNS)
        ]

        async def closed(share: float) -> bool:
            return await database.runs.count_documents({"status": RunStatus.DONE}) >= share * SMALL_RUNS

        await until(partial(closed, 0.2), within_s=600)
        _, _, status_s = await status(house)
        await until(partial(closed, 1), within_s=900)
        took_s: list[float] = []
        for run in runs:
            ended = await Run.get(run.id)
            jobs = await Job.find({"run": run.id}).to_list()
            assert ended is not None
            assert ended.finished_at is not None
            last = max(turn.committed_at for job in jobs for turn in job.turns)
            took_s.append((ended.finished_at - last).total_seconds())
    print(
        f"{SMALL_RUNS} runs: from the last turn to DONE {median(took_s):.1f} s at the median, {max(took_s):.1f} s at "
        f"most; status meanwhile {status_s:.1f} s"
    )
    assert median(took_s) < CLOSED_WITHIN_S
