"""Charts of how fast it was written: quality against speed and size, tokens per second, waiting. Pure."""

from __future__ import annotations

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page.chart import WIDE, Chart, Row, colour, frame, offset


def tradeoff(report: RunReport) -> Chart | None:
    """The headline metric against the probe's speed, the points as large as the models' files."""
    name = report.headline
    if name is None or len(report.models) < 2:
        return None
    scale = report.scales[name]
    data: list[Row] = []
    for model in report.models:
        metric, probe = model.total.metrics.get(name), model.resources.probe
        file = model.input.facts.file if model.input.facts else None
        rate = probe.decode_tokens_per_s if probe else model.total.speed.decode_tokens_per_s
        if metric is None or metric.mean is None or rate is None:
            continue
        within = metric.interval
        data.append(
            {
                "model": model.name,
                "rate": rate,
                "mean": metric.mean,
                "low": within.low if within else metric.mean,
                "high": within.high if within else metric.mean,
                "bytes": file.file_bytes if file else 0,
                "shown": fmt.metric(metric, scale),
                "fast": fmt.number(rate) + ("" if probe else " (this run)"),
                "size": fmt.size(file.file_bytes) if file else "not known",
            }
        )
    if len(data) < 2:
        return None
    share = scale.unit in ("pass", "share")
    ends: Row = {"domain": [scale.worst, scale.best]} if share else {"zero": False}
    axis: Row = {"title": None, "tickCount": 5, **({"format": ".0%"} if share else {})}
    y: Row = {"type": "quantitative", "scale": ends, "axis": {**axis, "grid": True}}
    x: Row = {"field": "rate", "type": "quantitative", "axis": {"title": "tokens per second, one conversation"}}
    x = {**x, "scale": {"zero": True, "nice": True}}
    size = {"field": "bytes", "type": "quantitative", "scale": {"range": [60, 700], "zero": True}, "legend": None}
    layers = [
        {
            "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.55},
            "encoding": {"x": x, "y": {"field": "low", **y}, "y2": {"field": "high"}, "color": colour(report)},
        },
        {
            "mark": {"type": "point", "filled": True, "opacity": 0.85},
            "encoding": {"x": x, "y": {"field": "mean", **y}, "size": size, "color": colour(report)},
        },
    ]
    return Chart(
        id="tradeoff",
        title=f"{name} against speed and size",
        note="Up is better, right is faster; the larger the dot, the larger the file. Lines are 95 % intervals.",
        alternative=f"{name} against speed and size. "
        + "; ".join(f"{r['model']}: {r['shown']} at {r['fast']} tokens/s, {r['size']}" for r in data),
        spec={**frame(data, height=190, width=WIDE), "layer": layers},
        columns=("model", name, "tokens/s", "file"),
        rows=tuple((r["model"], r["shown"], r["fast"], r["size"]) for r in data),
    )


def speed(report: RunReport) -> Chart | None:
    """Generated tokens per second: the probe, and this run."""
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
    rows = {"field": "kind", "type": "nominal", "title": None, "sort": None, "scale": {"paddingInner": 0.3}}
    place = {"y": rows, **offset(report)}
    rate = {"field": "rate", "type": "quantitative", "axis": {"title": None, "tickCount": 4}}
    layers = [
        {"mark": {"type": "bar"}, "encoding": {**place, "x": rate, "color": colour(report)}},
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
        spec={**frame(data, height={"step": 17}), "layer": layers},
        columns=("measured as", "model", "tokens/s"),
        rows=tuple((r["kind"], r["model"], r["shown"]) for r in data),
    )


def latency(report: RunReport) -> Chart | None:
    """Median and 95th percentile until the first token and the whole reply."""
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
    place = {"y": {"field": "what", "type": "nominal", "title": None, "sort": None}, **offset(report)}
    scale: Row = {"type": "quantitative", "axis": {"title": "seconds", "tickCount": 5}}
    layers = [
        {
            "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.55},
            "encoding": {**place, "x": {"field": "p50", **scale}, "x2": {"field": "p95"}, "color": colour(report)},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 64, "opacity": 1},
            "encoding": {**place, "x": {"field": "p50", **scale}, "color": colour(report)},
        },
        {
            "mark": {"type": "tick", "thickness": 2, "size": 10},
            "encoding": {**place, "x": {"field": "p95", **scale}, "color": colour(report)},
        },
    ]
    return Chart(
        id="latency",
        title="Waiting",
        note="From submission: the dot is the median, the end of the line the 95th percentile.",
        alternative="Waiting times. "
        + "; ".join(f"{r['model']}, {r['what']}: median {r['shown']}, 95th percentile {r['late']}" for r in data),
        spec={**frame(data, height={"step": 20}), "layer": layers},
        columns=("until", "model", "median", "95th percentile"),
        rows=tuple((r["what"], r["model"], r["shown"], r["late"]) for r in data),
    )
