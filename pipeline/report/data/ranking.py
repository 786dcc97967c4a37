"""Which model is better: ranks from paired differences over the sequences complete for every ranked model. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from nightjar.pipeline.report.data.compared import (
    ComparedSeries,
    Pair,
    PairDifference,
    compare_series,
    verdicts_on_pairs,
)
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.series import MISSING_LIMIT, Series, series_of
from nightjar.pipeline.report.data.waves import WavesReport, as_looked_at
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.statistics.intervals import mean
from nightjar.pipeline.statistics.letters import compact_letters
from nightjar.pipeline.statistics.preference import WinRate, rates_of, shares_of
from nightjar.pipeline.statistics.strengths import Strength, strengths_of


@dataclass(frozen=True, kw_only=True)
class Rank:
    """A model's place. `rank` is 1 + the number of significantly better models."""

    model: str
    rank: int | None
    reason: str | None
    """Why there is no rank."""
    mean: float | None
    """Over the sequences complete for every ranked model."""
    to_worst: float | None
    """Mean over all sequences with missing values counted as the worst."""
    to_best: float | None
    letters: str = ""
    """Two models share a letter exactly where their difference is not significant; "" without a rank, and in what was
    kept of runs before there were letters."""

    @property
    def group(self) -> str:
        """What is shown as its place: its letters, else its rank; "" without a rank."""
        return self.letters or str(self.rank or "")


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


def ranking(
    models: Sequence[ModelReport], metric: str, scale: Scale, waves: WavesReport | None = None
) -> Ranking | None:
    """The ranking by a metric; None for a measure, which has no better end.

    `waves`: of a run that stops when it is decided by this metric, whose looks have the verdicts on its pairs.
    """
    if not scale.has_better_end:
        return None
    every = [series_of(model, metric, scale) for model in models]
    reasons = {series.model: unranked(series) for series in every}
    ranked = [series for series in every if reasons[series.model] is None]
    shared = frozenset.intersection(*(series.complete for series in ranked)) if ranked else frozenset()
    if not shared:
        reasons = {name: reason or "no sequence is complete for every model" for name, reason in reasons.items()}
        ranked = []
    better = {s.model: {key: value for key, value in s.better().items() if key in shared} for s in ranked}
    pairs = verdicts_on_pairs(
        {(one.model, two.model): _compared(one, two, ranked, shared) for one, two in combinations(ranked, 2)}
    )
    pairs = pairs if waves is None else as_looked_at(pairs, waves)
    shares = shares_of(better)
    order = sorted(better, key=lambda name: -(mean(list(better[name].values())) or 0.0))
    apart = {(pair.first, pair.second) for pair in pairs if pair.verdict is not PairDifference.CANNOT_TELL}
    letters = compact_letters(order, apart)
    places = [_place(series, better, pairs, letters, reasons[series.model]) for series in every]
    return Ranking(
        metric=metric,
        sequences=len(shared),
        places=tuple(sorted(places, key=lambda place: _order(place, scale))),
        pairs=pairs,
        win_rates=tuple(rates_of(shares)),
        strengths=tuple(strengths_of(shares)),
    )


def _compared(one: Series, two: Series, ranked: Sequence[Series], shared: frozenset[str]) -> ComparedSeries:
    """Over the sequences complete for every ranked model, as the means are; what is missing of these two is kept."""
    incomplete = frozenset().union(*(series.expected for series in ranked)) - shared
    others = {key for key in incomplete if key in one.complete and key in two.complete}
    return compare_series(one, two, (one.expected & two.expected) - others)


def unranked(series: Series) -> str | None:
    """Why a series gets no rank; None if it gets one."""
    if not series.values:
        return "no value"
    if series.missing_share > MISSING_LIMIT:
        return f"{series.missing_share:.0%} missing"
    return None


def _place(
    series: Series,
    better: dict[str, dict[str, float]],
    pairs: Sequence[Pair],
    letters: Mapping[str, str],
    reason: str | None,
) -> Rank:
    beaten = sum(
        (pair.second == series.model and pair.verdict is PairDifference.BETTER)
        or (pair.first == series.model and pair.verdict is PairDifference.WORSE)
        for pair in pairs
    )
    return Rank(
        model=series.model,
        rank=beaten + 1 if reason is None else None,
        letters=letters.get(series.model, ""),
        reason=reason,
        mean=mean([series.values[key] for key in better.get(series.model, ())]),
        to_worst=series.to_worst,
        to_best=series.to_best,
    )


def _order(place: Rank, scale: Scale) -> tuple[bool, int, float]:
    return place.rank is None, place.rank or 0, -scale.sign * (place.mean or 0.0)
