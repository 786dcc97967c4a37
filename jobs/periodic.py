"""Work that is done again and again, whatever goes wrong in one round of it; and the end of such work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Any, Protocol

import structlog

from nightjar.jobs.hindered import WHOLE, Hindrances, in_words, is_cancelled, passes_by_itself, traceback_of

AWAY_PAUSE_S = 1.0
LONGEST_PAUSE_S = 10.0
"""Between two rounds of work that keeps failing; whatever mends its cause is seen within this time."""
CANCEL_S = 5.0
"""How long a task may take over being cancelled."""
_log = structlog.get_logger()


class ChoreBoard(Protocol):
    """Where a process shows which of its chores fail."""

    async def show(self, chore: str, hindrances: Hindrances, next_in_s: float) -> None:
        """Called after each round of a chore. Raises nothing."""


board: ContextVar[ChoreBoard | None] = ContextVar("board", default=None)
"""The board of whoever runs chores: a process has several tasks that do, each starts others."""


async def every(
    period_s: float,
    work: Callable[[], Awaitable[object]],
    stop: asyncio.Event,
    *,
    name: str,
    raises: type[Exception] | tuple[type[Exception], ...] = (),
) -> None:
    """Does `work` again and again until `stop` is set. A server that is away is waited for, and reported once.

    Any other error costs one round: it is logged with its traceback, shown on the process's board, and the next round
    comes after a pause that grows while the error stays. Only errors that are named in `raises` end the work.
    """
    chore = _Chore(name)
    while not stop.is_set():
        try:
            with chore.hindrances.collecting():
                await work()
        except raises:
            raise
        except Exception as error:
            pause_s = chore.failed(error, period_s)
        else:
            pause_s = chore.worked(period_s)
        if is_cancelled():
            raise asyncio.CancelledError
        if not chore.away and (shown := board.get()) is not None:
            await shown.show(name, chore.hindrances, pause_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause_s)
        chore.hindrances.begin()


class _Chore:
    """What is remembered of a piece of work from one round to the next."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._failures = 0
        self.away = False
        self.hindrances = Hindrances()

    def failed(self, error: Exception, period_s: float) -> float:
        """How long to wait for the next round."""
        if passes_by_itself(error):
            if not self.away:
                _log.warning("hindered", work=self._name, error=in_words(error))
            self.away = True
            return max(period_s, AWAY_PAUSE_S)
        self.away = False
        self._failures += 1
        if self.hindrances.add(WHOLE, error):
            _log.error("chore_failed", work=self._name, error=in_words(error), **traceback_of(error))
        return max(period_s, min(LONGEST_PAUSE_S, AWAY_PAUSE_S * 2.0 ** min(self._failures - 1, 10)))

    def worked(self, period_s: float) -> float:
        if self.away or self._failures:
            _log.info("works_again", work=self._name)
        self.away, self._failures = False, 0
        return period_s


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancels a task that uses Redis until it ends: redis-py can swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.5)


async def ended(tasks: Iterable[asyncio.Task[Any]], *, within_s: float) -> set[asyncio.Task[Any]]:
    """Waits for tasks that were asked to end, then cancels those that go on; returns those that do not end even so.

    They are cancelled again and again: drivers can swallow a cancellation.
    """
    left = {task for task in tasks if not task.done()}
    if left:
        _, left = await asyncio.wait(left, timeout=within_s)
    loop = asyncio.get_running_loop()
    until = loop.time() + CANCEL_S
    while left and loop.time() < until:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.5)
    return left
