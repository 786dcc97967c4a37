"""The charts of the trend page: a line per model, night by night, and a dashed line where something changed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.night import Night, NightScale
from nightjar.pipeline.report.data.trend import Trend, model_of, night_metric
from nightjar.pipeline.report.page.chart import WIDE, Chart, Row, frame
from nightjar.pipeline.report.page.tables import SERIES
from nightjar.pipeline.scores import Direction, Scale

MOST_METRICS = 8
MOST_BANDS = 2
"""Models whose intervals are drawn; those of more would cover one another, and are in the table."""
GIB = 2**30
Read = Callable[[Night, str], tuple[float | None, float | None, float | None]]
"""Night, model -> value and the ends of its interval."""
Show = Callable[[float | None], str]


def trend_charts(trend: Trend) -> tuple[Chart, ...]:
    """Metrics, then speed and memory; those of which there is anything."""
    made = [_metric_chart(trend, name) for name in trend.metrics()[:MOST_METRICS]]
    fixed = "The probe: the same fixed work every night."
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
    """As the rest of the report knows scales."""
    return Scale(worst=scale.worst, best=scale.best, direction=Direction(scale.direction), unit=scale.unit)


def _metric_chart(trend: Trend, name: str) -> Chart | None:
    scale = plain_scale(trend.scales[name])

    def read(night: Night, model: str) -> tuple[float | None, float | None, float | None]:
        found = night_metric(night, model, name)
        return (found.mean, found.low, found.high) if found is not None else (None, None, None)

    share = scale.unit in ("pass", "share")
    banded = len(trend.models) <= MOST_BANDS
    note = "Mean over sequences; the band is its 95 % interval." if banded else "Mean over sequences."
    return _chart(
        trend, f"metric-{trend.metrics().index(name)}", name, note, lambda v: fmt.metric_value(v, scale), read, share
    )


def _cost(key: str) -> Read:
    def read(night: Night, model: str) -> tuple[float | None, float | None, float | None]:
        found = model_of(night, model)
        if found is None:
            return None, None, None
        values = {
            "decode": found.decode_tokens_per_s,
            "prefill": found.prefill_tokens_per_s,
            "together": found.run_tokens_per_s,
            "first": found.first_token_s,
            "memory": found.process_peak_bytes / GIB if found.process_peak_bytes is not None else None,
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
    data: list[Row] = []
    for at, night in enumerate(trend.nights):
        for model in trend.models:
            value, low, high = read(night, model)
            if value is not None:
                ends = {"low": low, "high": high} if low is not None else {"low": value, "high": value}
                data.append(
                    {"at": at, "model": model, "value": value, **ends, "night": night.name, "shown": show(value)}
                )
    if not data:
        return None
    marks = [{"at": at, "number": number} for at, number in marked_nights(trend)]
    alternative = "; ".join(f"{model}: {_course(data, model)}" for model in trend.models if _course(data, model))
    return Chart(
        id=f"trend-{identity}",
        title=title,
        note=note,
        alternative=f"{title}, night by night. {alternative}",
        spec={**frame(data, height=150, width=WIDE), "layer": _layers(trend, marks, share)},
        columns=("night", "model", "value"),
        rows=tuple((one["night"], one["model"], one["shown"]) for one in data),
    )


def marked_nights(trend: Trend) -> list[tuple[int, int]]:
    """(position of the night, number of its marks)."""
    at = {night.run: position for position, night in enumerate(trend.nights)}
    return list(dict.fromkeys((at[mark.run], mark.number) for mark in trend.marks))


def _layers(trend: Trend, marks: Sequence[Row], share: bool) -> list[Row]:
    last = max(len(trend.nights) - 1, 1)
    names = trend.models
    colours = [f"var(--s{at % SERIES + 1})" for at in range(len(names))]
    colour = {"field": "model", "type": "nominal", "scale": {"domain": names, "range": colours}, "legend": None}
    labels = " : ".join(
        f"datum.value === {at} ? '{night.created_at:%d %b}'"
        for at, night in enumerate(trend.nights)
        if at % max((last + 1) // 5, 1) == 0
    )
    axis = {
        "title": None,
        "values": list(range(last + 1)),
        "labelExpr": f"{labels} : ''",
        "labelOverlap": True,
        "grid": False,
    }
    x: Row = {
        "field": "at",
        "type": "quantitative",
        "scale": {"domain": [-0.3, last + 0.3], "nice": False},
        "axis": axis,
    }
    format_ = {"format": ".0%"} if share else {}
    y: Row = {"type": "quantitative", "scale": {"zero": False, "nice": True}}
    y_axis: Row = {"axis": {"title": None, "tickCount": 4, "grid": True, **format_}}
    band = {"x": x, "y": {"field": "low", **y, **y_axis}, "y2": {"field": "high"}, "color": colour}
    line = {"x": x, "y": {"field": "value", **y, **y_axis}, "color": colour}
    layers: list[Row] = [
        *([{"mark": {"type": "area", "opacity": 0.13}, "encoding": band}] if len(names) <= MOST_BANDS else []),
        {"mark": {"type": "line", "strokeWidth": 2}, "encoding": line},
        {"mark": {"type": "point", "filled": True, "size": 30, "opacity": 1}, "encoding": line},
    ]
    if marks:
        here = {"data": {"values": list(marks)}}
        rule = {"type": "rule", "strokeDash": [3, 3], "color": "var(--ink)", "opacity": 0.6}
        text = {"type": "text", "y": -4, "fontSize": 10, "color": "var(--ink)"}
        layers += [
            {**here, "mark": rule, "encoding": {"x": x}},
            {**here, "mark": text, "encoding": {"x": x, "text": {"field": "number"}}},
        ]
    return layers


def _course(data: Sequence[Row], model: str) -> str:
    found = [one for one in data if one["model"] == model]
    if not found:
        return ""
    return f"{found[0]['shown']} on {found[0]['night']}, {found[-1]['shown']} on {found[-1]['night']}"
