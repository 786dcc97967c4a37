"""What runs beside the page: a dispatcher and a worker that takes what waits, each a process that ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from nightjar.config.settings import load_settings
from nightjar.config.stopping import OVERDUE_S
from nightjar.scripts.children import Child

AGAIN_S = (1.0, 5.0, 30.0, 60.0)
"""How long to wait before one that ended is started again: longer each time."""
STEADY_S = 300.0
"""Who lived so long is started again as after the first end."""
LIVE_SLOTS = 1
"""Kept for whoever asks in the browser, so that a chat waits for no reply of a run."""
_log = structlog.get_logger()


@asynccontextmanager
async def working_beside(logs: Path, flags: Sequence[str] = ()) -> AsyncIterator[None]:
    """A dispatcher and `worker --model auto`, for as long as the block runs; one that ends is started again.

    `flags`: further ones of the worker.
    """
    parent = ["--parent", str(os.getpid())]
    commands = (["dispatcher", *parent], ["worker", "--model", "auto", "--live", str(LIVE_SLOTS), *flags, *parent])
    keeping = [asyncio.create_task(_keep(words, logs / f"serve-{words[0]}.log")) for words in commands]
    try:
        yield
    finally:
        for task in keeping:
            task.cancel()
        for task in keeping:
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _keep(words: list[str], log: Path) -> None:
    quick_ends = 0
    while True:
        began = time.monotonic()
        child = await Child.start(words, log)
        try:
            code = await child.process.wait()
        except asyncio.CancelledError:
            await child.stop(load_settings().drain_s + OVERDUE_S)
            raise
        if time.monotonic() - began >= STEADY_S:
            quick_ends = 0
        pause = AGAIN_S[min(quick_ends, len(AGAIN_S) - 1)]
        quick_ends += 1
        _log.warning("beside_ended", command=words[0], code=code, log=str(log), again_in_s=pause)
        await asyncio.sleep(pause)
