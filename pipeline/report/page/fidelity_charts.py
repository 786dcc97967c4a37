"""The charts of fidelity: divergence against size, and along the context. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from nightjar.pipeline.report.data import fidelity_words as words
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.fidelity import FidelityResult
from nightjar.pipeline.report.data.fidelity_numbers import FidelityNumbers, Stretch
from nightjar.pipeline.report.page.chart import Axis, Chart, ChartKind, Point

UNITS = (("GiB", 2**30), ("MiB", 2**20))
"""Of sizes: the first of which the largest file has one."""


def fidelity_charts(result: FidelityResult, labels: Sequence[str] | None = None) -> tuple[Chart, ...]:
    """Those that there is something to draw for. `labels`: in the order of their colours; else the loads' own."""
    conversations = result.material.kind == "run"  # a text's windows begin with an empty context
    made = (
        _size_chart(result),
        _along(result, "position", "tokens of the window or reply before it", lambda numbers: numbers.by_position),
        _along(result, "depth", "tokens of context before it", lambda numbers: numbers.by_depth)
        if conversations
        else None,
    )
    series = tuple(labels or [row.label for row in result.rows])
    return tuple(replace(chart, series=series) for chart in made if chart is not None)


def _size_chart(result: FidelityResult) -> Chart | None:
    """The Pareto picture: the lower and the further left, the better."""
    points, rows = [], []
    largest = max(row.costs.file_bytes for row in result.rows)
    unit, of = next((pair for pair in UNITS if largest >= pair[1]), UNITS[-1])
    for row in result.rows:
        kld = row.numbers.kld if row.numbers is not None else None
        value = kld.value if kld is not None else 0.0
        low, high = (kld.interval.low, kld.interval.high) if kld is not None and kld.interval else (value, value)
        shown, size = words.nats(value), fmt.size(row.costs.file_bytes)
        points.append(
            Point(series=row.label, x=row.costs.file_bytes / of, y=value, low=low, high=high, size=1, shown=shown)
        )
        rows.append((row.label, shown, size, "on the front" if row.on_front else ""))
    if len({point.x for point in points}) < 2:
        return None
    return Chart(
        id="size",
        title="Divergence against size",
        note="Lower is more faithful, further left is smaller. Lines are 95 % intervals over texts.",
        alternative="Divergence in nats against the file's size. "
        + "; ".join(f"{label}: {shown} at {size}{f', {front}' if front else ''}" for label, shown, size, front in rows),
        kind=ChartKind.SCATTER,
        series=(),
        x=Axis(label=unit),
        y=Axis(),
        points=tuple(points),
        columns=("load", "divergence", "file", "front"),
        rows=tuple(rows),
    )


def _along(
    result: FidelityResult, name: str, what: str, of: Callable[[FidelityNumbers], tuple[Stretch, ...]]
) -> Chart | None:
    lows = {stretch.low: stretch for row in result.candidates if row.numbers is not None for stretch in of(row.numbers)}
    ticks = [words.stretch_words(lows[low]) for low in sorted(lows)]
    points, rows = [], []
    for row in result.candidates:
        for stretch in of(row.numbers) if row.numbers is not None else ():
            label, shown = words.stretch_words(stretch), words.nats(stretch.kld.value)
            value, interval = stretch.kld.value, stretch.kld.interval
            low, high = (interval.low, interval.high) if interval is not None else (value, value)
            points.append(Point(series=row.label, x=ticks.index(label), y=value, low=low, high=high, shown=shown))
            rows.append((label, row.label, shown))
    if len({point.x for point in points}) < 2:
        return None
    return Chart(
        id=name,
        title=f"Divergence by {name}",
        note=f"Mean divergence in nats, by how many {what} a token has.",
        alternative=f"Divergence by {name}. " + "; ".join(f"{load}, {at}: {shown}" for at, load, shown in rows),
        kind=ChartKind.COURSE,
        series=(),
        x=Axis(),
        y=Axis(),
        points=tuple(points),
        ticks=tuple(ticks),
        columns=("tokens before", "load", "divergence"),
        rows=tuple(rows),
    )
