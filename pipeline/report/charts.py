"""The report's charts as plain data: Vega-Lite specifications, each with its text alternative and its table. Pure.

Colours are CSS variables of the page (`--s1` ... for models, `--ink`, `--muted`, `--line`), so that one drawing serves
light, dark and print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.report import format as fmt
from pipeline.report.data import ModelReport, RunReport

SERIES = 8
"""Colours for models; a ninth model takes the first again."""
PLOT_WIDTH = 320
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart: what to draw, what to say to those who do not see it, and its numbers as a table."""

    id: str
    title: str
    note: str
    """What is drawn, in one sentence."""
    alternative: str
    """The message in words, with the numbers."""
    spec: Mapping[str, Any]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def charts(report: RunReport) -> tuple[Chart, ...]:
    """The charts this report has data for."""
    made = (_quality(report), _tags(report), _speed(report), _latency(report), _length(report))
    return tuple(chart for chart in made if chart is not None)


def _quality(report: RunReport) -> Chart | None:
    data: list[Row] = []
    for name in report.quality_metrics():
        if report.scales[name].is_share:
            data += [_point(model, name) for model in report.models if name in model.total.metrics]
    data = [row for row in data if row["mean"] is not None]
    if not data:
        return None
    here = {"y": {"field": "metric", "type": "nominal", "title": None, "sort": None}, **_offset(report)}
    share: Row = {
        "type": "quantitative",
        "scale": {"domain": [0, 1]},
        "axis": {"format": ".0%", "title": None, "tickCount": 5},
    }
    layers = [
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.55},
            "encoding": {**here, "x": {"field": "low", **share}, "x2": {"field": "high"}, "color": _colour(report)},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 64, "opacity": 1},
            "encoding": {**here, "x": {"field": "mean", **share}, "color": _colour(report)},
        },
    ]
    rows = tuple((r["metric"], r["model"], r["shown"], r["range"], str(r["n"])) for r in data)
    return Chart(
        id="quality",
        title="Checks met",
        note="Mean over sequences; the line is its 95 % interval, drawn from five sequences on.",
        alternative="Share of checks met. " + "; ".join(f"{r['metric']}, {r['model']}: {r['shown']}" for r in data),
        spec={**_frame(data, height={"step": max(12, 26 // len(report.models) + 6)}), "layer": layers},
        columns=("check", "model", "mean", "95 % interval", "sequences"),
        rows=rows,
    )


def _tags(report: RunReport) -> Chart | None:
    name = report.headline
    if name is None or not report.tags or not report.scales[name].is_share:
        return None
    data: list[Row] = []
    for model in report.models:
        for tag in report.tags:
            value = model.by_tag[tag].metrics.get(name) if tag in model.by_tag else None
            share = value.mean if value else None
            data.append({"model": model.name, "tag": tag, "share": share, "shown": fmt.percent(share)})
    if all(row["share"] is None for row in data):
        return None
    place = {
        "x": {
            "field": "model",
            "type": "nominal",
            "title": None,
            "sort": None,
            "axis": {"labelAngle": 0, "orient": "top", "labelLimit": 90},
        },
        "y": {"field": "tag", "type": "nominal", "title": None, "sort": None},
    }
    strength = {
        "field": "share",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "range": [0.06, 0.9]},
        "legend": None,
    }
    layers = [
        {"mark": {"type": "rect", "fill": "var(--s1)"}, "encoding": {**place, "fillOpacity": strength}},
        {
            "mark": {"type": "text", "fontSize": 11},
            "encoding": {
                **place,
                "text": {"field": "shown"},
                "color": {
                    "condition": {"test": "datum.share > 0.55", "value": "var(--on-fill)"},
                    "value": "var(--ink)",
                },
            },
        },
    ]
    return Chart(
        id="tags",
        title=f"{name} by tag",
        note="Darker is more; a dash where there is nothing to score.",
        alternative=f"{name} by tag. " + "; ".join(f"{r['tag']}, {r['model']}: {r['shown']}" for r in data),
        spec={**_frame(data, height={"step": 24}), "layer": layers},
        columns=("tag", "model", name),
        rows=tuple((r["tag"], r["model"], r["shown"]) for r in data),
    )


def _speed(report: RunReport) -> Chart | None:
    data: list[Row] = []
    for model in report.models:
        probe = model.resources.probe
        for kind, value in (
            ("probe, one at a time", probe.decode_tokens_per_s if probe else None),
            (f"probe, {probe.slots} at once" if probe else "", probe.all_slots_decode_tokens_per_s if probe else None),
            ("this run, all together", model.total.speed.total_tokens_per_s),
        ):
            if value is not None:
                data.append({"model": model.name, "kind": kind, "rate": value, "shown": fmt.number(value)})
    if not data:
        return None
    place = {"y": {"field": "kind", "type": "nominal", "title": None, "sort": None}, **_offset(report)}
    rate = {"field": "rate", "type": "quantitative", "axis": {"title": None, "tickCount": 4}}
    layers = [
        {"mark": {"type": "bar"}, "encoding": {**place, "x": rate, "color": _colour(report)}},
        {
            "mark": {"type": "text", "align": "left", "dx": 4, "fontSize": 10, "color": "var(--muted)"},
            "encoding": {**place, "x": rate, "text": {"field": "shown"}},
        },
    ]
    return Chart(
        id="speed",
        title="Tokens per second",
        note="Generated tokens per second. The probe is the same fixed work for every model.",
        alternative="Tokens per second. " + "; ".join(f"{r['model']}, {r['kind']}: {r['shown']}" for r in data),
        spec={**_frame(data, height={"step": 17}), "layer": layers},
        columns=("measured as", "model", "tokens/s"),
        rows=tuple((r["kind"], r["model"], r["shown"]) for r in data),
    )


def _latency(report: RunReport) -> Chart | None:
    data: list[Row] = []
    for model in report.models:
        speed = model.total.speed
        pairs = (
            ("first token", speed.first_token_p50_s, speed.first_token_p95_s),
            ("whole reply", speed.latency_p50_s, speed.latency_p95_s),
        )
        data += [
            {
                "model": model.name,
                "what": what,
                "p50": p50,
                "p95": p95,
                "shown": fmt.seconds(p50),
                "late": fmt.seconds(p95),
            }
            for what, p50, p95 in pairs
            if p50 is not None
        ]
    if not data:
        return None
    place = {"y": {"field": "what", "type": "nominal", "title": None, "sort": None}, **_offset(report)}
    scale: Row = {"type": "quantitative", "axis": {"title": "seconds", "tickCount": 5}}
    layers = [
        {
            "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.55},
            "encoding": {**place, "x": {"field": "p50", **scale}, "x2": {"field": "p95"}, "color": _colour(report)},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 64, "opacity": 1},
            "encoding": {**place, "x": {"field": "p50", **scale}, "color": _colour(report)},
        },
        {
            "mark": {"type": "tick", "thickness": 2, "size": 10},
            "encoding": {**place, "x": {"field": "p95", **scale}, "color": _colour(report)},
        },
    ]
    return Chart(
        id="latency",
        title="Waiting",
        note="From submission: the dot is the median, the end of the line the 95th percentile.",
        alternative="Waiting times. "
        + "; ".join(f"{r['model']}, {r['what']}: median {r['shown']}, 95th percentile {r['late']}" for r in data),
        spec={**_frame(data, height={"step": 20}), "layer": layers},
        columns=("until", "model", "median", "95th percentile"),
        rows=tuple((r["what"], r["model"], r["shown"], r["late"]) for r in data),
    )


def _length(report: RunReport) -> Chart | None:
    data: list[Row] = []
    for model in report.models:
        for turn, group in model.by_turn.items():
            words = group.metrics.get("words")
            if words is not None and words.mean is not None:
                empty = group.counts.empty
                data.append(
                    {
                        "model": model.name,
                        "turn": turn + 1,
                        "words": words.mean,
                        "shown": fmt.number(words.mean),
                        "empty": str(empty),
                    }
                )
    if len({row["turn"] for row in data}) < 2:
        return None
    place = {
        "x": {"field": "turn", "type": "ordinal", "axis": {"title": "turn", "labelAngle": 0}},
        "y": {"field": "words", "type": "quantitative", "axis": {"title": None, "tickCount": 4}},
        "color": _colour(report),
    }
    layers = [
        {"mark": {"type": "line", "strokeWidth": 2}, "encoding": place},
        {"mark": {"type": "point", "filled": True, "size": 48, "opacity": 1}, "encoding": place},
    ]
    return Chart(
        id="length",
        title="Words per reply, turn by turn",
        note="Mean over sequences, empty replies counted as 0; a fall to 0 is a model that stops answering.",
        alternative="Words per reply. " + "; ".join(f"{r['model']}, turn {r['turn']}: {r['shown']}" for r in data),
        spec={**_frame(data, height=170), "layer": layers},
        columns=("model", "turn", "words", "empty replies"),
        rows=tuple((r["model"], str(r["turn"]), r["shown"], r["empty"]) for r in data),
    )


def _point(model: ModelReport, name: str) -> Row:
    value = model.total.metrics[name]
    low, high = (value.interval.low, value.interval.high) if value.interval else (None, None)
    return {
        "model": model.name,
        "metric": name,
        "mean": value.mean,
        "low": low,
        "high": high,
        "n": value.n,
        "shown": fmt.percent(value.mean),
        "range": f"{fmt.percent(low)} to {fmt.percent(high)}" if value.interval else "under five sequences",
    }


def _colour(report: RunReport) -> Row:
    names = [model.name for model in report.models]
    colours = [f"var(--s{at % SERIES + 1})" for at in range(len(names))]
    return {"field": "model", "type": "nominal", "scale": {"domain": names, "range": colours}, "legend": None}


def _offset(report: RunReport) -> Row:
    names = [model.name for model in report.models]
    return {"yOffset": {"field": "model", "type": "nominal", "scale": {"domain": names}}} if len(names) > 1 else {}


def _frame(data: Sequence[Row], height: Any) -> Row:
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
        "width": PLOT_WIDTH,
        "height": height,
        "background": None,
        "padding": 4,
        "data": {"values": list(data)},
        "config": {
            "font": "system-ui, sans-serif",
            "view": {"stroke": None},
            "axis": {**axis, **lines, "labelLimit": 130},
            "axisY": {"grid": False, "minExtent": 96},
        },
    }
