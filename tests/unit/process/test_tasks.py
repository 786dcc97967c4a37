"""A write that goes on although its task was cancelled."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from nightjar.config.all_or_nothing import all_or_nothing
from nightjar.config.errors import LeaseLostError


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_write_is_finished_and_its_failure_is_no_error_of_the_log(fails: bool) -> None:
    """The job was taken away while its last commit was under way, so that it fails: that is how it should be."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    begun, go_on, written = asyncio.Event(), asyncio.Event(), []

    async def write() -> None:
        begun.set()
        await go_on.wait()
        written.append(1)
        if fails:
            raise LeaseLostError("It is no longer held.")

    task = asyncio.create_task(all_or_nothing(write()))
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    gc.collect()
    await asyncio.sleep(0)
    assert written
    assert not told
