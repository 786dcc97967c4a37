"""Draws a step's tokens from their logits: one after another, and the slow rows on several cores.

Where a chain has to look at every entry of the vocabulary, a draw takes up to 8 ms, nearly all of it in llama.cpp,
which computes without the interpreter's lock; nothing else can go on meanwhile, least of all a GPU. From a shortlist a
draw takes 30 us, in steps that each need the lock again: several threads that shared such rows took up to four times as
long as one (docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

from nightjar.workers.engine.backend import Drawn, Sampler

WORTH_SHARING = 100_000
"""From this many logits in a step's slow rows on, waking another thread costs less than it saves."""

LogitsRow = tuple[Sampler, int]
"""The sampler that draws, and the number of its row of logits."""


class SamplingThreads:
    """Called by one thread at a time. `lanes` counts the threads that draw, the caller's own included."""

    def __init__(self, vocabulary: int, lanes: int) -> None:
        self._vocabulary = vocabulary
        self._helpers = max(0, lanes - 1)
        self._pool = ThreadPoolExecutor(self._helpers, "engine-draw") if self._helpers else None

    def draw(self, rows: Sequence[LogitsRow]) -> list[Drawn | Exception]:
        """Each row's token, or the error of that row alone."""
        results: list[Drawn | Exception] = [_UNDRAWN] * len(rows)
        slow = [number for number, (sampler, _) in enumerate(rows) if sampler.slow] if self._pool is not None else []
        if self._pool is None or len(slow) * self._vocabulary < WORTH_SHARING:
            _lane(rows, iter(range(len(rows))), results)
            return results
        shared = iter(slow)  # by all threads: whichever is free takes the next row
        helpers: list[Future[None]] = []
        with suppress(RuntimeError):  # the interpreter ends and takes no more work: this thread draws them all
            for _ in range(min(self._helpers, len(slow) - 1)):
                helpers.append(self._pool.submit(_lane, rows, shared, results))
        _lane(rows, iter([number for number, (sampler, _) in enumerate(rows) if not sampler.slow]), results)
        _lane(rows, shared, results)
        wait(helpers)
        return results

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()


_UNDRAWN = RuntimeError("the row was not drawn")


def _lane(rows: Sequence[LogitsRow], numbers: Iterator[int], results: list[Drawn | Exception]) -> None:
    for number in numbers:
        sampler, row = rows[number]
        try:
            results[number] = sampler.draw(row)
        except Exception as error:  # only that request fails; the others go on
            results[number] = error
