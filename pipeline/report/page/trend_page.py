"""The trend of a suite as a page and as JSON, with the look and security policy of a run's report."""

from __future__ import annotations

from collections.abc import Set

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.night import Night, NightMetric, NightModel
from nightjar.pipeline.report.data.safe import slug
from nightjar.pipeline.report.data.trend import Trend, TrendMark, model_of, night_metric
from nightjar.pipeline.report.page.build import model_labels
from nightjar.pipeline.report.page.html import asset, csp_hash, drawing, render_template
from nightjar.pipeline.report.page.page import NightMarks, TrendPage
from nightjar.pipeline.report.page.tables import SERIES, Cell, Table, columns_of
from nightjar.pipeline.report.page.trend_charts import plain_scale, trend_charts


def render_trend(trend: Trend, reports: Set[str] = frozenset()) -> str:
    """The page. `reports`: names of the report files in the same folder, which nights link to."""
    return render_template("trend.html", build_trend_page(trend, reports))


def build_trend_page(trend: Trend, reports: Set[str]) -> TrendPage:
    """The content of the page."""
    style, nights = asset("report.css"), trend.nights
    count = f"{len(nights)} night{'' if len(nights) == 1 else 's'}"
    return TrendPage(
        generated_by=trend.generated_by,
        style=style,
        style_hash=csp_hash(style),
        suite=trend.suite,
        about=f"{count}, from {nights[0].name} to {nights[-1].name}.",
        models=model_labels(trend.models),
        now=now_table(trend),
        charts=tuple(drawing(chart) for chart in trend_charts(trend)),
        marks=_marks(trend),
        nights=nights_table(trend, reports),
        made=f"Made by {trend.generated_by} on {trend.generated_at:%Y-%m-%d %H:%M} UTC.",
    )


def render_trend_json(trend: Trend) -> str:
    """The trend as docs/trend.schema.json describes it; ASCII only, so that it cannot control a terminal."""
    import json

    return json.dumps(trend.model_dump(mode="json"), indent=1) + "\n"


def now_table(trend: Trend) -> Table:
    """Where each model stands: the newest night, the one before, and the range over all."""
    name = trend.headline
    rows = []
    for at, model in enumerate(trend.models):
        of_nights = [night_metric(night, model, name) for night in trend.nights] if name else []
        there = [metric for metric in of_nights if metric is not None and metric.mean is not None]
        speeds = [measured.decode_tokens_per_s or measured.run_tokens_per_s for measured in _of_model(trend, model)]
        rows.append(
            (
                Cell(text=model, series=at % SERIES + 1),
                *((_cell(trend, name, metric) for metric in (there[-1:] + there[-2:-1])) if name else ()),
                *(Cell(text=fmt.ABSENT, note="no such night") for _ in range(2 - len(there[-2:]) if name else 0)),
                _range(trend, name, there),
                Cell(text=fmt.number(speeds[-1])) if speeds and speeds[-1] else Cell(text=fmt.ABSENT, note="none"),
                Cell(text=str(len(_of_model(trend, model)))),
            )
        )
    first = (f"{name}, newest>", "night before>") if name else ()
    return Table(
        id="now", columns=columns_of(("model", *first, "lowest to highest>", "tokens/s>", "nights>")), rows=tuple(rows)
    )


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
                Cell(text=night.name, file=file if file in reports else None, note=f"{night.created_at:%Y-%m-%d}"),
                *(_cell(trend, name, night_metric(night, model, name) if name else None) for model in trend.models),
                Cell(text=_bad(night), alert=_bad(night) != "0"),
                Cell(text=str(number), link=f"mark-{number}") if number else Cell(text=fmt.ABSENT, note="nothing"),
            )
        )
    columns = ("night", *(f"{model}>" for model in trend.models), "failed or empty>", "changed>")
    return Table(id="nights", columns=columns_of(columns), rows=tuple(rows))


def _cell(trend: Trend, name: str | None, metric: NightMetric | None) -> Cell:
    if name is None or metric is None or metric.mean is None:
        return Cell(text=fmt.ABSENT, note="no value")
    scale = plain_scale(trend.scales[name])
    ends = [fmt.metric_value(end, scale) for end in (metric.low, metric.high) if end is not None]
    return Cell(text=fmt.metric_value(metric.mean, scale), note=" to ".join(ends))


def _range(trend: Trend, name: str | None, metrics: list[NightMetric]) -> Cell:
    if name is None or not metrics:
        return Cell(text=fmt.ABSENT, note="no value")
    means = [metric.mean for metric in metrics if metric.mean is not None]
    scale = plain_scale(trend.scales[name])
    return Cell(text=f"{fmt.metric_value(min(means), scale)} to {fmt.metric_value(max(means), scale)}")


def _of_model(trend: Trend, model: str) -> list[NightModel]:
    return [model_night for night in trend.nights if (model_night := model_of(night, model)) is not None]


def _bad(night: Night) -> str:
    return fmt.whole(sum(model.failed_jobs + model.empty + model.degenerate for model in night.models))


def _marks(trend: Trend) -> tuple[NightMarks, ...]:
    by_number: dict[int, list[TrendMark]] = {}
    for mark in trend.marks:
        by_number.setdefault(mark.number, []).append(mark)
    return tuple(
        NightMarks(number=number, night=marks[0].night, marks=tuple(mark.words for mark in marks))
        for number, marks in by_number.items()
    )
