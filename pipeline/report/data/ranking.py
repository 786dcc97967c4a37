"""Which model is better: ranks from paired differences over the sequences complete for every ranked model. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.series import MISSING_LIMIT, Series, series_of
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.statistics.intervals import SMALLEST_INTERVAL, mean
from nightjar.pipeline.statistics.paired import Paired, compare_pairs, holm
from nightjar.pipeline.statistics.power import ALPHA, detectable_difference, sequences_needed
from nightjar.pipeline.statistics.preference import Strength, WinRate, bradley_terry, win_rates


class PairDifference(StrEnum):
    """What can be said of the first model of a pair: better, worse, or no significant difference."""

    BETTER = "better"
    WORSE = "worse"
    CANNOT_TELL = "can't tell"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """`first` compared with `second`, in values of which more is better."""

    first: str
    second: str
    paired: Paired
    p_adjusted: float | None
    """Adjusted over all pairs (Holm)."""
    verdict: PairDifference
    detectable: float | None
    """The smallest difference these sequences would detect with power 0.8."""
    needed: int | None
    """How many sequences would show the difference seen; None if the verdict is clear or no number would do."""


@dataclass(frozen=True, kw_only=True)
class Rank:
    """A model's place. `rank` is 1 + the number of significantly better models; models of equal rank form a group."""

    model: str
    rank: int | None
    reason: str | None
    """Why there is no rank."""
    mean: float | None
    """Over the sequences complete for every ranked model."""
    to_worst: float | None
    """Mean over all sequences with missing values counted as the worst."""
    to_best: float | None


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Models ranked by one metric, with every pair compared."""

    metric: str
    sequences: int
    """Number of sequences complete for every ranked model."""
    places: tuple[Rank, ...]
    """Best first; models without a rank last."""
    pairs: tuple[Pair, ...]
    win_rates: tuple[WinRate, ...] = ()
    """For the same pairs over the same sequences."""
    strengths: tuple[Strength, ...] = ()
    """Bradley-Terry strengths of the ranked models, strongest first."""

    @property
    def leaders(self) -> tuple[Rank, ...]:
        return tuple(place for place in self.places if place.rank == 1)


def ranking(models: Sequence[ModelReport], metric: str, scale: Scale) -> Ranking | None:
    """The ranking by a metric; None for a measure, which has no better end."""
    if scale.worst is None:
        return None
    every = [series_of(model, metric, scale) for model in models]
    reasons = {series.model: unranked(series) for series in every}
    ranked = [series for series in every if reasons[series.model] is None]
    shared = frozenset.intersection(*(series.complete for series in ranked)) if ranked else frozenset()
    if not shared:
        reasons = {name: reason or "no sequence is complete for every model" for name, reason in reasons.items()}
        ranked = []
    better = {s.model: {key: value for key, value in s.better().items() if key in shared} for s in ranked}
    pairs = compare_all(better)
    places = [_place(series, better, pairs, reasons[series.model]) for series in every]
    return Ranking(
        metric=metric,
        sequences=len(shared),
        places=tuple(sorted(places, key=lambda place: _order(place, scale))),
        pairs=pairs,
        win_rates=tuple(win_rates(better)),
        strengths=tuple(bradley_terry(better)),
    )


def unranked(series: Series) -> str | None:
    """Why a series gets no rank; None if it gets one."""
    if not series.values:
        return "no value"
    if series.missing_share > MISSING_LIMIT:
        return f"{series.missing_share:.0%} missing"
    return None


def compare_all(better: dict[str, dict[str, float]]) -> tuple[Pair, ...]:
    """Every pair of series, p-values adjusted over the pairs (Holm)."""
    compared = {(a, b): compare_pairs(better[a], better[b]) for a, b in combinations(better, 2)}
    adjusted = holm({f"{a}\0{b}": paired.p for (a, b), paired in compared.items()})
    return tuple(
        judged(a, b, paired, adjusted[f"{a}\0{b}"], _differences(better[a], better[b]))
        for (a, b), paired in compared.items()
    )


def judged(first: str, second: str, paired: Paired, p: float | None, differences: Sequence[float]) -> Pair:
    """The verdict from an adjusted p-value; if it is unclear, also how many sequences would settle it."""
    clear = p is not None and p < ALPHA
    return Pair(
        first=first,
        second=second,
        paired=paired,
        p_adjusted=p,
        verdict=verdict_of(paired, p),
        detectable=detectable_difference(differences) if len(differences) >= SMALLEST_INTERVAL else None,
        needed=sequences_needed(differences) if not clear and len(differences) >= SMALLEST_INTERVAL else None,
    )


def verdict_of(paired: Paired, p: float | None) -> PairDifference:
    """The verdict that an adjusted p-value supports."""
    if p is None or p >= ALPHA or not paired.difference:
        return PairDifference.CANNOT_TELL
    return PairDifference.BETTER if paired.difference > 0 else PairDifference.WORSE


def _differences(first: dict[str, float], second: dict[str, float]) -> list[float]:
    return [first[key] - second[key] for key in sorted(first.keys() & second.keys())]


def _place(series: Series, better: dict[str, dict[str, float]], pairs: Sequence[Pair], reason: str | None) -> Rank:
    beaten = sum(
        (pair.second == series.model and pair.verdict is PairDifference.BETTER)
        or (pair.first == series.model and pair.verdict is PairDifference.WORSE)
        for pair in pairs
    )
    return Rank(
        model=series.model,
        rank=beaten + 1 if reason is None else None,
        reason=reason,
        mean=mean([series.values[key] for key in better.get(series.model, ())]),
        to_worst=series.to_worst,
        to_best=series.to_best,
    )


def _order(place: Rank, scale: Scale) -> tuple[bool, int, float]:
    sign = 1.0 if scale.direction.value == "lower" else -1.0
    return place.rank is None, place.rank or 0, sign * (place.mean or 0.0)
