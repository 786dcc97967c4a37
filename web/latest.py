"""Something that takes a while to find out: made again where it has grown old, and waited for only a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(kw_only=True)
class Latest(Generic[T]):
    """The newest answer of `make`, at most `fresh_s` old when it was begun to be asked."""

    make: Callable[[], Awaitable[T]]
    fresh_s: float
    _task: asyncio.Task[T] | None = None
    _ended_at: float = 0.0

    async def look(self, patience_s: float) -> T | None:
        """The answer; None while it is being found out. Raises what `make` raises."""
        now = asyncio.get_running_loop().time()
        if self._task is None or (self._task.done() and now - self._ended_at > self.fresh_s):
            self._task = asyncio.create_task(self._made())
        task = self._task
        done, _ = await asyncio.wait({task}, timeout=patience_s)
        return task.result() if done else None

    async def _made(self) -> T:
        try:
            return await self.make()
        finally:
            self._ended_at = asyncio.get_running_loop().time()
