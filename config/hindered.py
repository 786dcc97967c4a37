"""Keeps trouble from spreading: an error that does not pass by itself is logged, and costs only the work at hand."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from nightjar.config.errors import NightjarError

_log = structlog.get_logger()


@dataclass
class Hindrance:
    """What came in the way of the work; `error` is None while nothing has."""

    error: NightjarError | None = None


@contextmanager
def hindered(event: str, *, level: int = logging.ERROR, **fields: Any) -> Iterator[Hindrance]:
    """Logs a NightjarError as `event`, with its message and `fields`, and goes on after the block.

    A transient error is raised: the server is away, and whoever repeats the work waits for it.
    """
    hindrance = Hindrance()
    try:
        yield hindrance
    except NightjarError as error:
        if error.transient:
            raise
        hindrance.error = error
        _log.log(level, event, error=str(error), **fields)
