"""Charts of speed: quality against speed and size, tokens per second, waiting. Pure."""

from __future__ import annotations

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page.chart import Axis, Chart, ChartKind, Point


def tradeoff(report: RunReport) -> Chart | None:
    """The headline metric against speed; the size of a point is the size of the model's file. Speeds are all of one
    kind: the probe's where every model has one of the same kind, else those of this run's turns."""
    name = report.headline
    if name is None or len(report.models) < 2:
        return None
    scale = report.scales[name]
    points: list[Point] = []
    rows = []
    probed = len({probe.kind if (probe := model.resources.probe) else None for model in report.models}) == 1
    for model in report.models:
        metric, probe = model.total.metrics.get(name), model.resources.probe if probed else None
        file = model.input.facts.file if model.input.facts else None
        rate = probe.decode_tokens_per_s if probe else model.total.speed.decode_tokens_per_s
        if metric is None or metric.mean is None or rate is None:
            continue
        within, shown = metric.interval, fmt.metric(metric, scale)
        low, high = (within.low, within.high) if within else (metric.mean, metric.mean)
        size = file.file_bytes if file else 0
        points.append(Point(series=model.name, x=rate, y=metric.mean, low=low, high=high, size=size, shown=shown))
        fast = fmt.number(rate) + ("" if probe else " (this run)")
        rows.append((model.name, shown, fast, fmt.size(file.file_bytes) if file else "not known"))
    if len(points) < 2:
        return None
    share = scale.unit in ("pass", "share")
    return Chart(
        id="tradeoff",
        title=f"{name} against speed and size",
        note="Up is better, right is faster; the larger the dot, the larger the file. Lines are 95 % intervals.",
        alternative=f"{name} against speed and size. "
        + "; ".join(f"{model}: {shown} at {fast} {fmt.PER_CONVERSATION}, {file}" for model, shown, fast, file in rows),
        kind=ChartKind.SCATTER,
        series=tuple(model.name for model in report.models),
        x=Axis(label="tokens per second per conversation"),
        y=Axis(share=share, low=scale.worst if share else None, high=scale.best if share else None),
        points=tuple(points),
        columns=("model", name, fmt.PER_CONVERSATION, "file"),
        rows=tuple(rows),
    )


def speed(report: RunReport) -> Chart | None:
    """Generated tokens per second: the probe, and this run."""
    points: list[Point] = []
    for model in report.models:
        probe = model.resources.probe
        for kind, value in (
            ("probe, one conversation", probe.decode_tokens_per_s if probe else None),
            (f"probe, {probe.slots} in total" if probe else "", probe.all_slots_decode_tokens_per_s if probe else None),
            ("this run, in total", model.total.speed.total_tokens_per_s),
        ):
            if value is not None:
                points.append(Point(series=model.name, x=value, y=kind, shown=fmt.number(value)))
    if not points:
        return None
    return Chart(
        id="speed",
        title="Tokens per second",
        note="Of one conversation, and in total of all that run at once. The probe is one conversation by itself, or "
        "several with little context.",
        alternative="Tokens per second. " + "; ".join(f"{point.series}, {point.y}: {point.shown}" for point in points),
        kind=ChartKind.BARS,
        series=tuple(model.name for model in report.models),
        x=Axis(),
        y=Axis(),
        points=tuple(points),
        columns=("measured as", "model", "tokens/s"),
        rows=tuple((str(point.y), point.series, point.shown) for point in points),
    )


def latency(report: RunReport) -> Chart | None:
    """Median and 95th percentile until the first token and the whole reply."""
    points: list[Point] = []
    rows = []
    for model in report.models:
        speed = model.total.speed
        for what, p50, p95 in (
            ("first token", speed.first_token_p50_s, speed.first_token_p95_s),
            ("whole reply", speed.latency_p50_s, speed.latency_p95_s),
        ):
            if p50 is not None:
                points.append(Point(series=model.name, x=p50, high=p95, y=what, shown=fmt.seconds(p50)))
                rows.append((what, model.name, fmt.seconds(p50), fmt.seconds(p95)))
    if not points:
        return None
    return Chart(
        id="latency",
        title="Waiting times",
        note="From submission: the dot is the median, the end of the line is the 95th percentile.",
        alternative="Waiting times. "
        + "; ".join(f"{model}, {what}: median {p50}, 95th percentile {p95}" for what, model, p50, p95 in rows),
        kind=ChartKind.SPANS,
        series=tuple(model.name for model in report.models),
        x=Axis(label="seconds"),
        y=Axis(),
        points=tuple(points),
        columns=("until", "model", "median", "95th percentile"),
        rows=tuple(rows),
    )
