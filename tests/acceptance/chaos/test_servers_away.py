"""Redis and MongoDB away, empty, silent or full: nothing is lost, `status` says so, and work goes on by itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from jobs.documents import Job
from tests.acceptance.chaos.house import PROJECT, RUN, House, committed, endure, inhabited, judge, wait_for_turns
from tests.acceptance.chaos.scripted_worker import MODEL
from tests.workbench import make_run, until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]
CALL_S = 10
REPAIR_S = 30


async def status(house: House) -> tuple[dict[str, Any], int, float]:
    """What `nightjar status --json` says, its exit code, and how long it took."""
    began = time.monotonic()
    environment = os.environ | house.environment()
    command = [sys.executable, "-m", "scripts", "status", "--json"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )
    return json.loads(done.stdout), done.returncode, time.monotonic() - began


async def work_goes_on(database: Any, within_s: float) -> float:
    """Waits for a committed turn more; how long it took."""
    before, began = await committed(database), time.monotonic()
    await wait_for_turns(database, before + 1, began + within_s)
    return time.monotonic() - began


async def test_redis_flushed_and_restarted_empty(tmp_path: Path) -> None:
    """Ten FLUSHALLs and five kills: all done, and no conversation is interrupted by any. Issue 4, check 5."""
    house = House(folder=tmp_path, workers=2, knobs={"slots": 4, "token_delay_s": 0.001})
    kinds = ("flushall", "flushall", "kill redis")
    async with inhabited(house) as database:
        await endure(house, database, sequences=100, turns=4, faults=15, seed=1, limit_s=600, kinds=kinds)
        verdict = await judge(house, turns=4)
        jobs = await Job.find({"run": RUN}).to_list()
    assert (verdict.done, verdict.wrong) == (100, [])
    assert verdict.generated == verdict.turns, "a turn was generated twice"
    assert {len(job.attempts) for job in jobs} == {1}


async def test_a_silent_redis(tmp_path: Path) -> None:
    """Redis stopped for a minute: running conversations commit, `status` says it, work goes on. Issue 4, check 10."""
    house = House(folder=tmp_path, workers=1, knobs={"slots": 2, "token_delay_s": 0.004})
    async with inhabited(house) as database:
        await make_run(RUN, sequences=400, turns=4, model=MODEL)
        await until(lambda: committed(database), within_s=60)
        before = await committed(database)
        house.processes["redis"].send_signal(signal.SIGSTOP)
        await asyncio.sleep(5)
        told, code, took = await status(house)
        assert (told["services"]["redis"]["ok"], code) == (False, 1)
        assert took < CALL_S
        assert await committed(database) > before, "what ran when Redis fell silent went on"
        await asyncio.sleep(50)
        house.processes["redis"].send_signal(signal.SIGCONT)
        took = await work_goes_on(database, REPAIR_S)
        told, _, _ = await status(house)
        assert told["services"]["redis"]["ok"]
        await until(lambda: Job.find({"run": RUN, "status": "DONE"}).count(), within_s=60)
        assert await Job.find({"run": RUN, "tries": {"$gt": 0}}).count() == 0
    print(f"work went on {took:.1f} s after the repair")


async def test_a_full_disk_under_mongodb(tmp_path: Path) -> None:
    """Every write refused for half a minute: `status` names the cause, nothing is lost, work goes on by itself."""
    house = House(folder=tmp_path, workers=1, knobs={"slots": 4, "token_delay_s": 0.001}, test_commands=True)
    async with inhabited(house) as database:
        await make_run(RUN, sequences=300, turns=4, model=MODEL)
        await until(lambda: committed(database), within_s=60)
        client: MongoClient[Any] = MongoClient("127.0.0.1", house.mongo_port)
        data = {"errorCode": 14031, "failCommands": ["insert", "update", "findAndModify"]}
        client.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
        await asyncio.sleep(20)
        told, code, took = await status(house)
        assert (told["services"]["mongo"]["ok"], code) == (False, 1)
        assert "disk" in told["services"]["mongo"]["reason"].lower()
        assert took < CALL_S
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        client.close()
        took = await work_goes_on(database, REPAIR_S)
        await wait_for_turns(database, 1200, time.monotonic() + 300)
        verdict = await judge(house, turns=4)
    print(f"work went on {took:.1f} s after the repair; {verdict.generated} generations for {verdict.turns} turns")
    assert (verdict.wrong, verdict.after_commit) == ([], 0)
