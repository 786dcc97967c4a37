"""Prepares samplers for their next draw while the device computes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from nightjar.workers.engine.backend import Sampler


class MaskThread:
    """Called by the engine's thread, which computes meanwhile; one hand-over a step for all samplers."""

    def __init__(self) -> None:
        self._waiting: list[Sampler] = []
        self._pool: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def add(self, sampler: Sampler) -> None:
        """It draws after the next decode, or a later one."""
        self._waiting.append(sampler)

    def begin(self) -> None:
        if not self._waiting:
            return
        samplers, self._waiting = self._waiting, []
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "engine-mask")
        with suppress(RuntimeError):  # the interpreter ends and takes no more work: their draws do it themselves
            self._running = self._pool.submit(_prepare, samplers)

    def wait(self) -> None:
        """Until all that was begun is done; what failed shows again when it is drawn."""
        if self._running is not None:
            running, self._running = self._running, None
            running.exception()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()


def _prepare(samplers: Sequence[Sampler]) -> None:
    for sampler in samplers:
        sampler.prepare()
