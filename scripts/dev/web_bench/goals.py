"""What the web room is held against, and the rows of its table. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from nightjar.scripts.dev.bench.rows import BenchRow, Goal, nth_percentile

WITHIN = 0.05
"""So near to a goal counts as reached."""
EVENT_MS = Goal(bound=100, at_most=True)
FIRST_TOKEN_MS = Goal(bound=60, at_most=True)
THROUGHPUT = Goal(bound=0.9)
PAGE_MS = Goal(bound=150, at_most=True)
FIRST_LOAD_KB = Goal(bound=150, at_most=True)
WEB_MIB = Goal(bound=200, at_most=True)
POOL_MIB = Goal(bound=400, at_most=True)
GROWN_MIB = Goal(bound=10, at_most=True)


def median_row(
    measure: str, values: Sequence[float], goal: Goal | None, unit: str, note: str = "", **others: Sequence[float]
) -> BenchRow:
    """The median of the rounds; what else was measured goes into the samples."""
    value = median(values)
    interval = None
    if goal is not None:
        near = goal.bound * WITHIN
        interval = (value - near, value + near)
    return BenchRow(
        measure=measure,
        value=value,
        goal=goal,
        unit=unit,
        note=note,
        samples={unit: values, **others},
        interval=interval,
    )


def percentiles_note(rounds: Sequence[Sequence[float]], unit: str) -> str:
    """Median, 95th percentile and longest of all that was measured."""
    values = [value for each in rounds for value in each]
    return (
        f"{len(values):,} in all: median {median(values):.1f}, p95 {nth_percentile(values, 95):.1f}, longest "
        f"{max(values):.1f} {unit}"
    )


def text_delays_ms(
    handed: Mapping[tuple[str, int, int], Sequence[tuple[int, int]]],
    heard: Mapping[tuple[int, str, int, int], Sequence[tuple[int, int]]],
) -> list[float]:
    """How long each piece of text took from the engine to each browser that watched its turn by then.

    `handed`: by job, fence and turn, (characters so far, nanoseconds) in order; `heard`: the same by browser, too. What
    was handed over before a browser's first text had come is not counted: nobody waited for it there. What no browser
    has heard when the clients end is not, either.
    """
    delays = []
    for (_, job, fence, turn), arrivals in heard.items():
        at = 0
        for characters, moment in handed.get((job, fence, turn), ()):
            while at < len(arrivals) and arrivals[at][0] < characters:
                at += 1
            if at == len(arrivals):
                break
            if moment > arrivals[0][1]:
                delays.append((arrivals[at][1] - moment) / 1e6)
    return delays
