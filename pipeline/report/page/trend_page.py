"""The trend of a suite as a page and as JSON, with the look and security policy of a run's report."""

from __future__ import annotations

from collections.abc import Set

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.amounts import amount, ends_of
from nightjar.pipeline.report.data.compared import PairDifference
from nightjar.pipeline.report.data.night import Night, NightMetric
from nightjar.pipeline.report.data.safe import slug
from nightjar.pipeline.report.data.series import MISSING_LIMIT
from nightjar.pipeline.report.data.trend import Trend, TrendMark, night_metric
from nightjar.pipeline.report.data.trend_changes import NightChange
from nightjar.pipeline.report.page.build import model_labels
from nightjar.pipeline.report.page.html import asset, csp_hash, drawing, render_template
from nightjar.pipeline.report.page.page import NightMarks, TrendPage
from nightjar.pipeline.report.page.tables import SERIES, Cell, Table, columns_of
from nightjar.pipeline.report.page.trend_charts import trend_charts
from nightjar.pipeline.scores import Scale


def render_trend(trend: Trend, reports: Set[str] = frozenset()) -> str:
    """The page. `reports`: names of the report files in the same folder, which nights link to."""
    return render_template("trend.html", build_trend_page(trend, reports))


def build_trend_page(trend: Trend, reports: Set[str]) -> TrendPage:
    """The content of the page."""
    style = asset("report.css")
    return TrendPage(
        generated_by=trend.generated_by,
        style=style,
        style_hash=csp_hash(style),
        suite=trend.suite,
        about=about_nights(trend),
        models=model_labels(trend.models),
        now=now_table(trend),
        charts=tuple(drawing(chart) for chart in trend_charts(trend)),
        marks=_marks(trend),
        nights=nights_table(trend, reports),
        made=f"Made by {trend.generated_by} on {trend.generated_at:%Y-%m-%d %H:%M} UTC.",
    )


def about_nights(trend: Trend) -> str:
    """How many nights, and how many runs by hand: those are in the table of nights alone."""
    nights = [night for night in trend.nights if night.series is not None]
    by_hand = [night for night in trend.nights if night.series is None]
    shown = nights or by_hand
    span = f"from {shown[0].name} to {shown[-1].name}"
    if not nights:
        return f"{fmt.count_of(len(by_hand), 'run')} by hand, {span}; no night yet."
    more = f" {fmt.count_of(len(by_hand), 'run')} by hand: in the table below, not compared." if by_hand else ""
    return f"{fmt.count_of(len(nights), 'night')}, {span}.{more}"


def render_trend_json(trend: Trend) -> str:
    """The trend as docs/trend.schema.json describes it; ASCII only, so that it cannot control a terminal."""
    import json

    return json.dumps(trend.model_dump(mode="json"), indent=1) + "\n"


def now_table(trend: Trend) -> Table:
    """Where each model stands: its newest night, the one before, what changed between them, and the range over all."""
    name = trend.headline
    rows = []
    for at, model in enumerate(trend.models):
        nights = trend.of_model(model)
        newest, measured = nights[-1]
        headline = (*_newest(trend, name, model), _range(trend, name, model)) if name else ()
        probe, run = measured.decode_tokens_per_s, measured.run_tokens_per_s
        night = "" if newest is trend.compared[-1] else f"newest: {newest.name}"
        night += " (by hand)" if night and newest.series is None else ""
        rows.append(
            (
                Cell(text=model, series=at % SERIES + 1, note=night),
                *headline,
                Cell(text=fmt.number(probe), note="" if probe else "no probe"),
                Cell(text=fmt.number(run), note="" if run else "nothing was generated"),
                Cell(text=str(len(nights))),
            )
        )
    first = (f"{name}, newest>", "night before>", "change>", "verdict", "lowest to highest>") if name else ()
    columns = ("model", *first, f"{fmt.PER_CONVERSATION}, probe>", f"{fmt.IN_TOTAL}>", "nights>")
    return Table(id="now", columns=columns_of(columns), rows=tuple(rows))


