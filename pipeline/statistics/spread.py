"""Where variation comes from, and intervals by resampling. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.statistics.intervals import CONFIDENCE, Interval

SMALLEST_BOOTSTRAP = 10
"""Under ten sequences resampling is far too narrow."""
RESAMPLES = 4000
SEED = 20_251_121


@dataclass(frozen=True, kw_only=True)
class VarianceSplit:
    """Variance of single values, in parts. `shared` is the part between sequences (intraclass correlation)."""

    between_sequences: float
    between_repeats: float
    shared: float | None


def variance_split(repeats: Mapping[str, Sequence[float]]) -> VarianceSplit | None:
    """One-way random effects (ANOVA estimator; unequal numbers of repeats by their effective number).

    `repeats`: sequence -> its value in each repeat. None without two sequences and a sequence of two repeats.
    """
    groups = [list(values) for values in repeats.values() if values]
    total = sum(map(len, groups))
    if len(groups) < 2 or total <= len(groups):
        return None
    grand = math.fsum(math.fsum(group) for group in groups) / total
    means = [math.fsum(group) / len(group) for group in groups]
    within = math.fsum((v - m) ** 2 for g, m in zip(groups, means, strict=True) for v in g) / (total - len(groups))
    among = math.fsum(len(g) * (m - grand) ** 2 for g, m in zip(groups, means, strict=True)) / (len(groups) - 1)
    size = (total - sum(len(g) ** 2 for g in groups) / total) / (len(groups) - 1)
    between = max((among - within) / size, 0.0)
    return VarianceSplit(
        between_sequences=between,
        between_repeats=within,
        shared=between / (between + within) if between + within > 0 else None,
    )


def bootstrap_interval(
    values: Sequence[float],
    statistic: Callable[[Sequence[float]], float] | None = None,
    *,
    seed: int = SEED,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Percentile interval of a statistic (default: the mean), resampling sequences; None under SMALLEST_BOOTSTRAP."""
    import numpy as np

    if len(values) < SMALLEST_BOOTSTRAP:
        return None
    data = np.asarray(values, dtype=float)
    picks = np.random.default_rng(seed).integers(0, len(data), size=(RESAMPLES, len(data)))
    drawn = data[picks]
    found = drawn.mean(axis=1) if statistic is None else np.array([statistic(list(row)) for row in drawn])
    low, high = np.quantile(found, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(low=float(low), high=float(high), method="bootstrap")
