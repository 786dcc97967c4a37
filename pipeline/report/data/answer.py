"""What a run says, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.ranking import Pair, PairDifference, Rank, Ranking
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.statistics.intervals import SMALLEST_INTERVAL


def answer(report: RunReport) -> str:
    """One to three sentences that claim no more than the numbers support."""
    ranking = report.ranking
    if ranking is None:
        return _measured(report)
    scale = report.scales[ranking.metric]
    ranked = [place for place in ranking.places if place.rank is not None]
    if not ranked:
        return f"No model can be ranked by {ranking.metric}: {_reasons(ranking.places)}."
    if len(report.models) == 1:
        return _alone(report, ranking.places[0])
    sentences = [_leaders(ranking, scale), _doubt(ranking, scale)]
    left = [place for place in ranking.places if place.rank is None]
    sentences += [f"Without a rank: {_reasons(left)}."] if left else []
    return " ".join(part for part in sentences if part)


def difference(pair: Pair, scale: Scale) -> str:
    """The difference of a pair, formatted for its scale: in points for shares."""
    return amount(pair.paired.difference, scale)


def amount(value: float | None, scale: Scale) -> str:
    """A signed amount formatted for its scale: in points for shares."""
    if value is None:
        return fmt.ABSENT
    shown = f"{value * 100:+.1f} points" if scale.unit in ("pass", "share") else f"{value:+.3g}"
    return shown.replace("-", "\u2212").replace(" ", "\u202f")


def verdict_words(pair: Pair) -> str:
    """The verdict; for "can't tell", also how many sequences would be needed."""
    if pair.verdict is not PairDifference.CANNOT_TELL:
        return pair.verdict.value
    if pair.paired.n < SMALLEST_INTERVAL:
        return f"can't tell: {pair.paired.n} sequences, at least {SMALLEST_INTERVAL} are needed"
    if pair.needed is not None and pair.needed > pair.paired.n:
        return f"can't tell: about {fmt.whole(pair.needed)} sequences would show such a difference"
    return "can't tell"


def _measured(report: RunReport) -> str:
    """For a run without checks: how much each model wrote."""
    parts = []
    for model in report.models:
        counts, words = model.total.counts, model.total.metrics.get("words")
        bad = counts.empty + counts.degenerate
        share = f"{fmt.whole(counts.turns)} of {fmt.whole(counts.turns_expected)} replies"
        long = f", {fmt.number(words.mean)} words each" if words and words.mean is not None else ""
        parts.append(f"{model.name} wrote {share} ({f'{bad} empty or degenerate' if bad else 'none empty'}){long}")
    return "; ".join(parts) + ". The suite has no checks, so nothing here says how good they are."


def _alone(report: RunReport, place: Rank) -> str:
    ranking = report.ranking
    assert ranking is not None
    model = report.models[0]
    metric, scale = model.total.metrics[ranking.metric], report.scales[ranking.metric]
    doubt = fmt.interval(metric.interval, scale)
    between = f", 95\u202f% interval {doubt}" if doubt else ", too few sequences for an interval"
    return f"{place.model}: {ranking.metric} {fmt.metric(metric, scale)} over {metric.n} sequences{between}."


def _leaders(ranking: Ranking, scale: Scale) -> str:
    names = [f"{place.model} ({fmt.metric_value(place.mean, scale)})" for place in ranking.leaders]
    behind = [place for place in ranking.places if place.rank is not None and place.rank > 1]
    after = _list([f"{place.model} ({fmt.metric_value(place.mean, scale)})" for place in behind])
    if len(names) == 1:
        return (
            f"By {ranking.metric}, {names[0]} is better than {after}."
            if behind
            else f"By {ranking.metric}: {names[0]}."
        )
    sentence = f"By {ranking.metric}, {_list(names)} can't be told apart over {ranking.sequences} sequences"
    return f"{sentence}; behind them {after}." if behind else f"{sentence}."


def _doubt(ranking: Ranking, scale: Scale) -> str:
    """For leaders that cannot be told apart: the smallest difference the suite could show."""
    leaders = {place.model for place in ranking.leaders}
    detectable = [p.detectable for p in ranking.pairs if {p.first, p.second} <= leaders and p.detectable is not None]
    if len(leaders) < 2:
        return ""
    if ranking.sequences < SMALLEST_INTERVAL:
        return f"At least {SMALLEST_INTERVAL} sequences are needed to compare at all."
    if not detectable:
        return ""
    return f"A difference under about {amount(max(detectable), scale).lstrip('+')} would go unseen here."


def _reasons(places: Sequence[Rank]) -> str:
    return ", ".join(f"{place.model} ({place.reason})" for place in places)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
