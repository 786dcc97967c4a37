"""Where variation comes from, and intervals by resampling. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightjar.pipeline.statistics.intervals import CONFIDENCE, Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST_BOOTSTRAP = 10
"""With fewer sequences resampling gives intervals that are far too narrow."""
RESAMPLES = 2000
FEWEST_RESAMPLES = 400
MOST_DRAWS = 2_000_000
SEED = 20_251_121


@dataclass(frozen=True, kw_only=True)
class VarianceSplit:
    """The variance of single values, split. `shared` is the share between sequences (intraclass correlation)."""

    between_sequences: float
    between_repeats: float
    shared: float | None


def variance_split(repeats: Mapping[str, Sequence[float]]) -> VarianceSplit | None:
    """One-way random effects (ANOVA estimator, with the effective number of repeats where they are unequal).

    `repeats`: sequence -> its value in each repeat. None without two sequences, one of them with two repeats.
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
    statistic: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
    *,
    seed: int = SEED,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Percentile interval of a statistic, resampling sequences (clusters); None for fewer than SMALLEST_BOOTSTRAP.

    `statistic` takes samples, one per row, and returns one number for each; default: the mean.
    """
    import numpy as np

    if len(values) < SMALLEST_BOOTSTRAP:
        return None
    data = np.asarray(values, dtype=float)
    source = np.random.default_rng(seed)
    statistics = []
    for size in _portions(resamples(len(data)), len(data)):
        drawn = data[source.integers(0, len(data), size=(size, len(data)))]
        statistics.append(drawn.mean(axis=1) if statistic is None else statistic(drawn))
    low, high = np.quantile(np.concatenate(statistics), [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(low=float(low), high=float(high), method="bootstrap")


def resamples(sequences: int) -> int:
    """How many resamples: fewer for many sequences, whose interval needs fewer."""
    return min(RESAMPLES, max(FEWEST_RESAMPLES, MOST_DRAWS // sequences))


def _portions(total: int, width: int) -> list[int]:
    """Rows per portion, so that no more than about a million numbers are held at a time."""
    most = max(1_000_000 // width, 1)
    return [most] * (total // most) + ([total % most] if total % most else [])
