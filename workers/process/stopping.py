"""That a worker process is to end: asked for from its first moment on, whatever it is doing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

import structlog

from nightjar.config.deadline import heed
from nightjar.config.stopping import LEAVING_S, OVERDUE_S, end_signals, exit_code, leave_within

T = TypeVar("T")
_log = structlog.get_logger()


class StopRequest:
    """The wish that this process ends, and by when it is fulfilled."""

    def __init__(self, drain_s: float) -> None:
        self.asked = asyncio.Event()
        """By a signal, or because a burst has come to its end."""
        self._signalled = False
        self.serving = False
        """Whether there may be turns in hand, which get `drain_s` to finish."""
        self._drain_s = drain_s

    def listen(self) -> None:
        """Takes signals from now on."""
        for signum in end_signals():
            heed(signum, partial(self.signalled, signum), lambda: self._deadline_s + OVERDUE_S)

    def signalled(self, signum: signal.Signals) -> None:
        """Asks; a second signal ends the process at once. One that is ending anyhow ends as it should."""
        if self._signalled:
            os._exit(exit_code(signum))
        self._signalled = True
        _log.info("draining", signal=signum.name, deadline_s=self._deadline_s)
        leave_within(self._deadline_s + LEAVING_S, exit_code(signum))
        self.asked.set()

    @property
    def _deadline_s(self) -> float:
        return self._drain_s if self.serving else 0.0


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work gives; None when `stop` was set before it ended, and the work is cancelled."""
    working, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        stopped.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
