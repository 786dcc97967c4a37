"""What a run says, in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from nightjar.config.counting import how_many
from nightjar.jobs.ending import EndScore
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.amounts import amount, ends_of
from nightjar.pipeline.report.data.compared import Missing, Pair, PairDifference
from nightjar.pipeline.report.data.ranking import Rank, Ranking
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.waves_words import stopped_words
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.statistics.paired import SMALLEST_COMPARISON

MOST_CLAIMS = 3
"""So many sentences of who beats whom at most; the tables have the rest."""


def answer(report: RunReport) -> str:
    """A few sentences that claim no more than the tested pairs support."""
    ranking = report.ranking
    if ranking is None:
        return _measured(report)
    scale = report.scales[ranking.metric]
    ranked = [place for place in ranking.places if place.rank is not None]
    if not ranked:
        return f"No model can be ranked by {ranking.metric}: {_reasons(ranking.places)}."
    if len(report.models) == 1:
        return _alone(report, ranking.places[0])
    doubt = [_doubt(ranking, scale)] if report.waves is None else stopped_words(report.waves, scale)
    sentences = [*_results(ranking, scale), *doubt]
    left = [place for place in ranking.places if place.rank is None]
    sentences += [f"Not ranked: {_reasons(left)}."] if left else []
    return " ".join(part for part in sentences if part)


def end_scores(report: RunReport) -> list[EndScore]:
    """Every model's mean on the metric that the report leads with."""
    name = report.headline
    metrics = [(model, model.total.metrics[name]) for model in report.models if name and name in model.total.metrics]
    return [
        EndScore(
            model=model.name,
            metric=metric.name,
            mean=metric.mean,
            low=metric.interval.low if metric.interval else None,
            high=metric.interval.high if metric.interval else None,
            n=metric.n,
            missing=metric.missing,
        )
        for model, metric in metrics
    ]


def verdict_words(pair: Pair) -> str:
    """The verdict; for "can't tell", also why: too few sequences, or what is missing."""
    if pair.verdict is not PairDifference.CANNOT_TELL:
        return pair.verdict.value
    if pair.turned:
        assert pair.missing is not None
        return f"can't tell: {missing_words(pair.missing)}"
    if pair.paired.n < SMALLEST_COMPARISON:
        if pair.missing is not None:
            incomplete = fmt.whole(pair.missing.sequences)
            return f"can't tell: too few complete sequences ({pair.paired.n}, and {incomplete} incomplete)"
        return f"can't tell: too few sequences ({pair.paired.n})"
    if pair.needed is not None and pair.needed > pair.paired.n:
        return f"can't tell: about {fmt.whole(pair.needed)} sequences are needed to confirm a difference this large"
    return "can't tell"


def missing_words(missing: Missing) -> str:
    """Why what is missing forbids a verdict."""
    many = "1 sequence is" if missing.sequences == 1 else f"{fmt.whole(missing.sequences)} sequences are"
    if missing.lowest is None:
        return f"{many} incomplete on one side, and this scale has no limits, so how much that could matter is unknown"
    return f"{many} incomplete, and the missing replies could change the result"


def missing_bounds(missing: Missing | None, scale: Scale) -> str:
    """How large the difference could be, depending on the missing replies; "" where nothing is or no ends bound it."""
    if missing is None or missing.lowest is None or missing.highest is None:
        return ""
    return f"{ends_of(missing.lowest.difference, missing.highest.difference, scale)} depending on the missing replies"


def _measured(report: RunReport) -> str:
    """For a run without checks: how much each model wrote."""
    parts = []
    for model in report.models:
        counts, words = model.total.counts, model.total.metrics.get("words")
        share = f"{fmt.whole(counts.turns)} of {fmt.whole(counts.turns_expected)} replies"
        long = f", {fmt.number(words.mean)} words on average" if words and words.mean is not None else ""
        parts.append(f"{model.name} wrote {share} ({counts.unusable_words or 'none empty'}){long}")
    return "; ".join(parts) + ". The suite has no checks, so this says nothing about their quality."


def _alone(report: RunReport, place: Rank) -> str:
    ranking = report.ranking
    assert ranking is not None
    model = report.models[0]
    metric, scale = model.total.metrics[ranking.metric], report.scales[ranking.metric]
    doubt = fmt.interval(metric.interval, scale)
    between = f", 95\u202f% interval {doubt}" if doubt else ", too few sequences for an interval"
    return (
        f"{place.model}: {ranking.metric} {fmt.metric(metric, scale)} over {how_many(metric.n, 'sequence')}{between}."
    )


