"""The dispatcher as a process, with a chore that hangs or fails: it ends when it is told to, and works until then."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.jobs.leases import dispatcher_is_live
from nightjar.jobs.mongo import Database
from nightjar.jobs.status.overview import read_overview
from nightjar.jobs.status.views import ServiceState
from tests.workbench import until

PROJECT = Path(__file__).parents[3]
ENDED_WITHIN_S = 60


async def start(kind: str, file: Path, services: ServiceUrls, database: Database) -> asyncio.subprocess.Process:
    environment = os.environ | {
        "PYTHONPATH": str(PROJECT),
        "NIGHTJAR_MONGO_URL": services.mongo.get_secret_value(),
        "NIGHTJAR_REDIS_URL": services.redis.get_secret_value(),
        "NIGHTJAR_MONGO_DATABASE": database.raw.name,
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.hanging_dispatcher", kind, str(file)),
        env=environment,
        cwd=PROJECT,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """The exit code and what it wrote; fails where it does not end."""
    try:
        _, stderr = await asyncio.wait_for(process.communicate(), ENDED_WITHIN_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise AssertionError("it did not end") from None
    assert process.returncode is not None
    return process.returncode, stderr.decode()


@pytest.mark.parametrize("kind", ["in_a_thread", "in_the_loop", "uncancellable"])
async def test_it_ends_whatever_a_chore_does(
    kind: str, services: ServiceUrls, database: Database, tmp_path: Path
) -> None:
    """By force at its deadline, with the exit code of the signal, and it says where it was."""
    process = await start(kind, tmp_path / "at-it", services, database)
    await until((tmp_path / "at-it").exists, within_s=60)
    process.send_signal(signal.SIGTERM)
    code, stderr = await ended(process)
    assert code == 128 + signal.SIGTERM
    assert "most recent call first" in stderr


async def test_a_chore_that_fails_stops_no_other_and_is_shown(
    services: ServiceUrls, database: Database, tmp_path: Path
) -> None:
    """Counted, with its error, in the overview; its traceback is in the log once; the dispatcher ends as it should."""
    process = await start("failing", tmp_path / "at-it", services, database)

    async def failed_thrice() -> bool:
        chores = (await read_overview(database, ServiceState(ok=True))).chores
        return any(chore.failures >= 3 for chore in chores)

    await until(failed_thrice, within_s=90)
    assert await dispatcher_is_live(database), "the other chores go on"
    overview = await read_overview(database, ServiceState(ok=True))
    [chore] = overview.chores
    assert overview.stalled
    assert (chore.chore, chore.about, chore.error, chore.failing) == ("advance", "", "KeyError: 'judging'", True)
    assert chore.process.startswith("dispatcher ")
    process.send_signal(signal.SIGTERM)
    code, stderr = await ended(process)
    assert code == 0
    assert stderr.count("Traceback (most recent call last)") == 1
    assert not any(chore.failing for chore in (await read_overview(database, ServiceState(ok=True))).chores)
