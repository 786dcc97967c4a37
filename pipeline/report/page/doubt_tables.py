"""The report's tables on uncertainty: ranking, pairs of models, strengths, spread, repeats, baseline. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nightjar.jobs.remote_models import usd_text
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.amounts import amount, difference, ends_of
from nightjar.pipeline.report.data.answer import missing_bounds
from nightjar.pipeline.report.data.changes import Changes, ModelChange
from nightjar.pipeline.report.data.compared import Pair, PairDifference
from nightjar.pipeline.report.data.findings import more_needed
from nightjar.pipeline.report.data.links import show
from nightjar.pipeline.report.data.ranking import Ranking
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.spread import Detail, Reduced, Repeats
from nightjar.pipeline.report.page.result_tables import quality_cell
from nightjar.pipeline.report.page.tables import Cell, Table, columns_of, measured, name_cell
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.statistics.intervals import SMALLEST_INTERVAL, Interval
from nightjar.pipeline.statistics.preference import WinRate
from nightjar.pipeline.statistics.spread import SMALLEST_BOOTSTRAP
from nightjar.pipeline.statistics.strengths import Strength


def ranking_table(report: RunReport) -> Table:
    """Models by rank, best first; models that share a letter can't be separated."""
    ranking = report.ranking
    assert ranking is not None
    at = {model.name: number for number, model in enumerate(report.models)}
    strengths = {strength.model: strength for strength in ranking.strengths}
    rows = []
    for place in ranking.places:
        model = report.models[at[place.model]]
        strength = strengths.get(place.model)
        rank = Cell(text=place.group) if place.group else Cell(text=fmt.ABSENT, note=place.reason or "")
        rows.append(
            (
                name_cell(model, at[place.model]),
                rank,
                quality_cell(report, model, ranking.metric),
                Cell(text=fmt.signed(strength.strength), note=strength_ends(strength))
                if strength is not None
                else Cell(text=fmt.ABSENT, note="not ranked" if place.rank is None else "one model"),
            )
        )
    columns = ("model", "group", f"{ranking.metric}, 95\u202f% interval>", "strength>")
    return Table(id="ranking", columns=columns_of(columns), rows=tuple(rows))


def pairs_table(report: RunReport) -> Table:
    """Each pair of ranked models by the headline metric: difference, wins, p-value, verdict, sequences needed."""
    ranking = report.ranking
    assert ranking is not None
    scale = report.scales[ranking.metric]
    rates = {(rate.first, rate.second): rate for rate in ranking.win_rates}
    few = f"fewer than {SMALLEST_INTERVAL} sequences" if report.waves is None else "see the looks"
    rows = tuple(_pair(pair, rates.get((pair.first, pair.second)), ranking, scale, few) for pair in ranking.pairs)
    columns = (
        *("models", "difference>", "effect>", "win rate>", "better / equal / worse>", "p, adjusted>", "verdict"),
        *("detectable>", "more sequences needed>"),
    )
    return Table(id="pairs", columns=columns_of(columns), rows=rows)


def spread_table(report: RunReport) -> Table:
    """How each metric's values spread over sequences."""
    rows = []
    for name in report.quality_metrics() or report.metrics:
        for at, model in enumerate(report.models):
            detail = model.details.get(name)
            if detail is None:
                continue
            scale, q = report.scales[name], detail.quantiles
            middle = fmt.interval(detail.median_interval, scale) or f"fewer than {SMALLEST_BOOTSTRAP} sequences"
            cells = (Cell(text=fmt.metric_value(q[percent], scale)) for percent in (0, 10, 25, 75, 90, 100))
            first = list(cells)
            first.insert(3, Cell(text=fmt.metric_value(q[50], scale), note=middle if scale.worst is not None else ""))
            rows.append((Cell(text=name), name_cell(model, at, facts=False), *first))
    columns = (
        "metric",
        "model",
        "minimum>",
        "10\u202f%>",
        "25\u202f%>",
        "median>",
        "75\u202f%>",
        "90\u202f%>",
        "maximum>",
    )
    return Table(id="spread", columns=columns_of(columns), rows=tuple(rows))


def repeats_detail_table(report: RunReport) -> Table:
    """What repeats say besides the mean: other reducers, and the components of variance."""
    rows = []
    for name in report.quality_metrics() or report.metrics:
        for at, model in enumerate(report.models):
            detail = model.details.get(name)
            if detail is not None and detail.repeats is not None:
                cells = _repeats(detail, detail.repeats, report.scales[name])
                rows.append((Cell(text=name), name_cell(model, at, facts=False), *cells))
    columns = (
        "metric",
        "model",
        "median>",
        "best>",
        "pass@k>",
        "pass^k>",
        "variance between sequences>",
        "between repeats>",
    )
    return Table(id="repeat-detail", columns=columns_of(columns), rows=tuple(rows))