def _results(ranking: Ranking, scale: Scale) -> Iterator[str]:
    """What the tested pairs show, and nothing else: who beats whom, and who cannot be separated."""
    shown = {place.model: f"{place.model} ({fmt.metric_value(place.mean, scale)})" for place in ranking.places}
    ranked = [place.model for place in ranking.places if place.rank is not None]
    beaten = {model: [other for other in ranked if _beats(ranking, model, other)] for model in ranked}
    named: set[str] = set()

    def name(model: str) -> str:
        """With its mean where it is named first."""
        if model in named:
            return model
        named.add(model)
        return shown[model]

    if len(ranked) == 1:
        yield f"By {ranking.metric}: {name(ranked[0])}."
        return
    winners = list(_alike([model for model in ranked if beaten[model]], beaten))
    for at, models in enumerate(winners[:MOST_CLAIMS]):
        subject = _list([name(model) for model in models])
        verb = "beats" if len(models) == 1 else "beat"
        begin = f"By {ranking.metric}, " if at == 0 else ""
        yield f"{begin}{subject} {verb} {_list([name(model) for model in beaten[models[0]]])}."
    if len(winners) > MOST_CLAIMS:
        yield "More pairs that differ are in the table of pairs."
    yield from _unseparated(ranking, ranked, beaten, name, begun=bool(winners))


def _unseparated(
    ranking: Ranking,
    ranked: Sequence[str],
    beaten: Mapping[str, Sequence[str]],
    name: Callable[[str], str],
    *,
    begun: bool,
) -> Iterator[str]:
    alike = {
        model: [o for o in ranked if o != model and o not in beaten[model] and model not in beaten[o]]
        for model in ranked
    }
    over = f"over {ranking.sequences} sequence{'s' if ranking.sequences != 1 else ''}"
    if not begun:
        begin = f"By {ranking.metric}, {_list([name(model) for model in ranked])}"
        yield f"{begin} can't be separated {over}."
        return
    lone = [model for model in ranked if len(alike[model]) == len(ranked) - 1]
    for model in lone:
        yield f"{name(model)} can't be separated from {'either' if len(ranked) == 3 else 'any of them'} {over}."
    pairs = [(m, o) for at, m in enumerate(ranked) for o in ranked[at + 1 :] if o in alike[m] and not {m, o} & {*lone}]
    if pairs and len(pairs) <= MOST_CLAIMS:
        listed = [f"{name(one)} and {name(other)}" for one, other in pairs]
        one = len(listed) == 1
        yield f"{listed[0]} can't be separated {over}." if one else f"Not separated {over}: {'; '.join(listed)}."
    elif pairs:
        yield f"{len(pairs)} pairs can't be separated {over}: models that share a letter in the ranking."


def _beats(ranking: Ranking, one: str, other: str) -> bool:
    return any(
        (pair.first, pair.second, pair.verdict)
        in ((one, other, PairDifference.BETTER), (other, one, PairDifference.WORSE))
        for pair in ranking.pairs
    )


def _alike(models: Sequence[str], beaten: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Models that beat the same ones, together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for model in models:
        groups.setdefault(tuple(beaten[model]), []).append(model)
    return iter(groups.values())


def _doubt(ranking: Ranking, scale: Scale) -> str:
    """Where the best cannot be separated: the smallest difference that the suite finds reliably."""
    leaders = {place.model for place in ranking.leaders}
    detectable = [p.detectable for p in ranking.pairs if {p.first, p.second} <= leaders and p.detectable is not None]
    if len(leaders) < 2:
        return ""
    if ranking.sequences < SMALLEST_COMPARISON:
        return f"At least {SMALLEST_COMPARISON} sequences are needed to compare at all."
    for pair in ranking.pairs:
        if pair.turned and pair.missing is not None and {pair.first, pair.second} <= leaders:
            ahead = pair.first if (pair.paired.difference or 0) > 0 else pair.second
            return f"{ahead} is ahead where nothing is missing, but {missing_words(pair.missing)}."
    largest = max(detectable, default=None)
    if largest is None:
        return ""
    if scale.width is not None and largest > scale.width:
        return "With so few sequences even the largest difference this scale allows has less than 80\u202f% power."
    return (
        f"A true difference of about {amount(largest, scale).lstrip('+')} would be detected with "
        "80\u202f% power here, a smaller one less often."
    )


def _reasons(places: Sequence[Rank]) -> str:
    return ", ".join(f"{place.model} ({place.reason})" for place in places)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
