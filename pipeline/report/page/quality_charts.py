"""Charts of what was written: checks met, how values spread, length by turn. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.speed import percentile
from nightjar.pipeline.report.page.chart import WIDE, Chart, Row, colour, frame, offset
from nightjar.pipeline.scores import Scale

BINS = 10


def quality_chart(report: RunReport) -> Chart | None:
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


def distribution(report: RunReport) -> Chart | None:
    """How many sequences lie where on the headline metric's scale, model by model."""
    name = report.headline
    if name is None:
        return None
    scale = report.scales[name]
    values = {model.name: _sequence_values(model, name) for model in report.models}
    every = [value for found in values.values() for value in found]
    if len(report.sequences) < 2 or not every:
        return None
    ends = [end for end in (scale.worst, scale.best) if end is not None] or every
    low, high = min(ends), max(ends)
    data: list[Row] = []
    for model, found in values.items():
        for at, count in enumerate(_binned(found, low, high)):
            left, right = (low + (high - low) * edge / BINS for edge in (at, at + 1))
            shown = f"{fmt.metric_value(left, scale)}{fmt.TO}{fmt.metric_value(right, scale)}"
            data.append({"model": model, "from": left, "to": right, "count": count, "shown": shown})
    x: Row = {"type": "quantitative", "scale": {"domain": [low, high], "nice": False}}
    axis: Row = {"title": None, "tickCount": 5, **({"format": ".0%"} if scale.unit in ("pass", "share") else {})}
    spec = {
        "facet": {
            "row": {"field": "model", "type": "nominal", "title": None, "sort": None, "header": {"labels": False}}
        },
        "spacing": 6,
        "spec": {
            "width": WIDE,
            "height": 44,
            "mark": {"type": "bar", "binSpacing": 1},
            "encoding": {
                "x": {"field": "from", "bin": {"binned": True}, **x, "axis": axis},
                "x2": {"field": "to"},
                "y": {"field": "count", "type": "quantitative", "axis": {"title": None, "tickCount": 2, "grid": True}},
                "color": colour(report),
            },
        },
    }
    framed = {key: value for key, value in frame(data, height=0).items() if key not in ("width", "height")}
    return Chart(
        id="distribution",
        title=f"{name}, sequence by sequence",
        note="How many sequences have which value; turns and repeats are averaged first.",
        alternative=f"{name} of sequences. "
        + "; ".join(f"{model}: {_five(found, scale)}" for model, found in values.items() if found),
        spec={**framed, **spec},
        columns=("model", "value", "sequences"),
        rows=tuple((one["model"], one["shown"], str(one["count"])) for one in data if one["count"]),
    )


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
        spec={**frame(data, height=170, width=WIDE), "layer": layers},
        columns=("model", "turn", "words", "empty replies"),
        rows=tuple((r["model"], str(r["turn"]), r["shown"], r["empty"]) for r in data),
    )


def _sequence_values(model: ModelReport, name: str) -> list[float]:
    found = (group.metrics.get(name) for group in model.by_sequence.values())
    return [metric.mean for metric in found if metric is not None and metric.mean is not None]


def _binned(values: Sequence[float], low: float, high: float) -> list[int]:
    """Counts in BINS equal parts; the highest value belongs to the last."""
    counts = [0] * BINS
    for value in values:
        share = (value - low) / (high - low) if high > low else 0.0
        counts[min(max(int(share * BINS), 0), BINS - 1)] += 1
    return counts


def _five(values: Sequence[float], scale: Scale) -> str:
    q = [fmt.metric_value(percentile(values, percent), scale) for percent in (0, 25, 50, 75, 100)]
    return f"least {q[0]}, quarter {q[1]}, median {q[2]}, three quarters {q[3]}, most {q[4]}"


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