def changes_table(report: RunReport, changes: Changes) -> Table:
    """Every quality metric compared with the baseline, with speeds by the probe and memory."""
    rows = tuple(row for change in changes.models for row in _changed(report, change))
    return Table(
        id="changes",
        columns=columns_of(("model", "metric", "baseline>", "this run>", "difference>", "verdict")),
        rows=rows,
    )


def _changed(report: RunReport, model: ModelChange) -> Iterator[tuple[Cell, ...]]:
    for metric in model.metrics:
        scale, link = report.scales[metric.metric], show(model=model.model, sort=metric.metric)
        interval = "too few sequences" if metric.low is None else ends_of(metric.low, metric.high, scale)
        yield (
            Cell(text=model.model),
            Cell(text=metric.metric),
            Cell(text=fmt.metric_value(metric.before, scale)),
            Cell(text=fmt.metric_value(metric.after, scale), link=link),
            Cell(text=amount(metric.difference, scale), note=interval),
            Cell(text=metric.words, mark=metric.verdict if metric.told else ""),
        )
    for cost in model.costs:
        show_cost: Callable[[float], str] = usd_text if "dollars" in cost.name else fmt.number
        show_cost = _bytes if "bytes" in cost.name else show_cost
        cells = (Cell(text=show_cost(value)) for value in (cost.before, cost.after))
        change = (
            f"{(cost.after / cost.before - 1) * 100:+.0f}\u202f%".replace("-", "\u2212") if cost.before else "was 0"
        )
        yield (
            Cell(text=model.model),
            Cell(text=cost.name),
            *cells,
            Cell(text=change),
            Cell(text="measured, not tested"),
        )


def _bytes(value: float) -> str:
    return fmt.size(int(value))


def _pair(pair: Pair, rate: WinRate | None, ranking: Ranking, scale: Scale, few: str) -> tuple[Cell, ...]:
    paired, more = pair.paired, more_needed(pair)
    mark = "" if pair.verdict is PairDifference.CANNOT_TELL else pair.verdict.value
    return (
        Cell(text=f"{pair.first} against {pair.second}", link=show(sort=ranking.metric)),
        Cell(text=difference(pair, scale), note=_difference_interval(pair, scale)),
        measured(fmt.signed, paired.effect, "no spread"),
        Cell(text=fmt.percent(rate.share), note=_share(rate.interval) or few)
        if rate is not None
        else Cell(text=fmt.ABSENT, note=few),
        Cell(text=f"{paired.wins} / {paired.ties} / {paired.losses}"),
        measured(fmt.p_value, pair.p_adjusted, few),
        Cell(text=pair.verdict.value, mark=mark, note=missing_bounds(pair.missing, scale)),
        Cell(text=amount(pair.detectable, scale).lstrip("+")) if pair.detectable else Cell(text=fmt.ABSENT, note=few),
        Cell(text=fmt.whole(more))
        if more is not None
        else Cell(text=fmt.ABSENT, note="enough" if mark else "no number would do"),
    )


def _repeats(detail: Detail, repeats: Repeats, scale: Scale) -> Iterator[Cell]:
    yield _reduced(repeats.median, scale, f"of up to {repeats.most} repeats")
    yield (
        _reduced(repeats.best, scale, "of each sequence")
        if repeats.best is not None
        else Cell(text=fmt.ABSENT, note="no better end")
    )
    for by_k in (repeats.pass_at, repeats.pass_all):
        if by_k:
            k = max(by_k)
            yield _reduced(by_k[k], scale, f"k = {k}")
        else:
            yield Cell(text=fmt.ABSENT, note="not pass or fail")
    split = repeats.variance
    if split is None or split.shared is None:
        yield from (Cell(text=fmt.ABSENT, note="no spread"), Cell(text=fmt.ABSENT, note="no spread"))
    else:
        yield Cell(text=fmt.percent(split.shared), note=f"variance {fmt.number(split.between_sequences)}")
        yield Cell(text=fmt.percent(1 - split.shared), note=f"variance {fmt.number(split.between_repeats)}")


def _reduced(value: Reduced, scale: Scale, what: str) -> Cell:
    between = fmt.interval(value.interval, scale)
    return Cell(text=fmt.metric_value(value.mean, scale), note=f"{what}; {between}" if between else what)


def _difference_interval(pair: Pair, scale: Scale) -> str:
    interval = pair.paired.interval
    return ends_of(interval.low, interval.high, scale) if interval else "too few sequences"


def strength_ends(strength: Strength) -> str:
    """The interval in words; one end for a model that never lost or never won."""
    if strength.at_least is not None:
        return f"never lost: at least {fmt.signed(strength.at_least)}"
    if strength.at_most is not None:
        return f"never won: at most {fmt.signed(strength.at_most)}"
    if strength.interval is None:
        return f"fewer than {SMALLEST_INTERVAL} sequences"
    return f"{fmt.signed(strength.interval.low)} to {fmt.signed(strength.interval.high)}"


def _share(interval: Interval | None) -> str:
    return f"{interval.low * 100:.0f}{fmt.TO}{fmt.percent(interval.high)}" if interval else ""
