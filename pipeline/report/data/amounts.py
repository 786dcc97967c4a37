"""Differences formatted for people, on their scale. Pure."""

from __future__ import annotations

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.compared import Pair
from nightjar.pipeline.scores import Scale

POINTS = "\u202fpoints"


def difference(pair: Pair, scale: Scale) -> str:
    """The difference of a pair, formatted for its scale: in points for shares."""
    return amount(pair.paired.difference, scale)


def amount(value: float | None, scale: Scale) -> str:
    """A signed amount formatted for its scale: in points for shares."""
    if value is None:
        return fmt.ABSENT
    shown = f"{value * 100:+.1f}{POINTS}" if scale.unit in ("pass", "share") else f"{value:+.3g}"
    return shown.replace("-", "\u2212")


def ends_of(low: float | None, high: float | None, scale: Scale) -> str:
    """Two ends of a difference with the unit once: "-3.1 to +4.0 points"."""
    first = amount(low, scale)
    return f"{first.removesuffix(POINTS)} to {amount(high, scale)}"
