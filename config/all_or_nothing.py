"""Work that is finished even by a task that is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def all_or_nothing(work: Coroutine[Any, Any, T]) -> T:
    """Finishes it even if the task is cancelled meanwhile: all of it happens, or none."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # nobody is left to tell; asyncio would log it as an error that was overlooked
        raise
