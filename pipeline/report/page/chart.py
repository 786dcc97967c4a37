"""What a chart means: its kind, axes, series and points. Pure; `vega_lite` turns it into a specification to draw."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ChartKind(StrEnum):
    """What the fields of a point mean, kind by kind."""

    DOTS = "dots"
    """`x` is a value of category `y`, with its interval from `low` to `high`."""
    BARS = "bars"
    """`x` is a value of category `y`; `shown` is written at the end of its bar."""
    SPANS = "spans"
    """A span from `x` to `high` in category `y`."""
    SCATTER = "scatter"
    """`x` and `y` are values, `low` to `high` is the interval of `y`, and `size` is a third value."""
    HISTOGRAM = "histogram"
    """`y` values lie between `low` and `high`; each series has a plot of its own."""
    LINES = "lines"
    """`y` is a value at step `x`."""
    COURSE = "course"
    """`y` is a value at position `x` in time, in a band from `low` to `high`; `Chart.ticks` names the positions."""
    CLOCK = "clock"
    """`y` is a value at the moment `x` (ISO 8601, UTC); a point without `y` is a gap in its line."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    label: str | None = None
    """What it measures and its unit; None if the chart's title says so."""
    share: bool = False
    """Its values are shares, to be shown as percentages."""
    low: float | None = None
    """Where it begins; None means at the smallest value."""
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
    """A chart: what it shows, a text alternative, and its numbers as a table."""

    id: str
    title: str
    note: str
    """One sentence that says what is drawn."""
    alternative: str
    """The text alternative: the chart's message in words, with the numbers."""
    kind: ChartKind
    series: tuple[str, ...]
    """Names in the order of their colours, including series without points."""
    x: Axis
    y: Axis
    points: tuple[Point, ...]
    ticks: tuple[str, ...] = ()
    """Names of the positions 0, 1, ... of the x axis."""
    marks: tuple[ChartMark, ...] = ()
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
