"""Work that is done again and again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog
from pymongo.errors import PyMongoError

from nightjar.config.errors import NightjarError
from nightjar.jobs.patience import is_transient

AWAY_PAUSE_S = 1.0
_log = structlog.get_logger()


async def every(period_s: float, work: Callable[[], Awaitable[object]], stop: asyncio.Event, *, name: str) -> None:
    """Does `work` again and again until `stop` is set. A server that is away is waited for, and reported once.

    Any error that does not pass by itself is raised.
    """
    hindered: str | None = None
    while not stop.is_set():
        pause_s = period_s
        try:
            await work()
        except (PyMongoError, NightjarError) as error:
            if not (is_transient(error) or getattr(error, "transient", False)):
                raise
            if hindered is None:
                _log.warning("hindered", work=name, error=str(error))
            hindered = type(error).__name__
            pause_s = max(period_s, AWAY_PAUSE_S)
        else:
            if hindered is not None:
                _log.info("works_again", work=name)
            hindered = None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause_s)
