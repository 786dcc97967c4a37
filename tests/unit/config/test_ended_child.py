"""A child that is ended is waited for, whatever happens to who ends it."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from nightjar.config.ended_child import end_child


async def started(program: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdin=pipe, stdout=pipe)


async def test_a_living_child_is_killed() -> None:
    child = await started("import time; time.sleep(60)")
    await end_child(child)
    assert child.returncode == -signal.SIGKILL


async def test_one_that_has_ended_keeps_its_exit_code() -> None:
    child = await started("raise SystemExit(3)")
    await child.wait()
    await end_child(child)
    assert child.returncode == 3


async def test_cancelled_meanwhile_it_is_still_waited_for() -> None:
    child = await started("import time; time.sleep(60)")
    ending = asyncio.create_task(end_child(child))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert child.returncode == -signal.SIGKILL
