"""A standby dispatcher beside a command's own work: what was enqueued gets done though nobody started a dispatcher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightjar.jobs.closers import Closer
    from nightjar.jobs.mongo import Database
    from nightjar.scripts.session import Session

POLL_S = 0.3
SETTLING_S = 120.0
"""At most this long for what is left to close while nobody is closing anything."""


async def _never() -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Standby:
    """A standby dispatcher that runs."""

    closer: Closer
    _database: Database

    async def settle(self, *, run: str | None = None, enough: Callable[[], Awaitable[bool]] = _never) -> None:
        """Waits while it, or a dispatcher that lives, has something to close: any run, or that one. Ends where
        `enough` says so, or nothing moves for long.
        """
        from nightjar.jobs.patience import patiently
        from nightjar.jobs.runs.left_to_close import closing_now, left_to_close

        loop = asyncio.get_running_loop()
        last = loop.time()
        while loop.time() - last < SETTLING_S and not await enough():
            if not await patiently(lambda: left_to_close(self.closer, self._database, run=run)):
                return
            if await patiently(lambda: closing_now(self._database)):
                last = loop.time()
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def standing_by(session: Session) -> AsyncIterator[Standby]:
    """A standby dispatcher for as long as the block runs. A Redis that is away is waited for.

    Raises SettingsError where the processes of the database use another Redis, or this host's MongoDB is its own
    beside another one.
    """
    from nightjar.config.embedded import latest_redis_url
    from nightjar.config.errors import ServiceError
    from nightjar.jobs.queue import Doorbell
    from nightjar.jobs.redis_in_use import RedisInUse, mongo_in_use
    from nightjar.pipeline.dispatch.dispatcher import Dispatcher
    from nightjar.workers.embedder.client import embedder_opener

    doorbell = Doorbell.unconnected(session.urls.redis, partial(latest_redis_url, session.settings))
    try:
        with suppress(ServiceError):
            mongo = mongo_in_use(session.settings)
            await RedisInUse(doorbell=doorbell, database=session.database, mongo=mongo).begin()
        embedder = embedder_opener(session.settings)
        dispatcher = Dispatcher(session.database, doorbell, session.settings, standby=True, embedder=embedder)
        stop = asyncio.Event()
        task = asyncio.create_task(dispatcher.run(stop))
        try:
            closer = await asyncio.to_thread(lambda: dispatcher.closer)
            yield Standby(closer=closer, _database=session.database)
        finally:
            stop.set()
            await task
    finally:
        await doorbell.close()
