"""The uncertainty of a mean over sequences. Pure; quantiles come from scipy.

The sequences are the sample: there is one value per sequence; turns and repeats have been reduced before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

SMALLEST_INTERVAL = 5
"""Fewer sequences get no interval: they are too few to support one."""
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Confidence interval of a mean."""

    low: float
    high: float
    method: str

    def within(self, least: float | None, most: float | None) -> Interval:
        """The interval cut to the range of possible values."""
        low = self.low if least is None else max(self.low, least)
        high = self.high if most is None else min(self.high, most)
        return Interval(low=low, high=high, method=self.method)


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean; None without values."""
    return math.fsum(values) / len(values) if values else None


def standard_error(values: Sequence[float]) -> float | None:
    """Standard error of the mean of independent values; None for fewer than two."""
    if len(values) < 2:
        return None
    centre = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - centre) ** 2 for v in values) / (len(values) - 1) / len(values))


def t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Student's t interval of the mean; None for fewer than SMALLEST_INTERVAL values."""
    error = standard_error(values)
    if len(values) < SMALLEST_INTERVAL or error is None:
        return None
    centre = math.fsum(values) / len(values)
    reach = t_quantile(confidence, len(values) - 1) * error
    return Interval(low=centre - reach, high=centre + reach, method="t")


def share_interval(values: Sequence[float], trials: int, confidence: float = CONFIDENCE) -> Interval | None:
    """Wilson's interval of a share of passes, given each sequence's share and the total number of trials.

    Trials of one sequence are correlated, so the number of trials is replaced by the effective number p(1-p) / se^2,
    kept between the number of sequences and of trials, and the normal quantile by Student's (Wilson 1927; Korn and
    Graubard 1998). For the spread only, 1/n of a passing and of a failing sequence is added: a sample without failures
    says nothing about their spread (chosen by simulation, docs/statistics.md). None for fewer than SMALLEST_INTERVAL
    sequences.
    """
    n = len(values)
    if n < SMALLEST_INTERVAL:
        return None
    return _wilson(values, min(max(_effective(values), n), max(trials, n)), confidence)


def share_like_interval(values: Sequence[float], most: float, confidence: float = CONFIDENCE) -> Interval | None:
    """Wilson's interval of a share that is the mean of values of any size, with at most so many effective trials.

    None for fewer than SMALLEST_INTERVAL values.
    """
    if len(values) < SMALLEST_INTERVAL:
        return None
    return _wilson(values, min(_effective(values), most), confidence)


def bounded_interval(
    values: Sequence[float], least: float, most: float, confidence: float = CONFIDENCE
) -> Interval | None:
    """The interval of a mean of values that lie from `least` to `most`: points, similarities.

    `share_interval` of the values rescaled to 0 to 1, with no limit to the effective number from above: values between
    the ends vary less than passes and fails. Student's t, which knows no ends, covers too rarely near them
    (docs/statistics.md). None for fewer than SMALLEST_INTERVAL sequences.
    """
    n, width = len(values), most - least
    if n < SMALLEST_INTERVAL:
        return None
    shares = [(value - least) / width for value in values]
    unit = _wilson(shares, max(_effective(shares), n), confidence)
    return Interval(low=least + unit.low * width, high=least + unit.high * width, method="wilson, rescaled")


def _wilson(values: Sequence[float], effective: float, confidence: float) -> Interval:
    """Of values from 0 to 1, as if their mean were a share of so many independent trials."""
    n = len(values)
    share = math.fsum(values) / n
    quantile = t_quantile(confidence, n - 1)
    spread = quantile**2 / effective
    centre = (share + spread / 2) / (1 + spread)
    reach = quantile / (1 + spread) * math.sqrt(share * (1 - share) / effective + spread / effective / 4)
    return Interval(low=max(centre - reach, 0.0), high=min(centre + reach, 1.0), method="wilson")


def _effective(values: Sequence[float]) -> float:
    """How many independent trials would vary as much as these sequences' shares."""
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
