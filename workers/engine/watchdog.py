"""Ends what makes no progress in the engine's thread: asks the device to abort, then gives the engine up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class Watchdog:
    """Looks at `began` (when what the thread does began, None while it waits) from a thread of its own.

    After `patience_s` it calls `abort`, which only some devices heed; after twice that, `give_up`, once.
    """

    def __init__(
        self,
        began: Callable[[], float | None],
        abort: Callable[[], None],
        give_up: Callable[[], None],
        *,
        patience_s: float,
    ) -> None:
        self._began = began
        self._abort = abort
        self._give_up = give_up
        self._patience_s = patience_s
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="engine-watchdog", daemon=True).start()

    def close(self) -> None:
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(min(1.0, self._patience_s / 4)):
            began = self._began()
            age_s = 0.0 if began is None else time.monotonic() - began
            if age_s > 2 * self._patience_s:
                log.error("engine_given_up", age_s=age_s)
                self._give_up()
                return
            if age_s > self._patience_s:
                log.error("engine_stalled", age_s=age_s)
                self._abort()
