"""Redis and MongoDB empty, silent, cut off or full: nothing is lost, `status` says so, and work goes on by itself."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from nightjar.jobs.documents import Job
from nightjar.jobs.mongo import Database
from tests.acceptance.chaos.faults import committed, endure, wait_for_turns
from tests.acceptance.chaos.house import RUN, House, inhabited, nightjar, status
from tests.acceptance.chaos.proxy import Proxy
from tests.acceptance.chaos.scripted_worker import MODEL
from tests.acceptance.chaos.verdict import judge
from tests.workbench import make_run, until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]
CALL_S = 10
"""No call may take longer, beyond what a command takes to start on a machine as busy as this one is."""
REPAIR_S = 30
SILENT_S = 60
DISK_MB = 480


async def work_goes_on(database: Database) -> float:
    """Waits for one more committed turn; returns how long it took."""
    before, began = await committed(database), time.monotonic()
    await wait_for_turns(database, before + 1, began + REPAIR_S)
    return time.monotonic() - began


async def test_redis_flushed_and_restarted_empty(tmp_path: Path) -> None:
    """Ten FLUSHALLs and five kills: all done, and no conversation is interrupted by any. Issue 4, check 5."""
    house = House(folder=tmp_path, workers=2, knobs={"slots": 4, "token_delay_s": 0.001})
    kinds = ("flushall", "flushall", "kill redis")
    async with inhabited(house) as database:
        await endure(house, database, sequences=100, turns=4, faults=15, seed=1, limit_s=600, kinds=kinds)
        verdict = await judge(house, turns=4)
        jobs = await Job.find({"run": RUN}).to_list()
    print(f"{verdict.generated} generations for {verdict.turns} turns")
    assert (verdict.done, verdict.wrong) == (100, [])
    assert verdict.generated == verdict.turns, "a turn was generated twice"
    assert {len(job.attempts) for job in jobs} == {1}


async def start_s(house: House) -> float:
    """How long a command takes that contacts no server."""
    return (await nightjar(house, "model", "list"))[1]


COMMANDS = (
    ("status",),
    ("doctor",),
    ("run", "list"),
    ("run", "show", RUN),
    ("services", "status"),
    ("run", "pause", RUN),
    ("run", "resume", RUN),
)


async def test_a_black_hole_before_redis(tmp_path: Path) -> None:
    """Every packet to Redis is swallowed for a minute: what runs commits, `status` says why the rest waits, no command
    hangs, and work goes on by itself. Issue 4, check 10."""
    house = House(folder=tmp_path, workers=1, knobs={"slots": 2, "token_delay_s": 0.004})
    async with Proxy(house.redis_port).standing() as proxy:
        house.redis_door = proxy.port
        async with inhabited(house) as database:
            await make_run(RUN, sequences=400, turns=4, model=MODEL)
            await until(lambda: committed(database), within_s=60)
            before, began = await committed(database), time.monotonic()
            proxy.swallow()
            await asyncio.sleep(5)
            told, code, _ = await status(house)
            usual = await start_s(house)
            calls = {" ".join(words): (await nightjar(house, *words))[1] for words in COMMANDS}
            assert await committed(database) > before, "what ran when Redis fell silent went on"
            await asyncio.sleep(began + SILENT_S - time.monotonic())
            proxy.repair()
            took = await work_goes_on(database)
            well, well_code, _ = await status(house)
            await until(lambda: Job.find({"run": RUN, "status": "DONE"}).count(), within_s=60)
            failed = await Job.find({"run": RUN, "$or": [{"tries": {"$gt": 0}}, {"lapses": {"$gt": 0}}]}).count()
    print(f"work went on {took:.1f} s after the repair; calls took at most {max(calls.values()):.1f} s")
    assert (told["services"]["redis"]["ok"], told["queues"][0]["reason"], code) == (False, "redis down", 1)
    assert f"127.0.0.1:{proxy.port}" in told["services"]["redis"]["reason"]
    assert (well["services"]["redis"]["ok"], well_code, failed) == (True, 0, 0)
    assert max(calls.values()) < CALL_S + usual, calls


async def test_a_black_hole_before_mongodb(tmp_path: Path) -> None:
    """The same before MongoDB, for half a minute, which is many leases: nothing is lost or written late."""
    house = House(folder=tmp_path, workers=1, knobs={"slots": 4, "token_delay_s": 0.001})
    async with Proxy(house.mongo_port).standing() as proxy:
        house.mongo_door = proxy.port
        async with inhabited(house) as database:
            await make_run(RUN, sequences=300, turns=4, model=MODEL)
            await until(lambda: committed(database), within_s=60)
            began = time.monotonic()
            proxy.swallow()
            await asyncio.sleep(5)
            told, code, _ = await status(house)
            usual = await start_s(house)
            calls = {" ".join(words): (await nightjar(house, *words))[1] for words in COMMANDS}
            await asyncio.sleep(max(0, began + SILENT_S / 2 - time.monotonic()))
            proxy.repair()
            took = await work_goes_on(database)
            await wait_for_turns(database, 1200, time.monotonic() + 300)
            verdict = await judge(house, turns=4)
    print(
        f"work went on {took:.1f} s after the repair; calls took at most {max(calls.values()):.1f} s; "
        f"{verdict.generated} generations for {verdict.turns} turns"
    )
    assert (told["services"]["mongo"]["ok"], code) == (False, 1)
    assert f"127.0.0.1:{proxy.port}" in told["services"]["mongo"]["reason"]
    assert (verdict.done, verdict.wrong, verdict.late) == (300, [], 0)
    assert max(calls.values()) < CALL_S + usual, calls


@pytest.mark.parametrize(
    ("word", "delivered"),
    [
        (b"EVALSHA", False),  # the worker's look for entries: in one script, where arq has WATCH ... EXEC
        (b"EVALSHA", True),  # the entries are locked, and nobody hears of it
        (b"ZADD", False),  # the dispatcher's ringing: the entry is there, its place in the queue is not
        (b"ZADD", True),
    ],
)
async def test_connections_cut_in_the_middle(tmp_path: Path, word: bytes, delivered: bool) -> None:
    """Twenty connections to Redis are cut in the middle of what they say: no job is lost. Issue 4, check 10."""
    house = House(folder=tmp_path, workers=1, knobs={"slots": 4, "token_delay_s": 0.001})
    async with Proxy(house.redis_port).standing() as proxy:
        house.redis_door = proxy.port
        proxy.cut(word, 20, delivered=delivered)
        async with inhabited(house) as database:
            await make_run(RUN, sequences=100, turns=2, model=MODEL)
            await until(lambda: proxy.cuts == 20, within_s=300)
            began = time.monotonic()
            await wait_for_turns(database, 200, began + 120)
            verdict = await judge(house, turns=2)
    print(f"{word.decode()} {delivered=}: all done {time.monotonic() - began:.0f} s after the last cut")
    assert (verdict.done, verdict.wrong, verdict.generated) == (100, [], 200)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A separate disk, hardly larger than an empty MongoDB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes up all free space."""
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(65_536))
    except OSError:
        return filler


