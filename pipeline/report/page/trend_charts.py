"""The charts of the trend page: a line for each model, night by night, and a dashed line at each change. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.night import Night, NightScale
from nightjar.pipeline.report.data.trend import Trend, model_of, night_metric
from nightjar.pipeline.report.page.chart import Axis, Chart, ChartKind, ChartMark, Point
from nightjar.pipeline.report.page.vega_lite import MOST_BANDS
from nightjar.pipeline.scores import Direction, Scale

MOST_METRICS = 8
GIB = 2**30
Read = Callable[[Night, str], tuple[float | None, float | None, float | None]]
"""(night, model) -> the value and the ends of its interval."""
Show = Callable[[float | None], str]


def trend_charts(trend: Trend) -> tuple[Chart, ...]:
    """Charts of the metrics, then of speed and memory; those without data are left out."""
    made = [_metric_chart(trend, name) for name in trend.metrics()[:MOST_METRICS]]
    fixed = "The probe: the same fixed work every night, or a fixed part of it where a model is slow."
    costs: tuple[tuple[str, str, str, Show], ...] = (
        ("decode", "Decode, tokens per second", fixed, fmt.number),
        ("prefill", "Prefill, tokens per second", fixed, fmt.number),
        ("together", "All together, tokens per second", "Reply tokens over the busy time.", fmt.number),
        ("first", "First token", "Median, from submission.", fmt.seconds),
        ("memory", "Process memory, peak, GiB", "Of the worker process.", _size),
    )
    made += [_chart(trend, key, title, note, show, _cost(key)) for key, title, note, show in costs]
    return tuple(chart for chart in made if chart is not None)


def plain_scale(scale: NightScale) -> Scale:
    """The stored scale as a `Scale`."""
    return Scale(worst=scale.worst, best=scale.best, direction=Direction(scale.direction), unit=scale.unit)


def _metric_chart(trend: Trend, name: str) -> Chart | None:
    scale = plain_scale(trend.scales[name])

    def read(night: Night, model: str) -> tuple[float | None, float | None, float | None]:
        metric = night_metric(night, model, name)
        return (metric.mean, metric.low, metric.high) if metric is not None else (None, None, None)

    share = scale.unit in ("pass", "share")
    banded = len(trend.models) <= MOST_BANDS
    note = "Mean over sequences; the band is its 95 % interval." if banded else "Mean over sequences."
    return _chart(
        trend, f"metric-{trend.metrics().index(name)}", name, note, lambda v: fmt.metric_value(v, scale), read, share
    )


def _cost(key: str) -> Read:
    def read(night: Night, model: str) -> tuple[float | None, float | None, float | None]:
        measured = model_of(night, model)
        if measured is None:
            return None, None, None
        values = {
            "decode": measured.decode_tokens_per_s,
            "prefill": measured.prefill_tokens_per_s,
            "together": measured.run_tokens_per_s,
            "first": measured.first_token_s,
            "memory": measured.process_peak_bytes / GIB if measured.process_peak_bytes is not None else None,
        }
        return values[key], None, None

    return read


def _size(value: float | None) -> str:
    return fmt.size(None if value is None else int(value * GIB))


def _chart(
    trend: Trend,
    identity: str,
    title: str,
    note: str,
    show: Callable[[float | None], str],
    read: Read,
    share: bool = False,
) -> Chart | None:
    points, rows = [], []
    for at, night in enumerate(trend.nights):
        for model in trend.models:
            value, low, high = read(night, model)
            if value is not None:
                low, high = (low, high) if low is not None else (value, value)
                points.append(Point(series=model, x=at, y=value, low=low, high=high, shown=show(value)))
                rows.append((night.name, model, show(value)))
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
        ticks=tuple(f"{night.created_at:%d %b}" for night in trend.nights),
        marks=tuple(ChartMark(at=at, number=number) for at, number in marked_nights(trend)),
        columns=("night", "model", "value"),
        rows=tuple(rows),
    )


def marked_nights(trend: Trend) -> list[tuple[int, int]]:
    """(position of the night, number of its marks)."""
    at = {night.run: position for position, night in enumerate(trend.nights)}
    return list(dict.fromkeys((at[mark.run], mark.number) for mark in trend.marks))


def _course(rows: Sequence[tuple[str, str, str]], model: str) -> str:
    """A model's first and last value with their nights, in words."""
    values = [(night, shown) for night, name, shown in rows if name == model]
    if not values:
        return ""
    (first, before), (last, after) = values[0], values[-1]
    return f"{before} on {first}, {after} on {last}"
