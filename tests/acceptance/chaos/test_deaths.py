"""Workers that die, through their own fault or not: what happens to their jobs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import psutil
import pytest

from nightjar.jobs.documents import Job
from nightjar.jobs.states import JobStatus
from tests.acceptance.chaos.faults import wait_for_turns
from tests.acceptance.chaos.house import LEASE_S, RUN, House, inhabited
from tests.acceptance.chaos.scripted_worker import LAST_WORDS, MODEL
from tests.acceptance.chaos.verdict import judge
from tests.workbench import make_run, until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]
SLOW = 0.004
"""Seconds a token, where a turn must last long enough to be interrupted."""


async def the_job() -> Job:
    return (await Job.find({"run": RUN}).to_list())[0]


async def all_ended() -> bool:
    return await Job.find({"run": RUN, "status": {"$in": ["PENDING", "RUNNING"]}}).count() == 0


async def next_claim(fence: int, within_s: float = 60) -> Job:
    """Waits until the only job runs under a later fence than this."""

    async def running() -> Job | None:
        job = await the_job()
        return job if job.status is JobStatus.RUNNING and job.fence > fence else None

    job: Job = await until(running, within_s=within_s)
    return job


async def kill_generating(house: House) -> None:
    """Kills the one process that generates, as an operator might."""
    victims: list[psutil.Process] = []
    while not victims:
        await asyncio.sleep(0.05)
        victims = house.generating()
    with contextlib.suppress(psutil.Error):
        victims[0].kill()


async def test_twenty_kills_around_the_claim(tmp_path: Path) -> None:
    """Between arq's lock and the claim, and right after it: no job is stuck a minute later. Issue 4, check 3."""
    deaths = tmp_path / "deaths"
    deaths.write_text("20")
    house = House(folder=tmp_path, workers=2, knobs={"slots": 4, "die_at_claim": str(deaths)})
    async with inhabited(house):
        await make_run(RUN, sequences=60, turns=2, model=MODEL)
        await until(lambda: int(deaths.read_text() or "1") <= 0, within_s=500)
        began = time.monotonic()
        await until(all_ended, within_s=60)
        verdict = await judge(house, turns=2)
    print(f"all done {time.monotonic() - began:.0f} s after the last kill; {verdict.generated} generations")
    assert (verdict.done, verdict.wrong, verdict.after_commit) == (60, [], 0)


async def test_a_killed_host_resumes_at_the_same_turn(tmp_path: Path) -> None:
    """Worker and supervisor killed together mid-sequence, twenty times. Issue 4, check 4."""
    house = House(folder=tmp_path, workers=1, knobs={"slots": 1, "token_delay_s": SLOW})
    waits: list[float] = []
    async with inhabited(house):
        await make_run(RUN, sequences=1, turns=120, model=MODEL, max_lapses=100)
        fence = 0
        for _ in range(20):
            before = await next_claim(fence)
            await asyncio.sleep(0.4)
            house.mending = False
            for child in house.generating():
                child.kill()
            house.processes["worker0"].kill()
            began, fence = time.monotonic(), before.fence
            held = (await the_job()).turns
            house.mending = True
            await next_claim(fence, within_s=LEASE_S + 10)
            waits.append(time.monotonic() - began)
            assert (await the_job()).turns[: len(held)] == held
        assert (await the_job()).tries == 0
        verdict = await judge(house, turns=120)
        assert (verdict.after_commit, verdict.late) == (0, 0)
    print(f"resumed after {min(waits):.1f} to {max(waits):.1f} s")


async def test_thirty_kills_from_outside_kill_no_job(tmp_path: Path) -> None:
    """A job that runs alone is killed thirty times with its worker: it is not DEAD. Issue 4, check 5."""
    house = House(folder=tmp_path, workers=1, knobs={"slots": 1, "token_delay_s": SLOW})
    async with inhabited(house):
        await make_run(RUN, sequences=1, turns=100, model=MODEL)
        fence = 0
        for _ in range(30):
            fence = (await next_claim(fence)).fence
            await kill_generating(house)
        job = await next_claim(fence)
    assert (job.tries, job.lapses, job.crashes, job.suspect) == (0, 0, 0, False)


async def test_one_poisonous_job_among_two_hundred(tmp_path: Path) -> None:
    """It segfaults every process that runs it: only that job dies, with its signal; few crashes. Issue 4, check 7."""
    poison = "sequence 77, turn 0"
    house = House(folder=tmp_path, workers=1, knobs={"slots": 32, "token_delay_s": 0.0002, "poison": poison})
    async with inhabited(house) as database:
        await make_run(RUN, sequences=200, turns=2, model=MODEL)
        await until(all_ended, within_s=300)
        dead = await Job.find({"run": RUN, "status": "DEAD"}).to_list()
        crashes = [crash async for crash in database.raw["crashes"].find()]
        done = await Job.find({"run": RUN, "status": "DONE"}).count()
    print(f"{len(crashes)} crashes, {len(dead)} dead: {[job.reason for job in dead]}")
    assert [job.sequence for job in dead] == ["s77"]
    assert "SIGSEGV" in str(dead[0].reason)
    assert done == 199
    assert len(crashes) <= 3
    assert all("SIGSEGV" in crash["reason"] and LAST_WORDS in crash["stderr"] for crash in crashes)


async def test_twenty_terminations_during_one_sequence(tmp_path: Path) -> None:
    """No try is counted, and no committed turn is generated again. Issue 4, check 8."""
    house = House(folder=tmp_path, workers=1, knobs={"slots": 1, "token_delay_s": SLOW})
    async with inhabited(house) as database:
        await make_run(RUN, sequences=1, turns=80, model=MODEL)
        fence = 0
        for _ in range(20):
            fence = (await next_claim(fence)).fence
            await asyncio.sleep(0.2)
            for child in house.generating():
                child.terminate()
        await wait_for_turns(database, 80, time.monotonic() + 300)
        await until(all_ended)
        job = await the_job()
        verdict = await judge(house, turns=80)
    assert (job.status, job.tries, job.lapses, job.crashes) == (JobStatus.DONE, 0, 0, 0)
    assert (verdict.wrong, verdict.after_commit) == ([], 0)
    print(f"{verdict.generated} generations for 80 turns, {job.fence} claims")
