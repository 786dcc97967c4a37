"""Says how far a download is, for those who watch elsewhere: from a thread of its own, and only where Redis is up."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.jobs.events import EventSink, Moved
    from nightjar.workers.library.pull import PullProgress

SAY_EVERY_S = 1.0
CLOSE_S = 2.0


@dataclass(eq=False)
class ToldProgress:
    """A `PullProgress` that shows what it gets, and says every second that the download has moved."""

    shown: PullProgress
    model: str
    events: EventSink
    _said: float = 0.0

    def start(self, label: str, total_bytes: int) -> None:
        self.shown.start(label, total_bytes)
        self._say()

    def advance(self, count: int) -> None:
        self.shown.advance(count)
        if monotonic() - self._said > SAY_EVERY_S:
            self._say()

    def _say(self) -> None:
        from nightjar.jobs.events import EventKind, Moved

        self._said = monotonic()
        self.events.say(Moved(kind=EventKind.PULL, model=self.model))


class _FromAnyThread:
    """An `EventSink` that hands on to one of an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, events: EventSink) -> None:
        self._loop = loop
        self._events = events

    def say(self, event: Moved) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._events.say, event)


@contextlib.contextmanager
def told_pull(shown: PullProgress, model: str, settings: Settings) -> Iterator[PullProgress]:
    """The progress, which also says events while the download lasts. Nothing is started for that."""
    from nightjar.config.embedded import redis_in_reach
    from nightjar.jobs.event_stream import RedisEvents
    from nightjar.jobs.queue import Doorbell

    url = redis_in_reach(settings)
    if url is None:
        yield shown
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="pull-events", daemon=True)
    thread.start()
    events = RedisEvents(partial(Doorbell.unconnected, url))
    told = ToldProgress(shown, model, _FromAnyThread(loop, events))
    try:
        yield told
    finally:
        told._say()
        with contextlib.suppress(Late):
            asyncio.run_coroutine_threadsafe(events.close(), loop).result(CLOSE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_S)
        if not thread.is_alive():
            loop.close()
