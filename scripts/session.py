"""What most commands need open: settings, MongoDB and, where asked for, Redis."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from nightjar.config.stopping import LEAVING_S, end_signals, exit_code, leave_within

if TYPE_CHECKING:
    from nightjar.config.embedded import ServiceUrls
    from nightjar.config.settings import Settings
    from nightjar.jobs.mongo import Database
    from nightjar.jobs.queue import Doorbell

T = TypeVar("T")
GONE_S = 30.0
"""A command that is told to end is gone so long after its workers had their time to drain, whatever it does."""


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
async def open_session(
    *,
    reading: bool = False,
    redis: bool = False,
    service: bool = False,
    log_file: str | None = None,
    program: bool = False,
) -> AsyncIterator[Session]:
    """Starts the embedded servers where no URL is set, connects, and closes again.

    Raises ServiceError, also when MongoDB goes away in between, or the home is deleted. Raises SchemaError for a
    database of another schema version, where this command may not or cannot migrate it. A command that is only
    `reading` never does, nor does it make a home.

    A `service` (worker, dispatcher) logs what it does; a command that a person waits for logs only warnings. With
    `log_file` the log goes to that file under NIGHTJAR_HOME/logs, so that it does not disturb the terminal. In a
    `program` that imports Nightjar, its logging and its life are its own.
    """
    from nightjar.config.embedded import latest_redis_url, service_urls
    from nightjar.config.errors import ServiceError
    from nightjar.config.logging import configure
    from nightjar.config.settings import load_settings
    from nightjar.config.urls import address
    from nightjar.jobs.database import Access, connect
    from nightjar.jobs.event_stream import RedisEvents
    from nightjar.jobs.mongo import DatabaseError
    from nightjar.jobs.patience import is_transient
    from nightjar.jobs.queue import Doorbell
    from nightjar.scripts.keeper import Keeper
    from nightjar.scripts.migrating import migration_progress

    settings = load_settings()
    quiet = not service and settings.log_level == "info"
    stream = await asyncio.to_thread(open_log, settings.home / "logs" / log_file) if log_file else None
    if not program:
        level = {"log_level": "warning"} if quiet and not stream else {}
        configure(settings.model_copy(update=level), stream=stream)
    begin = not reading or settings.mongo_url is not None  # a home without the database holds nothing to read
    urls = await asyncio.to_thread(partial(service_urls, settings, begin=begin))
    access = Access.READ if reading else Access.WRITE
    with migration_progress(logged=service or program or stream is not None) as progress:
        opened = await connect(urls.mongo, settings.mongo_database, access=access, progress=progress)
    async with opened as database:
        latest = partial(latest_redis_url, settings)
        doorbell = await Doorbell.connect(urls.redis, latest) if redis else None
        database.events = events = RedisEvents(partial(Doorbell.unconnected, urls.redis, latest))
        command = None if service or program else asyncio.current_task()
        keeper = Keeper(settings, database, urls.mongo, command=command, ends_process=not program)
        keeping = asyncio.create_task(keeper.run())
        try:
            yield Session(settings=settings, urls=urls, database=database, _doorbell=doorbell)
            keeper.check()
        except (asyncio.CancelledError, ServiceError):
            keeper.check()
            raise
        except DatabaseError as error:
            keeper.check()
            if not is_transient(error):
                raise
            raise ServiceError(
                f"MongoDB at {address(urls.mongo)} went away while this command worked ({type(error).__name__}). "
                "What was written stays written; give the command again."
            ) from error
        finally:
            keeping.cancel()
            keeper.close()
            await events.close()
            if doorbell is not None:
                await doorbell.close()


def open_log(path: Path) -> TextIO:
    """Opens the log file for appending; it stays open as long as the process logs. Raises OutputError."""
    from nightjar.config.errors import OutputError
    from nightjar.config.files import close_if_home, make_folder

    try:
        make_folder(path.parent)
        log = path.open("a", encoding="utf-8", buffering=1)
        close_if_home(path)
        return log
    except OSError as error:
        raise OutputError(
            f"The log {path} cannot be written: {error.strerror}. Set NIGHTJAR_HOME to another folder."
        ) from None


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's coroutine. Ctrl-C ends it with exit code 130, SIGTERM with 143, a closed terminal with 129.

    It cleans up first, and then is gone soon, whatever its threads do.
    """
    received: list[signal.Signals] = []
    leaving: list[threading.Timer] = []
    try:
        return asyncio.run(_until_told(work, received, leaving))
    except KeyboardInterrupt:
        raise SystemExit(exit_code(signal.SIGINT)) from None
    except asyncio.CancelledError:
        raise SystemExit(exit_code(received[0] if received else signal.SIGTERM)) from None
    finally:
        for timer in leaving:
            timer.cancel()


async def _until_told(
    work: Coroutine[Any, Any, T], received: list[signal.Signals], leaving: list[threading.Timer]
) -> T:
    from nightjar.config.deadline import heed
    from nightjar.config.settings import load_settings

    task = asyncio.current_task()
    assert task is not None

    def told(signum: signal.Signals) -> None:
        received.append(signum)
        task.cancel()

    for signum in end_signals():
        if signum is not signal.SIGINT:  # asyncio's own handler cancels the task, and a second Ctrl-C ends at once
            heed(signum, partial(told, signum), lambda: load_settings().drain_s + GONE_S)
    try:
        return await work
    except Exception:
        if task.cancelling():  # a driver made an error of its own of the cancellation
            raise asyncio.CancelledError from None
        raise
    finally:
        if task.cancelling():
            leaving.append(leave_within(LEAVING_S, exit_code(received[0] if received else signal.SIGINT)))
