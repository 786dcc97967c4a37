"""A worker that is told to end, in a process of its own: it cleans up, also where it was ending anyhow."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.shell import PROJECT

WORKER = """
import asyncio, os, signal, sys
from nightjar.workers.process.stopping import StopRequest

async def main(burst_ends: bool, signals: int) -> None:
    stop = StopRequest(drain_s=30)
    stop.listen()
    if burst_ends:
        stop.asked.set()
    for _ in range(signals):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.05)
    await stop.asked.wait()
    print("signed off")

asyncio.run(main(sys.argv[1] == "burst", int(sys.argv[2])))
"""


@pytest.mark.parametrize(
    ("ending", "signals", "code", "signs_off"),
    [
        ("burst", 0, 0, True),
        # what `eval` does to a worker whose last job has just ended: it is no crash, and no worker that vanished
        ("burst", 1, 0, True),
        ("told", 1, 0, True),
        ("told", 2, 128 + signal.SIGTERM, False),
        ("burst", 2, 128 + signal.SIGTERM, False),
    ],
)
def test_it_signs_off_unless_it_is_told_twice(ending: str, signals: int, code: int, signs_off: bool) -> None:
    command = [sys.executable, "-P", "-c", WORKER, ending, str(signals)]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    assert ("signed off" in done.stdout) is signs_off