def _newest(trend: Trend, name: str, model: str) -> tuple[Cell, ...]:
    """The newest value, that of the night before, their difference and the verdict on it."""
    metrics = [measured.metrics.get(name) for _, measured in trend.of_model(model)]
    change = next((change for change in trend.changes if change.model == model), None)
    if change is None:
        none = Cell(text=fmt.ABSENT, note="no such night")
        return _cell(trend, name, metrics[-1]), none, none, Cell(text=fmt.ABSENT, note="one night")
    before = next(
        measured.metrics.get(name) for night, measured in trend.of_model(model) if night.name == change.before
    )
    mark = change.verdict if change.verdict in (PairDifference.BETTER, PairDifference.WORSE) else ""
    return (
        _cell(trend, name, metrics[-1]),
        _cell(trend, name, before),
        _difference(change, trend.scales[name].scale),
        Cell(text=change.words, mark=mark or ""),
    )


def _difference(change: NightChange, scale: Scale) -> Cell:
    notes = []
    if change.sequences:
        notes.append(f"over {fmt.count_of(change.sequences, 'sequence')} complete on both nights")
    if change.low is not None and change.high is not None:
        notes.append(ends_of(change.low, change.high, scale))
    if change.lowest is not None and change.highest is not None:
        notes.append(f"{ends_of(change.lowest, change.highest, scale)} depending on the missing replies")
    if change.difference is None and change.verdict is not None:
        notes.insert(0, "no sequence is complete on both nights")
    return Cell(text=amount(change.difference, scale), note="; ".join(notes))


def nights_table(trend: Trend, reports: Set[str]) -> Table:
    """Newest first: each night's headline by model, failures, and what changed."""
    name = trend.headline
    numbers = {mark.run: mark.number for mark in trend.marks}
    rows = []
    for night in reversed(trend.nights):
        file = f"{slug(night.name, night.run)}.html"
        number = numbers.get(night.run)
        rows.append(
            (
                Cell(text=night.name, file=file if file in reports else None, note=_which(night)),
                *(_cell(trend, name, night_metric(night, model, name) if name else None) for model in trend.models),
                Cell(text=_bad(night), alert=_bad(night) != "0"),
                Cell(text=str(number), link=f"mark-{number}") if number else Cell(text=fmt.ABSENT, note="nothing"),
            )
        )
    columns = ("night", *(f"{model}>" for model in trend.models), "failed, empty or cut off by time>", "changed>")
    return Table(id="nights", columns=columns_of(columns), rows=tuple(rows))


def _which(night: Night) -> str:
    """Its day, and whose night it is."""
    return f"{night.created_at:%Y-%m-%d}, {'by hand' if night.series is None else night.series}"


def _cell(trend: Trend, name: str | None, metric: NightMetric | None) -> Cell:
    if name is None or metric is None or metric.mean is None:
        return Cell(text=fmt.ABSENT, note="no value")
    scale = trend.scales[name].scale
    ends = [fmt.metric_value(end, scale) for end in (metric.low, metric.high) if end is not None]
    notes = [" to ".join(ends)] if ends else []
    if (bounds := metric.bounds) is not None:
        notes.append(f"{' to '.join(fmt.metric_value(end, scale) for end in bounds)} depending on the missing replies")
    return Cell(text=fmt.metric_value(metric.mean, scale), note="; ".join(notes), alert=bounds is not None)


def _range(trend: Trend, name: str, model: str) -> Cell:
    """Over the nights on which little enough was missing for the mean to say something."""
    values = [
        (measured.metrics[name].mean, measured.missing_share(name, trend.scales[name].scale) <= MISSING_LIMIT)
        for _, measured in trend.of_model(model)
        if name in measured.metrics
    ]
    means = [mean for mean, whole in values if mean is not None and whole]
    holed = sum(not whole for _, whole in values)
    note = f"without {fmt.count_of(holed, 'night')} with over {MISSING_LIMIT:.0%} missing" if holed else ""
    if not means:
        return Cell(text=fmt.ABSENT, note=note or "no value")
    low, high = (fmt.metric_value(end(means), trend.scales[name].scale) for end in (min, max))
    return Cell(text=f"{low} to {high}", note=note)


def _bad(night: Night) -> str:
    return fmt.whole(sum(model.failed_jobs + model.unusable + model.timeout for model in night.models))


def _marks(trend: Trend) -> tuple[NightMarks, ...]:
    by_number: dict[int, list[TrendMark]] = {}
    for mark in trend.marks:
        by_number.setdefault(mark.number, []).append(mark)
    return tuple(
        NightMarks(number=number, night=marks[0].night, marks=tuple(mark.words for mark in marks))
        for number, marks in by_number.items()
    )
