"""What a chart means: its kind, axes, series and points. Pure; `vega_lite` turns it into a specification to draw."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ChartKind(StrEnum):
    """What a point says, kind by kind."""

    DOTS = "dots"
    """`x`: a value of category `y`, with its interval `low` to `high`."""
    BARS = "bars"
    """`x`: a value of category `y`, written at the end of its bar as `shown`."""
    SPANS = "spans"
    """From `x` to `high`, of category `y`."""
    SCATTER = "scatter"
    """`x` and `y` are values; `low` to `high` is the interval of `y`, `size` a third value."""
    HISTOGRAM = "histogram"
    """`y`: how many values lie from `low` to `high`; a plot of its own for each series."""
    LINES = "lines"
    """`y`: a value at step `x`."""
    COURSE = "course"
    """`y`: a value at position `x` in time, in the band `low` to `high`; `Chart.ticks` names the positions."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    label: str | None = None
    """What it measures and its unit; None where the chart's title says it."""
    share: bool = False
    """Its values are shares, to be shown as percentages."""
    low: float | None = None
    """Where it begins; None: where the values do."""
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Point:
    """A value of one series; `ChartKind` says what the fields hold."""

    series: str
    x: float | str | None = None
    y: float | str | None = None
    low: float | None = None
    high: float | None = None
    size: float | None = None
    shown: str = ""
    """The value as text."""


@dataclass(frozen=True, kw_only=True)
class ChartMark:
    """A numbered line at a position of the x axis: something changed there."""

    at: int
    number: int


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart: what it shows, what to say to those who do not see it, and its numbers as a table."""

    id: str
    title: str
    note: str
    """What is drawn, in one sentence."""
    alternative: str
    """The message in words, with the numbers."""
    kind: ChartKind
    series: tuple[str, ...]
    """Names in the order of their colours, also of those without a point."""
    x: Axis
    y: Axis
    points: tuple[Point, ...]
    ticks: tuple[str, ...] = ()
    """Names of the positions 0, 1, ... of the x axis."""
    marks: tuple[ChartMark, ...] = ()
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
