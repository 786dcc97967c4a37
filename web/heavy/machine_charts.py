"""Charts of machines over time: a line a machine or card; where nothing is known there is a gap, never a zero. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import fmean

from nightjar.jobs.machines.machine_documents import CardReading, MachineReading
from nightjar.pipeline.report.page.chart import Axis, Chart, ChartKind, Point

BUCKETS = 144
"""At most so many values a line."""
GIB = 2**30
SERIES = 8
"""Lines of a chart; more would share colours."""
_Values = dict[str, dict[int, list[float]]]
"""Line -> bucket -> what was measured in it."""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """What one chart shows. `read`: of a card, or of a machine where `gpu` is false."""

    id: str
    title: str
    note: str
    show: Callable[[float], str]
    of_card: Callable[[CardReading], float | None] | None = None
    of_machine: Callable[[MachineReading], float | None] | None = None
    axis: Axis = field(default_factory=Axis)


def _gib(count: int | None) -> float | None:
    return None if count is None else count / GIB


QUANTITIES = (
    Quantity(
        id="gpu-use",
        title="GPU use",
        note="Share of the time that the card computed.",
        show=lambda value: f"{100 * value:.0f} %",
        of_card=lambda card: card.use,
        axis=Axis(share=True, low=0, high=1),
    ),
    Quantity(
        id="gpu-memory",
        title="GPU memory, GiB",
        note="Used by all of its processes.",
        show=lambda value: f"{value:.1f}",
        of_card=lambda card: _gib(card.memory_used_bytes),
        axis=Axis(low=0),
    ),
    Quantity(
        id="gpu-temperature",
        title="GPU temperature, °C",
        note="As the card says it.",
        show=lambda value: f"{value:.0f}",
        of_card=lambda card: card.temperature_c,
    ),
    Quantity(
        id="gpu-power",
        title="GPU power, W",
        note="As the card says it.",
        show=lambda value: f"{value:.0f}",
        of_card=lambda card: card.power_w,
        axis=Axis(low=0),
    ),
    Quantity(
        id="memory",
        title="Memory, GiB",
        note="Of the machine, not free to use.",
        show=lambda value: f"{value:.1f}",
        of_machine=lambda machine: _gib(machine.memory_used_bytes),
        axis=Axis(low=0),
    ),
    Quantity(
        id="disk",
        title="Disk, GiB",
        note="Used, where Nightjar's home is.",
        show=lambda value: f"{value:.1f}",
        of_machine=lambda machine: _gib(machine.disk_used_bytes),
        axis=Axis(low=0),
    ),
)


def machine_charts(readings: Sequence[MachineReading], *, now: datetime, span: timedelta) -> tuple[Chart, ...]:
    """Those of which anything is known."""
    made = (_chart(quantity, readings, now, span) for quantity in QUANTITIES)
    return tuple(chart for chart in made if chart is not None)


def _chart(quantity: Quantity, readings: Sequence[MachineReading], now: datetime, span: timedelta) -> Chart | None:
    width = max(span / BUCKETS, timedelta(minutes=1))
    begin, count = now - span, round(span / width)
    lines: _Values = defaultdict(lambda: defaultdict(list))
    for reading in readings:
        bucket = int((reading.at - begin) / width)
        if 0 <= bucket <= count:
            for line, value in _values(quantity, reading):
                lines[line][bucket].append(value)
    names = sorted(lines)[:SERIES]
    if not names:
        return None
    spoken = "; ".join(f"{name}: {_in_words(lines[name], quantity.show)}" for name in names)
    more = f" {len(lines) - SERIES} more are left out." if len(lines) > SERIES else ""
    return Chart(
        id=f"machine-{quantity.id}",
        title=quantity.title,
        note=quantity.note + more,
        alternative=f"{quantity.title}. {spoken}",
        kind=ChartKind.CLOCK,
        series=tuple(names),
        x=Axis(label="%H:%M" if span <= timedelta(days=1) else "%d %b"),
        y=quantity.axis,
        points=tuple(point for name in names for point in _points(name, lines[name], begin, width, count)),
        columns=("machine", "lowest>", "mean>", "highest>", "last>"),
        rows=tuple((name, *_row(lines[name], quantity.show)) for name in names),
    )


def _values(quantity: Quantity, reading: MachineReading) -> list[tuple[str, float]]:
    if quantity.of_machine is not None:
        value = quantity.of_machine(reading)
        return [] if value is None else [(reading.host, value)]
    assert quantity.of_card is not None
    cards = [(f"{reading.host}, GPU {card.index}", quantity.of_card(card)) for card in reading.gpus]
    return [(name, value) for name, value in cards if value is not None]


def _points(name: str, buckets: dict[int, list[float]], begin: datetime, width: timedelta, count: int) -> list[Point]:
    """One a bucket, also for those of which nothing is known: they are the gaps, and keep the whole span in sight."""
    return [
        Point(
            series=name,
            x=f"{begin + bucket * width:%Y-%m-%dT%H:%M:%SZ}",
            y=fmean(buckets[bucket]) if bucket in buckets else None,
        )
        for bucket in range(count + 1)
    ]


def _row(buckets: dict[int, list[float]], show: Callable[[float], str]) -> tuple[str, ...]:
    values = [value for bucket in sorted(buckets) for value in buckets[bucket]]
    return show(min(values)), show(fmean(values)), show(max(values)), show(values[-1])


def _in_words(buckets: dict[int, list[float]], show: Callable[[float], str]) -> str:
    lowest, mean, highest, last = _row(buckets, show)
    return f"between {lowest} and {highest}, {mean} on average, {last} last"
