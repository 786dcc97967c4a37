"""Which due jobs are rung for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.pipeline.dispatch.window import LARGEST, SMALLEST, QueueLine, fair_window, next_size


def line(name: str, count: int, priority: int = 0) -> QueueLine:
    return QueueLine(run=name, priority=priority, entries=[(f"{name}{n}", 0) for n in range(count)])


def ids(window: Sequence[QueueLine]) -> list[str]:
    return [job for line in window for job, _ in line.entries]


@pytest.mark.parametrize(
    ("lines", "size", "expected"),
    [
        ([], 4, []),
        ([line("a", 2)], 4, ["a0", "a1"]),
        # two runs of one priority share evenly, each in one piece and in order
        ([line("a", 9), line("b", 9)], 4, ["a0", "a1", "b0", "b1"]),
        # what a short run does not need goes to the other
        ([line("a", 1), line("b", 9)], 4, ["a0", "b0", "b1", "b2"]),
        # the higher priority takes all it can use, the lower what is left
        ([line("a", 9), line("b", 3, priority=1)], 4, ["b0", "b1", "b2", "a0"]),
        ([line("a", 9), line("b", 9, priority=1)], 4, ["b0", "b1", "b2", "b3"]),
    ],
)
def test_fair_window(lines: list[QueueLine], size: int, expected: list[str]) -> None:
    assert ids(fair_window(lines, size)) == expected


@given(
    counts=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), max_size=6),
    size=st.integers(1, 60),
)
def test_the_window_is_as_full_as_it_can_be_and_no_job_is_in_it_twice(counts: list[tuple[int, int]], size: int) -> None:
    lines = [line(f"{n}-", count, priority) for n, (count, priority) in enumerate(counts)]
    chosen = ids(fair_window(lines, size))
    assert len(chosen) == len(set(chosen)) == min(size, sum(count for count, _ in counts))


@pytest.mark.parametrize(
    ("size", "slots", "rung", "taken", "expected"),
    [
        (16, 0, 16, 0, SMALLEST),  # nobody serves the model: a small window waits
        (64, 32, 64, 20, 64),  # twice the slots, steadily used
        (64, 32, 64, 64, 128),  # emptied between two ticks: more
        (LARGEST, 32, LARGEST, LARGEST, LARGEST),  # never more than this
        (128, 32, 128, 4, 64),  # hardly used: back to twice the slots
        (64, 32, 10, 10, 64),  # all taken because there were no more: no reason to grow
    ],
)
def test_next_size(size: int, slots: int, rung: int, taken: int, expected: int) -> None:
    assert next_size(size, slots, rung, taken) == expected