async def test_a_full_disk_under_mongodb(small_disk: Path) -> None:
    """The embedded MongoDB's disk is full, which ends it: `status` names the cause, nothing that was acknowledged is
    lost, and work goes on by itself once there is room. Issue 4, check 10."""
    house = House(folder=small_disk, workers=1, knobs={"slots": 4, "token_delay_s": 0.001}, embedded=True)
    async with inhabited(house) as database:
        await make_run(RUN, sequences=300, turns=4, model=MODEL)
        await until(lambda: committed(database), within_s=60)
        filler = await asyncio.to_thread(fill, small_disk)
        before = await committed(database)
        usual = await start_s(house)
        began, reasons, calls = time.monotonic(), [], []
        while time.monotonic() < began + SILENT_S / 2:
            told, code, took = await status(house)
            calls.append(took)
            reasons.append("" if told["services"]["mongo"]["ok"] else told["services"]["mongo"]["reason"])
            await asyncio.sleep(2)
        filler.unlink()
        repaired = time.monotonic()
        assert await committed(database) >= before
        await wait_for_turns(database, before + 1, repaired + REPAIR_S)
        took = time.monotonic() - repaired
        await wait_for_turns(database, 1200, time.monotonic() + 300)
        verdict = await judge(house, turns=4)
    print(
        f"work went on {took:.1f} s after the repair; status took at most {max(calls):.1f} s; "
        f"{verdict.generated} generations for {verdict.turns} turns"
    )
    assert ("disk" in reasons[-1], str(house.home) in reasons[-1], code) == (True, True, 1), reasons
    assert (verdict.done, verdict.wrong, verdict.late) == (300, [], 0)
    assert max(calls) < CALL_S + usual, calls


async def test_a_mongodb_that_refuses_writes(tmp_path: Path) -> None:
    """It lives, and answers every write with its error 14031, out of disk space. Issue 4, check 10."""
    house = House(folder=tmp_path, workers=1, knobs={"slots": 4, "token_delay_s": 0.001}, test_commands=True)
    async with inhabited(house) as database:
        await make_run(RUN, sequences=300, turns=4, model=MODEL)
        await until(lambda: committed(database), within_s=60)
        client: MongoClient[Any] = MongoClient("127.0.0.1", house.mongo_port)
        data = {"errorCode": 14031, "failCommands": ["insert", "update", "findAndModify"]}
        client.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
        await asyncio.sleep(20)
        usual = await start_s(house)
        told, code, call_s = await status(house)
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        client.close()
        took = await work_goes_on(database)
        await wait_for_turns(database, 1200, time.monotonic() + 300)
        verdict = await judge(house, turns=4)
    print(f"work went on {took:.1f} s after the repair; {verdict.generated} generations for {verdict.turns} turns")
    assert (told["services"]["mongo"]["ok"], code) == (False, 1)
    assert "disk" in told["services"]["mongo"]["reason"].lower()
    assert call_s < CALL_S + usual
    assert (verdict.wrong, verdict.after_commit, verdict.late) == ([], 0, 0)
