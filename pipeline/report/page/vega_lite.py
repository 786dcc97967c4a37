"""Charts as Vega-Lite specifications. Pure.

Colours are CSS variables of the page (`--s1` ... for models, `--ink`, `--muted`, `--line`), so that one drawing serves
light, dark and print.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nightjar.pipeline.report.page.chart import Axis, Chart, ChartKind, Point
from nightjar.pipeline.report.page.tables import SERIES

PLOT_WIDTH = 250
WIDE = 310
"""Of a plot whose rows have no names beside them; both come out about as wide."""
MOST_BANDS = 2
"""The most series whose intervals are drawn over time; with more, they would overlap and are only in the table."""
Spec = dict[str, Any]

RULE = {"type": "rule", "strokeWidth": 2, "opacity": 0.55}
DOT = {"type": "point", "filled": True, "size": 64, "opacity": 1}


def to_vega_lite(chart: Chart) -> Spec:
    """The specification that draws the chart; it refers to nothing outside itself."""
    return _SPECS[chart.kind](chart)


def _dots(chart: Chart) -> Spec:
    data = [{"model": p.series, "metric": p.y, "mean": p.x, "low": p.low, "high": p.high} for p in chart.points]
    here = {"y": _category("metric"), **_offset(chart)}
    share = {
        "type": "quantitative",
        "scale": _domain(chart.x),
        "axis": {**_format(chart.x), "title": None, **_ticks(5)},
    }
    interval = {**here, "x": {"field": "low", **share}, "x2": {"field": "high"}, "color": _colour(chart)}
    layers = [
        {"transform": [{"filter": "isValid(datum.low)"}], "mark": RULE, "encoding": interval},
        {"mark": DOT, "encoding": {**here, "x": {"field": "mean", **share}, "color": _colour(chart)}},
    ]
    return {**_frame(data, height={"step": max(12, 26 // len(chart.series) + 6)}), "layer": layers}


def _bars(chart: Chart) -> Spec:
    data = [{"model": p.series, "kind": p.y, "rate": p.x, "shown": p.shown} for p in chart.points]
    place = {"y": {**_category("kind"), "scale": {"paddingInner": 0.3}}, **_offset(chart)}
    rate = {"field": "rate", "type": "quantitative", "axis": {"title": None, **_ticks(4)}}
    text = {"type": "text", "align": "left", "dx": 4, "fontSize": 10, "color": "var(--muted)"}
    layers = [
        {"mark": {"type": "bar"}, "encoding": {**place, "x": rate, "color": _colour(chart)}},
        {"mark": text, "encoding": {**place, "x": rate, "text": {"field": "shown"}}},
    ]
    return {**_frame(data, height={"step": 17}), "layer": layers}


def _spans(chart: Chart) -> Spec:
    data = [{"model": p.series, "what": p.y, "p50": p.x, "p95": p.high} for p in chart.points]
    place = {"y": _category("what"), **_offset(chart)}
    scale: Spec = {"type": "quantitative", "axis": {"title": chart.x.label, **_ticks(5)}}
    start, end = {"field": "p50", **scale}, {"field": "p95", **scale}
    colour = {"color": _colour(chart)}
    layers = [
        {"mark": RULE, "encoding": {**place, "x": start, "x2": {"field": "p95"}, **colour}},
        {"mark": DOT, "encoding": {**place, "x": start, **colour}},
        {"mark": {"type": "tick", "thickness": 2, "size": 10}, "encoding": {**place, "x": end, **colour}},
    ]
    return {**_frame(data, height={"step": 20}), "layer": layers}


def _scatter(chart: Chart) -> Spec:
    data = [
        {"model": p.series, "rate": p.x, "mean": p.y, "low": p.low, "high": p.high, "bytes": p.size}
        for p in chart.points
    ]
    ends: Spec = _domain(chart.y) if chart.y.share else {"zero": False}
    axis = {"title": None, **_ticks(5), **_format(chart.y), "grid": True}
    y: Spec = {"type": "quantitative", "scale": ends, "axis": axis}
    x: Spec = {"field": "rate", "type": "quantitative", "axis": {"title": chart.x.label}}
    x = {**x, "scale": {"zero": True, "nice": True}}
    size = {"field": "bytes", "type": "quantitative", "scale": {"range": [60, 700], "zero": True}, "legend": None}
    colour = {"color": _colour(chart)}
    layers = [
        {"mark": RULE, "encoding": {"x": x, "y": {"field": "low", **y}, "y2": {"field": "high"}, **colour}},
        {
            "mark": {"type": "point", "filled": True, "opacity": 0.85},
            "encoding": {"x": x, "y": {"field": "mean", **y}, "size": size, **colour},
        },
    ]
    return {**_frame(data, height=190, width=WIDE), "layer": layers}


def _histogram(chart: Chart) -> Spec:
    data = [{"model": p.series, "from": p.low, "to": p.high, "count": p.y} for p in chart.points]
    x: Spec = {"type": "quantitative", "scale": {**_domain(chart.x), "nice": False}}
    axis: Spec = {"title": None, **_ticks(5), **_format(chart.x)}
    counts: Spec = {"title": None, **_ticks(2), "tickMinStep": 1, "grid": True}
    header = {"field": "model", "type": "nominal", "title": None, "sort": None, "header": {"labels": False}}
    plot = {
        "width": WIDE,
        "height": 44,
        "mark": {"type": "bar", "binSpacing": 1},
        "encoding": {
            "x": {"field": "from", "bin": {"binned": True}, **x, "axis": axis},
            "x2": {"field": "to"},
            "y": {"field": "count", "type": "quantitative", "axis": counts},
            "color": _colour(chart),
        },
    }
    framed = {key: value for key, value in _frame(data, height=0).items() if key not in ("width", "height")}
    return {**framed, "facet": {"row": header}, "spacing": 6, "spec": plot}


def _lines(chart: Chart) -> Spec:
    data = [{"model": p.series, "turn": p.x, "words": p.y} for p in chart.points]
    place = {
        "x": {"field": "turn", "type": "ordinal", "axis": {"title": chart.x.label, "labelAngle": 0}},
        "y": {"field": "words", "type": "quantitative", "axis": {"title": None, **_ticks(4)}},
        "color": _colour(chart),
    }
    layers = [
        {"mark": {"type": "line", "strokeWidth": 2}, "encoding": place},
        {"mark": {**DOT, "size": 48}, "encoding": place},
    ]
    return {**_frame(data, height=170, width=WIDE), "layer": layers}


def _course(chart: Chart) -> Spec:
    data = [{"at": p.x, "model": p.series, "value": p.y, "low": p.low, "high": p.high} for p in chart.points]
    y: Spec = {"type": "quantitative", "scale": {"zero": False, "nice": True}}
    axis: Spec = {"axis": {"title": None, **_ticks(4), "grid": True, **_format(chart.y)}}
    x, colour = _positions(chart), _colour(chart)
    band = {"x": x, "y": {"field": "low", **y, **axis}, "y2": {"field": "high"}, "color": colour}
    line = {"x": x, "y": {"field": "value", **y, **axis}, "color": colour}
    layers: list[Spec] = [
        *([{"mark": {"type": "area", "opacity": 0.13}, "encoding": band}] if len(chart.series) <= MOST_BANDS else []),
        {"mark": {"type": "line", "strokeWidth": 2}, "encoding": line},
        {"mark": {"type": "point", "filled": True, "size": 30, "opacity": 1}, "encoding": line},
    ]
    if chart.marks:
        here = {"data": {"values": [{"at": mark.at, "number": mark.number} for mark in chart.marks]}}
        rule = {"type": "rule", "strokeDash": [3, 3], "color": "var(--ink)", "opacity": 0.6}
        text = {"type": "text", "y": -4, "fontSize": 10, "color": "var(--ink)"}
        layers += [
            {**here, "mark": rule, "encoding": {"x": x}},
            {**here, "mark": text, "encoding": {"x": x, "text": {"field": "number"}}},
        ]
    return {**_frame(data, height=150, width=WIDE), "layer": layers}


def _clock(chart: Chart) -> Spec:
    data = [{"at": p.x, "model": p.series, "value": p.y, "alone": alone} for p, alone in _isolated(chart.points)]
    ends: Spec = {"zero": chart.y.low == 0}
    ends |= {"domainMin": chart.y.low} if chart.y.low is not None else {}
    ends |= {"domainMax": chart.y.high} if chart.y.high is not None else {"nice": True}
    axis = {"title": None, **_ticks(4), "grid": True, **_format(chart.y)}
    hours = {"title": None, **_ticks(5), "labelOverlap": True, "grid": False, "format": chart.x.label or "%H:%M"}
    place = {
        "x": {"field": "at", "type": "temporal", "scale": {"type": "utc"}, "axis": hours},
        "y": {"field": "value", "type": "quantitative", "scale": ends, "axis": axis},
        "color": _colour(chart),
    }
    line = {"type": "line", "strokeWidth": 1.5, "invalid": "break-paths-show-path-domains", "aria": False}
    dot = {"type": "point", "filled": True, "size": 6, "opacity": 1, "aria": False}
    layers = [
        {"mark": line, "encoding": place},
        {"transform": [{"filter": "datum.alone"}], "mark": dot, "encoding": place},
    ]
    return {**_frame(data, height=130, width=WIDE), "layer": layers}


def _isolated(points: Sequence[Point]) -> list[tuple[Point, bool]]:
    """Each point, and whether it stands between two gaps, where no line leads to it."""

    def there(at: int, series: str) -> bool:
        return 0 <= at < len(points) and points[at].series == series and points[at].y is not None

    return [
        (p, p.y is not None and not there(at - 1, p.series) and not there(at + 1, p.series))
        for at, p in enumerate(points)
    ]


_SPECS: Mapping[ChartKind, Callable[[Chart], Spec]] = {
    ChartKind.DOTS: _dots,
    ChartKind.BARS: _bars,
    ChartKind.SPANS: _spans,
    ChartKind.SCATTER: _scatter,
    ChartKind.HISTOGRAM: _histogram,
    ChartKind.LINES: _lines,
    ChartKind.COURSE: _course,
    ChartKind.CLOCK: _clock,
}


def _positions(chart: Chart) -> Spec:
    """The x axis of a course: about five of its positions are named."""
    last = max(len(chart.ticks) - 1, 1)
    step = max((last + 1) // 5, 1)
    labels = " : ".join(f"datum.value === {at} ? '{tick}'" for at, tick in enumerate(chart.ticks) if at % step == 0)
    axis = {
        "title": None,
        "values": list(range(last + 1)),
        "labelExpr": f"{labels} : ''",
        "labelOverlap": True,
        "grid": False,
    }
    scale = {"domain": [-0.3, last + 0.3], "nice": False}
    return {"field": "at", "type": "quantitative", "scale": scale, "axis": axis}


def _category(field: str) -> Spec:
    return {"field": field, "type": "nominal", "title": None, "sort": None}


def _domain(axis: Axis) -> Spec:
    return {"domain": [axis.low, axis.high]}


def _format(axis: Axis) -> Spec:
    return {"format": "~%"} if axis.share else {}  # as many digits as the value has: 0.5 % is not 1 %


def _ticks(count: int) -> Spec:
    return {"tickCount": count}


def _colour(chart: Chart) -> Spec:
    """A colour for each series, without a legend because the page has one."""
    colours = [f"var(--s{at % SERIES + 1})" for at in range(len(chart.series))]
    scale = {"domain": list(chart.series), "range": colours}
    return {"field": "model", "type": "nominal", "scale": scale, "legend": None}


def _offset(chart: Chart) -> Spec:
    """Places the series of one category below each other."""
    if len(chart.series) < 2:
        return {}
    return {"yOffset": {"field": "model", "type": "nominal", "scale": {"domain": list(chart.series)}}}


def _frame(data: Sequence[Spec], height: Any, width: int = PLOT_WIDTH) -> Spec:
    """A specification without its layers."""
    axis = {"labelColor": "var(--muted)", "titleColor": "var(--muted)", "labelFontSize": 11, "titleFontSize": 11}
    lines = {
        "gridColor": "var(--line)",
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
        "titleFontWeight": "normal",
    }
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": width,
        "height": height,
        "background": None,
        "padding": 4,
        "data": {"values": list(data)},
        "config": {
            "font": "system-ui, sans-serif",
            "view": {"stroke": None},
            "axis": {**axis, **lines, "labelLimit": 110},
            "axisY": {"grid": False},
        },
    }
