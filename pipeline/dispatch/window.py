"""Which due jobs the dispatcher rings for: a small window of each model's, by priority and fairly. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

Entry = tuple[str, int]
"""(job id, fence)"""
SMALLEST = 16
"""Entries kept even for a model that no worker serves yet, so that the first one starts at once."""
LARGEST = 2_048
"""Keeps Redis small whatever happens: about 700 kB a model."""


@dataclass(frozen=True, kw_only=True)
class QueueLine:
    """Due jobs of one run for one model, in order."""

    run: str
    priority: int
    entries: Sequence[Entry]


def fair_window(lines: Sequence[QueueLine], size: int) -> list[QueueLine]:
    """The beginnings of the lines, `size` entries at most, higher priorities first.

    Runs of one priority get equal shares; what one does not need goes to the others. A run's entries stay together
    and in order, so that siblings of one prompt prefix meet in one worker.
    """
    chosen: list[QueueLine] = []
    left = size
    for priority in sorted({line.priority for line in lines}, reverse=True):
        equals = [line for line in lines if line.priority == priority]
        for line, share in zip(equals, _shares([len(line.entries) for line in equals], left), strict=True):
            if share:
                chosen.append(replace(line, entries=line.entries[:share]))
                left -= share
    return chosen


def next_size(size: int, slots: int, rung: int, taken: int) -> int:
    """Window after a tick: twice the live slots, doubled while workers empty it between two ticks."""
    floor = min(LARGEST, max(SMALLEST, 2 * slots))
    if rung >= size and taken >= 0.75 * rung:
        return max(floor, min(LARGEST, size * 2))
    if taken < 0.25 * size:
        return max(floor, size // 2)
    return max(floor, size)


def _shares(wanted: Sequence[int], total: int) -> list[int]:
    """Splits `total` over the wants, evenly, never more than is wanted."""
    shares = [0] * len(wanted)
    for rank, index in enumerate(sorted(range(len(wanted)), key=lambda i: wanted[i])):
        shares[index] = min(wanted[index], -(-total // (len(wanted) - rank)))
        total -= shares[index]
    return shares
