"""Draws a step's tokens from their logits: one after the other, or on several cores where that takes long.

Drawing passes over the whole vocabulary for each row: 50 us for 32,000 entries, 4 to 8 ms where a grammar has to look
at each. Nothing else can go on meanwhile, least of all a GPU. The rows are independent of each other, and llama.cpp
computes without holding the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import NamedTuple

from workers.engine.backend import Sampler
from workers.engine.request import TokenLogprob

WORTH_SHARING = 100_000
"""Logits of a step from which waking another thread costs less than it saves."""


class Row(NamedTuple):
    """A row of logits, and whose token is drawn from it."""

    number: int
    sampler: Sampler
    with_logprob: bool


class Drawn(NamedTuple):
    token: int
    logprob: TokenLogprob | None = None


class Drawer:
    """Used by one thread at a time. `lanes` counts the threads that draw, the caller's own included."""

    def __init__(self, vocabulary: int, lanes: int) -> None:
        self._vocabulary = vocabulary
        self._helpers = max(0, lanes - 1)
        self._pool = ThreadPoolExecutor(self._helpers, "engine-draw") if self._helpers else None

    def draw(self, rows: Sequence[Row]) -> list[Drawn | Exception]:
        """What each row drew; an error concerns its own row alone."""
        results: list[Drawn | Exception] = [_UNDRAWN] * len(rows)
        numbers = iter(range(len(rows)))  # shared by the lanes: whoever is free takes the next row
        if self._pool is None or len(rows) * self._vocabulary < WORTH_SHARING:
            _lane(rows, numbers, results)
            return results
        helpers = [self._pool.submit(_lane, rows, numbers, results) for _ in range(min(self._helpers, len(rows) - 1))]
        _lane(rows, numbers, results)
        wait(helpers)
        return results

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()


_UNDRAWN = RuntimeError("the row was not drawn")


def _lane(rows: Sequence[Row], numbers: Iterator[int], results: list[Drawn | Exception]) -> None:
    for number in numbers:
        row = rows[number]
        try:
            token = row.sampler.sample(row.number)
            results[number] = Drawn(token, row.sampler.logprob(row.number, token) if row.with_logprob else None)
        except Exception as error:  # that request's own fault; the others go on
            results[number] = error
