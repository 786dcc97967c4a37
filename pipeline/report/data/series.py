"""One value per sequence for a model and a metric, and what is missing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.group import Group
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.statistics.intervals import Interval
from nightjar.pipeline.statistics.strata import stratified_values
from nightjar.pipeline.statistics.weighted import linear_shares

MISSING_LIMIT = 0.05
"""A model with a larger missing share gets no rank."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """A model's values of a metric by sequence, in the scale's own unit; weighted ones as linear shares."""

    model: str
    metric: str
    scale: Scale
    values: Mapping[str, float]
    expected: frozenset[str]
    """Sequences that should have a value."""
    complete: frozenset[str]
    """Those with nothing missing: no score of theirs, and no turn of theirs, scored or not."""
    missing_share: float
    """Share of the scores that should be there and are not (not generated, unscored, failed), or of the model's
    turns, whichever is larger."""
    to_worst: float | None
    """The mean if every missing value were the scale's worst; None for a measure or if there are no values."""
    to_best: float | None
    lowest: Mapping[str, float] | None
    """All expected sequences, with every missing value at the scale's worst, in values of which more is better; None
    where the scale has no two ends."""
    highest: Mapping[str, float] | None
    """With every missing value at its best."""
    single_binary: bool = False
    """Every sequence has a single value, a pass or a fail."""
    over_parts: bool = False
    """The values are those of an average over parts: their mean is the average, and they know no ends."""

    def better(self) -> dict[str, float]:
        """The values, negated where less is better, so that more is better."""
        return {sequence: self.scale.sign * value for sequence, value in self.values.items()}

    @property
    def ends(self) -> tuple[float, float] | None:
        """The scale's ends, smallest first, in values of which more is better; None where it has no two ends."""
        if self.over_parts or self.scale.worst is None or self.scale.best is None:
            return None
        return self.scale.sign * self.scale.worst, self.scale.sign * self.scale.best

    def bounds(self, sequence: str) -> tuple[float, float] | None:
        """A sequence's value with what is missing of it at the scale's worst and at its best, on the scale itself."""
        if self.lowest is None or self.highest is None:
            return None
        return self.scale.sign * self.lowest[sequence], self.scale.sign * self.highest[sequence]


def series_of(model: ModelReport, metric: str, scale: Scale, keys: Mapping[str, str] | None = None) -> Series:
    """A model's series; `keys` renames sequences, for example to their digests."""
    values: dict[str, float] = {}
    complete: set[str] = set()
    weights: dict[str, float] = {}
    parts: dict[str, str] = {}
    there = lost = most_values = 0
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for sequence, group in model.by_sequence.items():
        scored = group.metrics.get(metric)
        if scored is None:
            continue
        key = keys[sequence] if keys is not None else sequence
        gone = scored.gone
        if scored.part is not None:
            parts[key] = scored.part
        there += scored.values
        lost += gone
        most_values = max(most_values, scored.values + gone)
        if scored.mean is not None:
            values[key], weights[key] = scored.mean, scored.weight
            if not gone and group.counts.turns == group.counts.turns_expected:
                complete.add(key)
        low[key] = _filled(group, metric, scale.worst)
        high[key] = _filled(group, metric, scale.best)
    bounded = scale.width is not None
    sign = scale.sign
    over_parts = len(set(parts.values())) > 1
    if over_parts:
        low, high = stratified_values(low, parts), stratified_values(high, parts)
        shares = stratified_values(values, parts)
    else:
        shares = linear_shares(values, weights, geometric=scale.geometric)
    return Series(
        model=model.name,
        metric=metric,
        scale=scale,
        values=shares,
        expected=frozenset(low),
        complete=frozenset(complete),
        missing_share=max(lost / (there + lost) if there + lost else 0.0, missing_turns(model)),
        to_worst=sum(low.values()) / len(low) if bounded and low else None,
        to_best=sum(high.values()) / len(high) if bounded and high else None,
        lowest={key: sign * value for key, value in low.items()} if bounded else None,
        highest={key: sign * value for key, value in high.items()} if bounded else None,
        single_binary=scale.unit == "pass" and most_values <= 1 and not over_parts,
        over_parts=over_parts,
    )


def bounds_words(model: ModelReport, name: str, scale: Scale) -> str:
    """What the missing replies could make of a metric's mean; "" where nothing is missing, or no ends bound it."""
    metric = model.total.metrics.get(name)
    if metric is None or not metric.gone or metric.mean is None or scale.width is None:
        return ""
    series = series_of(model, name, scale)
    if series.to_worst is None or series.to_best is None:
        return ""
    low, high = sorted((series.to_worst, series.to_best))
    bounds = fmt.interval(Interval(low=low, high=high, method="bounds"), scale)
    return f"{bounds} depending on the missing replies"


def missing_turns(model: ModelReport) -> float:
    """Share of the expected turns that ended jobs never produced."""
    counts = model.total.counts
    return counts.turns_missing / counts.turns_expected if counts.turns_expected else 0.0


def _filled(group: Group, metric: str, value: float | None) -> float:
    """A sequence's mean with `value` in place of everything missing."""
    scored = group.metrics[metric]
    total = scored.values + scored.gone
    return ((scored.mean or 0.0) * scored.values + (value or 0.0) * scored.gone) / total if total else 0.0
