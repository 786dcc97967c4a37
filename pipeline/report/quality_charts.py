"""Charts of what was written: checks met, results by tag, length by turn. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.report import format as fmt
from pipeline.report.chart import Chart, Row, colour, frame, offset
from pipeline.report.data import ModelReport, RunReport
from pipeline.report.metric import Metric
from pipeline.scoring.scorer import Scale

MOST_ROWS = 40
"""A heat map with more rows says less than its table."""


def quality(report: RunReport) -> Chart | None:
    """Every metric that is a share of passes, with its interval."""
    data: list[Row] = []
    for name in report.quality_metrics():
        if report.scales[name].is_share:
            data += [_point(model, name) for model in report.models if name in model.total.metrics]
    data = [row for row in data if row["mean"] is not None]
    if not data:
        return None
    here = {"y": {"field": "metric", "type": "nominal", "title": None, "sort": None}, **offset(report)}
    share: Row = {
        "type": "quantitative",
        "scale": {"domain": [0, 1]},
        "axis": {"format": ".0%", "title": None, "tickCount": 5},
    }
    layers = [
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.55},
            "encoding": {**here, "x": {"field": "low", **share}, "x2": {"field": "high"}, "color": colour(report)},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 64, "opacity": 1},
            "encoding": {**here, "x": {"field": "mean", **share}, "color": colour(report)},
        },
    ]
    rows = tuple((r["metric"], r["model"], r["shown"], r["range"], str(r["n"])) for r in data)
    return Chart(
        id="quality",
        title="Checks met",
        note="Mean over sequences; the line is its 95 % interval, drawn from five sequences on.",
        alternative="Share of checks met. " + "; ".join(f"{r['metric']}, {r['model']}: {r['shown']}" for r in data),
        spec={**frame(data, height={"step": max(12, 26 // len(report.models) + 6)}), "layer": layers},
        columns=("check", "model", "mean", "95 % interval", "sequences"),
        rows=rows,
    )


def tags(report: RunReport) -> Chart | None:
    """Heat map of the headline metric, tag x model; nothing for a single model, whose table says as much."""
    name = report.headline
    if name is None or len(report.models) < 2:
        return None
    cells = [
        (tag, model.name, model.by_tag[tag].metrics.get(name) if tag in model.by_tag else None)
        for model in report.models
        for tag in report.tags
    ]
    return _heat("tags", f"{name} by tag", "tag", cells, dict.fromkeys(report.tags, report.scales[name]))


def criteria(report: RunReport) -> Chart | None:
    """Heat map of metrics in points (a judge's criteria), criterion x model."""
    scales = {name: report.scales[name] for name in report.quality_metrics() if not report.scales[name].is_share}
    cells = [(name, model.name, model.total.metrics.get(name)) for model in report.models for name in scales]
    return _heat("criteria", "What the judges gave", "criterion", cells, scales)


def _heat(
    name: str, title: str, what: str, cells: Sequence[tuple[str, str, Metric | None]], scales: Mapping[str, Scale]
) -> Chart | None:
    """Rows x models; the strength of a cell is where its mean lies between the scale's worst and best."""
    data: list[Row] = []
    for row, model, metric in cells:
        shown = fmt.metric(metric, scales[row])
        data.append({"row": row, "model": model, "strength": _strength(metric, scales[row]), "shown": shown})
    if all(one["strength"] is None for one in data) or len(scales) > MOST_ROWS:
        return None
    place = {
        "x": {
            "field": "model",
            "type": "nominal",
            "title": None,
            "sort": None,
            "axis": {"labelAngle": 0, "orient": "top", "labelLimit": 90},
        },
        "y": {"field": "row", "type": "nominal", "title": None, "sort": None},
    }
    opacity = {"domain": [0, 1], "range": [0.06, 0.9]}
    fill = {"field": "strength", "type": "quantitative", "scale": opacity, "legend": None}
    dark = {"test": "datum.strength > 0.55", "value": "var(--on-fill)"}
    layers = [
        {"mark": {"type": "rect", "fill": "var(--s1)"}, "encoding": {**place, "fillOpacity": fill}},
        {
            "mark": {"type": "text", "fontSize": 11},
            "encoding": {**place, "text": {"field": "shown"}, "color": {"condition": dark, "value": "var(--ink)"}},
        },
    ]
    return Chart(
        id=name,
        title=title,
        note="Darker is better; a dash where there is nothing to score.",
        alternative=f"{title}. " + "; ".join(f"{one['row']}, {one['model']}: {one['shown']}" for one in data),
        spec={**frame(data, height={"step": 24}), "layer": layers},
        columns=(what, "model", "mean"),
        rows=tuple((one["row"], one["model"], one["shown"]) for one in data),
    )


def _strength(metric: Metric | None, scale: Scale) -> float | None:
    if metric is None or metric.mean is None or scale.worst is None or scale.best is None:
        return None
    return (metric.mean - scale.worst) / (scale.best - scale.worst)


def length(report: RunReport) -> Chart | None:
    """Words per reply by turn."""
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
        "color": colour(report),
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
        spec={**frame(data, height=170), "layer": layers},
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
