"""What most commands need open: settings, MongoDB and, where asked for, Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from config.embedded import ServiceUrls
    from config.settings import Settings
    from jobs.database import Database
    from jobs.queue import Doorbell

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Session:
    settings: Settings
    urls: ServiceUrls
    database: Database
    _doorbell: Doorbell | None

    @property
    def doorbell(self) -> Doorbell:
        """Redis; only in a session opened with `redis=True`."""
        assert self._doorbell is not None, "open_session(redis=True) opens Redis"
        return self._doorbell


@asynccontextmanager
async def open_session(*, redis: bool = False, service: bool = False) -> AsyncIterator[Session]:
    """Starts the embedded servers where no URL is set, connects, and closes again. Raises ServiceError.

    A `service` (worker, dispatcher) logs what it does; a command a person waits for logs warnings only.
    """
    from config.embedded import service_urls
    from config.logging import configure
    from config.settings import load_settings
    from jobs.database import connect
    from jobs.queue import Doorbell

    settings = load_settings()
    quiet = not service and settings.log_level == "info"
    configure(settings.model_copy(update={"log_level": "warning"}) if quiet else settings)
    urls = await asyncio.to_thread(service_urls, settings)
    async with await connect(urls.mongo, settings.mongo_database) as database:
        doorbell = await Doorbell.connect(urls.redis) if redis else None
        try:
            yield Session(settings=settings, urls=urls, database=database, _doorbell=doorbell)
        finally:
            if doorbell is not None:
                await doorbell.close()


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's coroutine. Ctrl-C ends it with exit code 130."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
