"""Doubt about a mean over sequences. Pure; quantiles come from scipy.

The sequences are the sample: values are one per sequence, turns and repeats reduced before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

SMALLEST_INTERVAL = 5
"""Fewer sequences get no interval: it would promise what so few cannot."""
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Confidence interval of a mean."""

    low: float
    high: float
    method: str

    def within(self, least: float | None, most: float | None) -> Interval:
        """The interval cut to what values can be."""
        low = self.low if least is None else max(self.low, least)
        high = self.high if most is None else min(self.high, most)
        return Interval(low=low, high=high, method=self.method)


def mean(values: Sequence[float]) -> float | None:
    """None of no values."""
    return math.fsum(values) / len(values) if values else None


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean of independent values; None under two."""
    if len(values) < 2:
        return None
    centre = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - centre) ** 2 for v in values) / (len(values) - 1) / len(values))


def t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Student's t interval of the mean; None under SMALLEST_INTERVAL values."""
    error = standard_error(values)
    if len(values) < SMALLEST_INTERVAL or error is None:
        return None
    centre = math.fsum(values) / len(values)
    reach = t_quantile(confidence, len(values) - 1) * error
    return Interval(low=centre - reach, high=centre + reach, method="t")


def share_interval(values: Sequence[float], trials: int, confidence: float = CONFIDENCE) -> Interval | None:
    """Wilson's interval of a share of passes, given the share of each sequence and the number of trials in all.

    Trials of one sequence go together, so the number of trials is replaced by the effective number p(1-p) / se^2, kept
    between the sequences and the trials, and the normal quantile by Student's (Wilson 1927; Korn and Graubard 1998).
    For the spread alone, 1/n of a sequence that passes and of one that fails are added: a sample without failures
    says nothing about their spread (chosen by simulation, docs/statistics.md). None under SMALLEST_INTERVAL sequences.
    """
    n = len(values)
    if n < SMALLEST_INTERVAL:
        return None
    share = math.fsum(values) / n
    effective = min(max(_effective(values), n), max(trials, n))
    quantile = t_quantile(confidence, n - 1)
    spread = quantile**2 / effective
    centre = (share + spread / 2) / (1 + spread)
    reach = quantile / (1 + spread) * math.sqrt(share * (1 - share) / effective + spread / effective / 4)
    return Interval(low=max(centre - reach, 0.0), high=min(centre + reach, 1.0), method="wilson")


def _effective(values: Sequence[float]) -> float:
    """Independent trials that would spread as much as these sequences' shares."""
    n = len(values)
    added = 1 / n
    total = n + 2 * added
    share = (math.fsum(values) + added) / total
    variance = (math.fsum(v * v for v in values) + added - total * share**2) / (total - 1)
    return share * (1 - share) / variance * n


@lru_cache(maxsize=1024)
def t_quantile(confidence: float, freedom: int) -> float:
    """Two-sided quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + confidence / 2))
