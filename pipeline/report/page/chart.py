"""What a chart is, and what all charts of a report share. Pure.

Specifications are Vega-Lite. Colours are CSS variables of the page (`--s1` ... for models, `--ink`, `--muted`,
`--line`), so that one drawing serves light, dark and print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page.tables import SERIES

PLOT_WIDTH = 250
WIDE = 310
"""Of a plot whose rows have no names beside them; both come out about as wide."""
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart: what to draw, what to say to those who do not see it, and its numbers as a table."""

    id: str
    title: str
    note: str
    """What is drawn, in one sentence."""
    alternative: str
    """The message in words, with the numbers."""
    spec: Mapping[str, Any]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def colour(report: RunReport) -> Row:
    """A colour for each model, without a legend: the page has one."""
    names = [model.name for model in report.models]
    colours = [f"var(--s{at % SERIES + 1})" for at in range(len(names))]
    return {"field": "model", "type": "nominal", "scale": {"domain": names, "range": colours}, "legend": None}


def offset(report: RunReport) -> Row:
    """Models of one row lie under one another."""
    names = [model.name for model in report.models]
    return {"yOffset": {"field": "model", "type": "nominal", "scale": {"domain": names}}} if len(names) > 1 else {}


def frame(data: Sequence[Row], height: Any, width: int = PLOT_WIDTH) -> Row:
    """A specification without its layers."""
    axis = {"labelColor": "var(--muted)", "titleColor": "var(--muted)", "labelFontSize": 11, "titleFontSize": 11}
    lines = {
        "gridColor": "var(--line)",
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
        "titleFontWeight": "normal",
    }
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": width,
        "height": height,
        "background": None,
        "padding": 4,
        "data": {"values": list(data)},
        "config": {
            "font": "system-ui, sans-serif",
            "view": {"stroke": None},
            "axis": {**axis, **lines, "labelLimit": 110},
            "axisY": {"grid": False},
        },
    }
