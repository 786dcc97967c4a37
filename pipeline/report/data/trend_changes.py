"""What changed on each model's newest night: compared with its night before as everything else is compared. Pure.

Only sequences that are complete on both nights are paired, and a verdict stands only where the missing replies could
not turn it (`compared.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nightjar.pipeline.judging.verdicts import SHARE_WON, is_judges
from nightjar.pipeline.report.data.answer import verdict_words
from nightjar.pipeline.report.data.compared import (
    ComparedSeries,
    Pair,
    compare_series,
    verdicts_on_pairs,
)
from nightjar.pipeline.report.data.fingerprints import changed
from nightjar.pipeline.report.data.night import Night, NightModel, Plain
from nightjar.pipeline.report.data.series import Series
from nightjar.pipeline.scores import Scale


class NightChange(Plain):
    """A model's headline metric on its newest night minus that on its night before, more being better."""

    model: str
    night: str
    before: str
    """Names of the two runs."""
    sequences: int
    """Complete on both nights; the difference is over these."""
    incomplete: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    lowest: float | None = None
    """The difference over all sequences with the missing replies of this night at their worst, those of the other at
    their best; None where nothing is missing, or the scale has no ends."""
    highest: float | None = None
    p_adjusted: float | None = None
    """Adjusted over the models (Holm)."""
    verdict: str | None = None
    """None where the two nights cannot be compared."""
    words: str
    """The verdict with its reason, or why there is none."""


def night_changes(nights: Sequence[Night], metric: str | None) -> list[NightChange]:
    """The change of every model that took part in two nights or more; `nights` come oldest first."""
    apart: list[NightChange] = []
    compared: dict[tuple[str, str], ComparedSeries] = {}
    names: dict[str, tuple[str, str]] = {}
    for model, ((before, old), (night, new)) in _last_two(nights).items():
        names[model] = night.name, before.name
        why = _not_comparable(before, night, metric)
        series = None if why else (_series(night, new), _series(before, old))
        if series is None or series[0] is None or series[1] is None:
            words = f"not compared: {why or 'the metric has no better end'}"
            apart.append(
                NightChange(model=model, night=night.name, before=before.name, sequences=0, incomplete=0, words=words)
            )
        else:
            compared[model, before.name] = compare_series(series[0], series[1])
    pairs = {pair.first: pair for pair in verdicts_on_pairs(compared)}
    return [*(_change(model, *names[model], pair) for model, pair in pairs.items()), *apart]


def _last_two(nights: Sequence[Night]) -> dict[str, tuple[tuple[Night, NightModel], tuple[Night, NightModel]]]:
    """Model -> its newest night and the one before of the same series, the older first."""
    took_part: dict[str, list[tuple[Night, NightModel]]] = {}
    for night in nights:
        for model in night.models:
            took_part.setdefault(model.name, []).append((night, model))
    pairs: dict[str, tuple[tuple[Night, NightModel], tuple[Night, NightModel]]] = {}
    for name, entries in took_part.items():
        newest = entries[-1]
        before = next((entry for entry in reversed(entries[:-1]) if entry[0].series == newest[0].series), None)
        if before is not None:
            pairs[name] = (before, newest)
    return pairs


def _not_comparable(before: Night, night: Night, metric: str | None) -> str | None:
    if metric is None or not before.headline == night.headline == metric:
        return "the nights lead with different metrics"
    if before.scales.get(metric) != night.scales.get(metric):
        return f"the scale of {metric} changed"
    judged = is_judges(metric)
    if judged and night.scales[metric].unit == SHARE_WON:
        return "shares of comparisons won are among a run's own replies"
    changes = {mark.what for mark in changed(before.marks, night.marks)}
    if judged:
        return next((f"another {what}" for what in ("judge", "rubric") if what in changes), None)
    return "other versions of the scorers" if "scorers" in changes else None


def _series(night: Night, model: NightModel) -> Series | None:
    """The stored sequences as they are compared; None for a metric without a better end."""
    kept = model.sequences
    if kept is None or night.headline is None:
        return None
    scale = night.scales[night.headline].scale
    bounds: dict[str, tuple[float, float] | None] = {
        **{key: (value, value) for key, value in kept.complete.items()},
        **kept.incomplete,
    }
    return Series(
        model=model.name,
        metric=night.headline,
        scale=scale,
        values=kept.complete,
        expected=frozenset(bounds),
        complete=frozenset(kept.complete),
        missing_share=len(kept.incomplete) / len(bounds) if bounds else 0.0,
        to_worst=None,
        to_best=None,
        lowest=_end(bounds, 0, scale),
        highest=_end(bounds, 1, scale),
    )


def _end(bounds: Mapping[str, tuple[float, float] | None], end: int, scale: Scale) -> dict[str, float] | None:
    """The values at one end in values of which more is better; None where a scale has no ends."""
    if scale.width is None:
        return None
    return {key: scale.sign * pair[end] for key, pair in bounds.items() if pair is not None}


def _change(model: str, night: str, before: str, pair: Pair) -> NightChange:
    paired, missing = pair.paired, pair.missing
    return NightChange(
        model=model,
        night=night,
        before=before,
        sequences=paired.n,
        incomplete=missing.sequences if missing else 0,
        difference=paired.difference,
        low=paired.interval.low if paired.interval else None,
        high=paired.interval.high if paired.interval else None,
        lowest=missing.lowest.difference if missing and missing.lowest else None,
        highest=missing.highest.difference if missing and missing.highest else None,
        p_adjusted=pair.p_adjusted,
        verdict=pair.verdict.value,
        words=verdict_words(pair),
    )
