"""Sets of characters, as ranges of code points. Pure."""

from __future__ import annotations

from collections.abc import Iterable

LAST_CHARACTER = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]
"""Sorted, disjoint, inclusive ranges of code points."""


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sorted, and joined where they touch."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(one for one in ranges if one[0] <= one[1]):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def complement(ranges: Iterable[tuple[int, int]]) -> Ranges:
    low, gaps = 0, []
    for first, last in union(ranges):
        gaps.append((low, first - 1))
        low = last + 1
    return union([*gaps, (low, LAST_CHARACTER)])


def common(some: Ranges, others: Ranges) -> Ranges:
    return union((max(a, c), min(b, d)) for a, b in some for c, d in others)


def has(ranges: Ranges, code: int) -> bool:
    return any(low <= code <= high for low, high in ranges)
