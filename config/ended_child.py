"""The end of a child process that is waited for by the event loop."""

from __future__ import annotations

import asyncio
import contextlib

from nightjar.config.all_or_nothing import all_or_nothing


async def end_child(child: asyncio.subprocess.Process) -> None:
    """Kills it where it lives, and waits for its end. Cancelled meanwhile, it still waits: a child that nobody waited
    for is a zombie, and its pipes stay open.
    """
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
    await all_or_nothing(child.wait())
