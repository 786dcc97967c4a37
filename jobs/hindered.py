"""Keeps trouble from spreading: an error that does not pass by itself is logged, and costs only the work at hand.

What repeats its work (`jobs.periodic`) collects these errors while it works, so that `nightjar status` can show what
has failed since when. There an error is logged when it is new, not every second of a night.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import structlog
from pydantic import ValidationError

from nightjar.config.errors import NightjarError
from nightjar.jobs.patience import is_transient
from nightjar.jobs.records import cut
from nightjar.jobs.unreadable import flaw_of

MOST_HINDRANCES = 50
"""Kept of one round; a collection of 10,000 damaged documents is no reason to keep 10,000 errors."""
LOG_AGAIN_S = 600.0
"""After so long an error that is still there is logged once more."""
MOST_LOGGED = 1_000
WHOLE = ""
"""What an error is about that no part of the work caught."""
_log = structlog.get_logger()


@dataclass
class Hindrance:
    """What came in the way of the work; `error` is None while nothing has."""

    error: Exception | None = None


@dataclass
class Hindrances:
    """What came in the way of repeated work in its latest round: subject -> error as text."""

    quiet: bool = False
    """They are shown to a person; nothing is logged."""
    now: dict[str, str] = field(default_factory=dict)
    _logged: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Subject -> the error that was logged last, and when."""

    def begin(self) -> None:
        """The next round."""
        self.now = {}

    def add(self, about: str, error: Exception, again_s: float = LOG_AGAIN_S) -> bool:
        """Notes an error; True where it is to be logged: it is another than the last, or that was long ago.

        Not every round looks at everything, so one without the error does not mean that it has gone.
        """
        text, now = in_words(error), monotonic()
        if len(self.now) < MOST_HINDRANCES:
            self.now[about] = text
        last, at = self._logged.get(about, ("", 0.0))
        if self.quiet or (last == text and now - at < again_s):
            return False
        if len(self._logged) >= MOST_LOGGED:
            self._logged.clear()
        self._logged[about] = (text, now)
        return True

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """What is hindered in the block, also in the tasks that it starts, is noted here."""
        token = _collected.set(self)
        try:
            yield
        finally:
            _collected.reset(token)


_collected: ContextVar[Hindrances | None] = ContextVar("hindrances", default=None)
_seldom = Hindrances()
"""What was logged of `seldom_s` outside of all collecting."""


@contextmanager
def hindered(event: str, *, level: int = logging.ERROR, seldom_s: float = 0.0, **about: Any) -> Iterator[Hindrance]:
    """Logs an error as `event`, with its message and what it is `about`, and goes on after the block.

    `seldom_s`: where nothing is collected, the same error about the same is logged once in so long.

    An error that is no NightjarError was not expected: its traceback is logged too. A transient one is raised, since
    the server is away, and whoever repeats the work waits for it; so is what comes of a task that is being cancelled.
    """
    hindrance = Hindrance()
    try:
        yield hindrance
    except Exception as error:
        if passes_by_itself(error) or is_cancelled():
            raise
        hindrance.error = error
        collected = _collected.get()
        subject = " ".join(f"{name} {value}" for name, value in about.items()) or event
        if collected is not None:
            news = collected.add(subject, error)
        else:
            news = not seldom_s or _seldom.add(f"{event} {subject}", error, seldom_s)
        if news:
            _log.log(level, event, error=in_words(error), **traceback_of(error), **about)


def passes_by_itself(error: Exception) -> bool:
    """Whether trying again later may be enough: a server is away."""
    return error.transient if isinstance(error, NightjarError) else is_transient(error)


def traceback_of(error: Exception) -> dict[str, Any]:
    """What a log event says of where the error came from; nothing where that tells no more than its message.

    The traceback of a document that does not validate would quote the document.
    """
    return {} if isinstance(error, NightjarError | ValidationError) else {"exc_info": error}


def in_words(error: Exception) -> str:
    """The error in one short paragraph. A document that does not validate says which fields, without its contents."""
    if isinstance(error, ValidationError):
        return flaw_of(error)
    return cut(str(error) if isinstance(error, NightjarError) else f"{type(error).__name__}: {error}")


def is_cancelled() -> bool:
    """Whether the current task is to end. Drivers can answer a cancellation with an error of their own, or swallow it.

    pymongo does so while it connects: the error looks as if the server were away.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop: nothing can be cancelled
        return False
    return task is not None and task.cancelling() > 0
