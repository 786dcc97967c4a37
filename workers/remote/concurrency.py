"""How many requests a worker has under way at an endpoint: fewer where it is too much, slowly more where not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class AdaptiveConcurrency:
    """Additive increase, multiplicative decrease (Chiu and Jain 1989), between 1 and `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._active = 0
        self._changed = asyncio.Condition()

    @property
    def limit(self) -> int:
        return max(1, int(self._limit))

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Around a request; waits for its turn."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._active < self.limit)
            self._active += 1
        try:
            yield
        finally:
            self._active -= 1
            asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def well(self) -> None:
        """A request was answered: one more after as many of them as the limit is."""
        self._limit = min(self._most, self._limit + 1 / self._limit)

    def too_much(self) -> None:
        """The endpoint could not take it."""
        self._limit = max(1.0, self._limit / 2)
