"""Win rates of models on the same sequences. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from nightjar.pipeline.statistics.intervals import Interval, share_interval

Shares = Mapping[tuple[str, str], Mapping[str, float]]
"""Pair of models -> sequence -> share of its comparisons that the first won; a tie counts half."""


@dataclass(frozen=True, kw_only=True)
class WinRate:
    """Share of sequences on which the first model is better; a tie is half a win."""

    first: str
    second: str
    n: int
    share: float
    interval: Interval | None


def shares_of(values: Mapping[str, Mapping[str, float]]) -> Shares:
    """For every two models, by sequence: which one has the higher value. `values`: model -> sequence -> value."""
    return {
        (first, second): {
            key: _point(values[first][key], values[second][key])
            for key in sorted(values[first].keys() & values[second].keys())
        }
        for first, second in combinations(values, 2)
    }


def rates_of(shares: Shares) -> list[WinRate]:
    """Win rates of pairs that were compared directly; pairs without a sequence are left out."""
    return [
        WinRate(
            first=first,
            second=second,
            n=len(points),
            share=math.fsum(points.values()) / len(points),
            interval=share_interval(list(points.values()), len(points)),
        )
        for (first, second), points in shares.items()
        if points
    ]


def _point(first: float, second: float) -> float:
    return 0.5 if first == second else float(first > second)
