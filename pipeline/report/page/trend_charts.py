"""The charts of the trend page: a line for each model, night by night, and a dashed line at each change. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nightjar.jobs.models import ProbeKind
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.night import Night
from nightjar.pipeline.report.data.trend import Trend, model_of, night_metric
from nightjar.pipeline.report.page.chart import Axis, Chart, ChartKind, ChartMark, Point
from nightjar.pipeline.report.page.vega_lite import MOST_BANDS

MOST_METRICS = 8
GIB = 2**30
Show = Callable[[float | None], str]


@dataclass(frozen=True, kw_only=True)
class NightValue:
    """A value of one night, as text, and the ends of its band."""

    value: float
    shown: str
    low: float
    high: float


Read = Callable[[Night, str], NightValue | None]
"""(night, model) -> what was measured; None if nothing was."""


def trend_charts(trend: Trend) -> tuple[Chart, ...]:
    """Charts of the metrics, then of speed and memory; those without data are left out."""
    made = [_metric_chart(trend, name) for name in trend.metrics()[:MOST_METRICS]]
    kinds = [model.probe_kind for night in trend.compared for model in night.models if model.decode_tokens_per_s]
    kind = kinds[-1] if kinds else None
    fixed = "The speed probe: one conversation by itself, as it was known when the night ended."
    fixed += " Nights whose probe was made in another way are left out." if len(set(kinds)) > 1 else ""
    costs: tuple[tuple[str, str, str, Show], ...] = (
        ("decode", "Decode per conversation, tokens per second", fixed, fmt.number),
        ("prefill", "Prefill, tokens per second", fixed, fmt.number),
        ("together", "Decode in total, tokens per second", "Reply tokens over the busy time.", fmt.number),
        ("first", "First token", "Median, from submission.", fmt.seconds),
        ("memory", "Process memory, peak, GiB", "Of the worker process.", _size),
    )
    made += [_chart(trend, key, title, note, _cost(key, kind, show)) for key, title, note, show in costs]
    return tuple(chart for chart in made if chart is not None)


def _metric_chart(trend: Trend, name: str) -> Chart | None:
    scale = trend.scales[name].scale

    def read(night: Night, model: str) -> NightValue | None:
        metric = night_metric(night, model, name)
        if metric is None or metric.mean is None:
            return None
        shown, bounds = fmt.metric_value(metric.mean, scale), metric.bounds
        if bounds is not None:
            low, high = (fmt.metric_value(end, scale) for end in bounds)
            shown += f" ({low} to {high} depending on the missing replies)"
        ends = [end for end in (metric.mean, metric.low, metric.high, *(bounds or ())) if end is not None]
        return NightValue(value=metric.mean, shown=shown, low=min(ends), high=max(ends))

    share = scale.unit in ("pass", "share")
    banded = len(trend.models) <= MOST_BANDS
    band = "; the band is its 95 % interval, and what the missing replies could make of it" if banded else ""
    note = f"Mean over sequences{band}."
    return _chart(trend, f"metric-{trend.metrics().index(name)}", name, note, read, share)


def _cost(key: str, kind: ProbeKind | None, show: Show) -> Read:
    """Probes of one kind only: the newest night's."""

    def read(night: Night, model: str) -> NightValue | None:
        measured = model_of(night, model)
        if measured is None:
            return None
        alike = measured.probe_kind is kind
        values = {
            "decode": measured.decode_tokens_per_s if alike else None,
            "prefill": measured.prefill_tokens_per_s if alike else None,
            "together": measured.run_tokens_per_s,
            "first": measured.first_token_s,
            "memory": measured.process_peak_bytes / GIB if measured.process_peak_bytes is not None else None,
        }
        value = values[key]
        return None if value is None else NightValue(value=value, shown=show(value), low=value, high=value)

    return read


def _size(value: float | None) -> str:
    return fmt.size(None if value is None else int(value * GIB))


def _chart(
    trend: Trend,
    identity: str,
    title: str,
    note: str,
    read: Read,
    share: bool = False,
) -> Chart | None:
    points, rows = [], []
    for at, night in enumerate(trend.compared):
        for model in trend.models:
            if (found := read(night, model)) is not None:
                points.append(
                    Point(series=model, x=at, y=found.value, low=found.low, high=found.high, shown=found.shown)
                )
                rows.append((night.name, model, found.shown))
    if not points:
        return None
    courses = {model: _course(rows, model) for model in trend.models}
    courses_in_words = "; ".join(f"{model}: {course}" for model, course in courses.items() if course)
    return Chart(
        id=f"trend-{identity}",
        title=title,
        note=note,
        alternative=f"{title}, night by night. {courses_in_words}",
        kind=ChartKind.COURSE,
        series=tuple(trend.models),
        x=Axis(),
        y=Axis(share=share),
        points=tuple(points),
        ticks=tuple(f"{night.created_at:%d %b}" for night in trend.compared),
        marks=tuple(ChartMark(at=at, number=number) for at, number in marked_nights(trend)),
        columns=("night", "model", "value"),
        rows=tuple(rows),
    )


def marked_nights(trend: Trend) -> list[tuple[int, int]]:
    """(position of the night, number of its marks)."""
    at = {night.run: position for position, night in enumerate(trend.compared)}
    return list(dict.fromkeys((at[mark.run], mark.number) for mark in trend.marks))


def _course(rows: Sequence[tuple[str, str, str]], model: str) -> str:
    """A model's first and last value with their nights, in words."""
    values = [(night, shown) for night, name, shown in rows if name == model]
    if not values:
        return ""
    (first, before), (last, after) = values[0], values[-1]
    return f"{before} on {first}, {after} on {last}"
