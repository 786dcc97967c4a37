"""What a mean hides: how sequences spread, and what repeats say. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nightjar.pipeline.report.data.speed import percentile
from nightjar.pipeline.scores import Direction, Scale
from nightjar.pipeline.statistics.intervals import Interval, mean, share_interval, t_interval
from nightjar.pipeline.statistics.repeats import ks, median, pass_all, pass_at
from nightjar.pipeline.statistics.spread import VarianceSplit, bootstrap_interval, variance_split

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUANTILES = (0, 10, 25, 50, 75, 90, 100)


@dataclass(frozen=True, kw_only=True)
class Reduced:
    """Repeats reduced to one number per sequence by something other than the mean, then averaged over sequences."""

    mean: float
    n: int
    """Sequences."""
    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """What a metric's repeats say; incomplete repeats are left out."""

    most: int
    """The largest number of repeats of any sequence."""
    median: Reduced
    best: Reduced | None
    """The best repeat of each sequence; None for a measure."""
    pass_at: Mapping[int, Reduced]
    """k -> chance that at least one of k repeats passes: has the best value in every turn. Shares of passes only."""
    pass_all: Mapping[int, Reduced]
    """k -> chance that all of k repeats pass (pass^k)."""
    variance: VarianceSplit | None


@dataclass(frozen=True, kw_only=True)
class Detail:
    """A model's metric in detail, by sequences and repeats."""

    name: str
    quantiles: Mapping[int, float]
    """QUANTILES of the sequences' values; 0 and 100 are the minimum and the maximum."""
    median_interval: Interval | None
    """Interval of the median over sequences: seeded cluster bootstrap, from ten sequences; None for a measure."""
    repeats: Repeats | None
    """None with one repeat."""


def detail(name: str, means: Mapping[str, float], repeats: Mapping[str, Sequence[float]], scale: Scale) -> Detail:
    """`means`: sequence -> its value; `repeats`: sequence -> the values of its complete repeats."""
    values = list(means.values())
    quantiles = {percent: percentile(values, percent) for percent in QUANTILES}
    judged = scale.direction is not Direction.NONE
    interval = bootstrap_interval(values, _medians) if judged else None
    return Detail(
        name=name,
        quantiles=MappingProxyType({percent: value for percent, value in quantiles.items() if value is not None}),
        median_interval=interval.within(scale.least, scale.most) if interval else None,
        repeats=_repeats(repeats, scale),
    )


def _repeats(repeats: Mapping[str, Sequence[float]], scale: Scale) -> Repeats | None:
    groups = [list(values) for values in repeats.values() if values]
    most = max(map(len, groups), default=0)
    if most < 2:
        return None
    best = {Direction.HIGHER: max, Direction.LOWER: min}.get(scale.direction)
    by_k = ks(most) if scale.is_share else ()
    return Repeats(
        most=most,
        median=_reduced([median(group) for group in groups], scale),
        best=_reduced([best(group) for group in groups], scale) if best is not None else None,
        pass_at=_by_k(groups, by_k, pass_at, scale),
        pass_all=_by_k(groups, by_k, pass_all, scale),
        variance=variance_split(repeats),
    )


def _by_k(
    groups: Sequence[Sequence[float]],
    by_k: Sequence[int],
    estimate: Callable[[int, int, int], float | None],
    scale: Scale,
) -> Mapping[int, Reduced]:
    """The estimate for every k for which at least one sequence has enough repeats."""
    passed = [(sum(value == scale.best for value in group), len(group)) for group in groups]
    shares_by_k = {k: [share for share in (estimate(c, n, k) for c, n in passed) if share is not None] for k in by_k}
    return MappingProxyType({k: _reduced(shares, scale) for k, shares in shares_by_k.items() if shares})


def _reduced(values: Sequence[float], scale: Scale) -> Reduced:
    """The mean and its interval; `values` holds at least one value."""
    centre = mean(values)
    assert centre is not None
    interval = share_interval(values, len(values)) if scale.is_share else t_interval(values)
    return Reduced(
        mean=centre,
        n=len(values),
        interval=interval.within(scale.least, scale.most) if interval else None,
    )


def _medians(samples: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    result: NDArray[Any] = np.median(samples, axis=1)
    return result
