"""Charts of the replies: checks met, how values spread, length by turn. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.speed import percentile
from nightjar.pipeline.report.page.chart import Axis, Chart, ChartKind, Point
from nightjar.pipeline.scores import Scale

BINS = 10


def quality_chart(report: RunReport) -> Chart | None:
    """Every metric that is a share of passes, with its interval."""
    points: list[Point] = []
    rows = []
    for name in report.quality_metrics():
        if not report.scales[name].is_share:
            continue
        for model in report.models:
            value = model.total.metrics.get(name)
            if value is None or value.mean is None:
                continue
            low, high = (value.interval.low, value.interval.high) if value.interval else (None, None)
            shown = fmt.percent(value.mean)
            within = f"{fmt.percent(low)} to {fmt.percent(high)}" if value.interval else "fewer than five sequences"
            points.append(Point(series=model.name, x=value.mean, y=name, low=low, high=high, shown=shown))
            rows.append((name, model.name, shown, within, str(value.n)))
    if not points:
        return None
    return Chart(
        id="quality",
        title="Checks met",
        note="Mean over sequences; the line is its 95 % interval, given from five sequences on.",
        alternative="Share of checks met. "
        + "; ".join(f"{point.y}, {point.series}: {point.shown}" for point in points),
        kind=ChartKind.DOTS,
        series=tuple(model.name for model in report.models),
        x=Axis(share=True, low=0, high=1),
        y=Axis(),
        points=tuple(points),
        columns=("check", "model", "mean", "95 % interval", "sequences"),
        rows=tuple(rows),
    )


def distribution(report: RunReport) -> Chart | None:
    """Histogram of the sequences' values of the headline metric, model by model."""
    name = report.headline_of_parts
    if name is None:
        return None
    scale = report.scales[name]
    values = {model.name: _sequence_values(model, name) for model in report.models}
    every = [value for of_model in values.values() for value in of_model]
    if len(report.sequences) < 2 or not every:
        return None
    ends = [end for end in (scale.worst, scale.best) if end is not None] or every
    low, high = min(ends), max(ends)
    points: list[Point] = []
    for model, of_model in values.items():
        for at, count in enumerate(_binned(of_model, low, high)):
            left, right = (low + (high - low) * edge / BINS for edge in (at, at + 1))
            shown = f"{fmt.metric_value(left, scale)}{fmt.TO}{fmt.metric_value(right, scale)}"
            points.append(Point(series=model, low=left, high=right, y=count, shown=shown))
    return Chart(
        id="distribution",
        title=f"{name}, sequence by sequence",
        note="Number of sequences by value, after averaging over turns and repeats.",
        alternative=f"{name} of sequences. "
        + "; ".join(f"{model}: {_five(of_model, scale)}" for model, of_model in values.items() if of_model),
        kind=ChartKind.HISTOGRAM,
        series=tuple(model.name for model in report.models),
        x=Axis(share=scale.unit in ("pass", "share"), low=low, high=high),
        y=Axis(),
        points=tuple(points),
        columns=("model", "value", "sequences"),
        rows=tuple((point.series, point.shown, str(point.y)) for point in points if point.y),
    )


def length(report: RunReport) -> Chart | None:
    """Words per reply by turn."""
    points: list[Point] = []
    rows = []
    for model in report.models:
        for turn, group in model.by_turn.items():
            words = group.metrics.get("words")
            if words is not None and words.mean is not None:
                shown = fmt.number(words.mean)
                points.append(Point(series=model.name, x=turn + 1, y=words.mean, shown=shown))
                rows.append((model.name, str(turn + 1), shown, str(group.counts.empty)))
    if len({point.x for point in points}) < 2:
        return None
    return Chart(
        id="length",
        title="Words per reply, turn by turn",
        note="Mean over sequences; empty replies count as 0. A drop to 0 means that the model stopped answering.",
        alternative="Words per reply. "
        + "; ".join(f"{point.series}, turn {point.x}: {point.shown}" for point in points),
        kind=ChartKind.LINES,
        series=tuple(model.name for model in report.models),
        x=Axis(label="turn"),
        y=Axis(),
        points=tuple(points),
        columns=("model", "turn", "words", "empty replies"),
        rows=tuple(rows),
    )


def _sequence_values(model: ModelReport, name: str) -> list[float]:
    metrics = (group.metrics.get(name) for group in model.by_sequence.values())
    return [metric.mean for metric in metrics if metric is not None and metric.mean is not None]


def _binned(values: Sequence[float], low: float, high: float) -> list[int]:
    """Counts in BINS equal parts; the highest value belongs to the last."""
    counts = [0] * BINS
    for value in values:
        share = (value - low) / (high - low) if high > low else 0.0
        counts[min(max(int(share * BINS), 0), BINS - 1)] += 1
    return counts


def _five(values: Sequence[float], scale: Scale) -> str:
    q = [fmt.metric_value(percentile(values, percent), scale) for percent in (0, 25, 50, 75, 100)]
    return f"minimum {q[0]}, first quartile {q[1]}, median {q[2]}, third quartile {q[3]}, maximum {q[4]}"
