"""Tables of the report, and the cells they share; an empty cell says why it is empty. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.group import Group
from nightjar.pipeline.report.data.metric import Metric
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page.grid import HEATS as HEATS
from nightjar.pipeline.report.page.grid import SERIES as SERIES
from nightjar.pipeline.report.page.grid import Cell as Cell
from nightjar.pipeline.report.page.grid import Column as Column
from nightjar.pipeline.report.page.grid import Table as Table
from nightjar.pipeline.report.page.grid import columns_of as columns_of
from nightjar.pipeline.report.page.grid import text_table as text_table
from nightjar.pipeline.scores import Scale


def name_cell(model: ModelReport, at: int, *, facts: bool = True) -> Cell:
    """A model's name in its colour, with its size and quantisation."""
    file = model.input.facts.file if model.input.facts else None
    note = f"{_billions(file.parameters)}, {file.quantisation}" if file and facts else ""
    return Cell(text=model.name, note=note, series=at % SERIES + 1)


def metric_cell(report: RunReport, group: Group, name: str, link: str | None = None, *, heat: bool = False) -> Cell:
    """A cell with a mean and its interval, or the reason why there is none."""
    value = group.metrics.get(name)
    if value is None:
        return Cell(text=fmt.ABSENT, note="nothing to score")
    if value.mean is None:
        return Cell(text=fmt.ABSENT, note=value.reason or "", alert=True, link=link)
    scale = report.scales[name]
    return Cell(
        text=fmt.metric(value, scale),
        note=fmt.interval(value.interval, scale),
        title=fmt.metric_title(value),
        link=link,
        heat=heat_of(value, scale) if heat else None,
    )


def heat_of(metric: Metric | None, scale: Scale) -> int | None:
    """The heat map step of a mean between its scale's worst and best; None for a measure."""
    if metric is None or metric.mean is None or scale.worst is None or scale.best is None:
        return None
    share = (metric.mean - scale.worst) / (scale.best - scale.worst)
    return round(min(max(share, 0.0), 1.0) * HEATS)


def count_cell(count: int, link: str | None = None, note: str = "", *, bad: bool = False) -> Cell:
    """A count, linked where there is something to see."""
    return Cell(text=fmt.whole(count), note=note, link=link if count else None, alert=bad and count > 0)


def measured(show: Callable[[float], str], value: float | None, reason: str, link: str | None = None) -> Cell:
    """A cell with a measurement, or the reason why there is none."""
    return Cell(text=fmt.ABSENT, note=reason) if value is None else Cell(text=show(value), link=link)


def with_note(cell: Cell, note: str) -> Cell:
    """The cell with another note added."""
    return replace(cell, note=f"{cell.note}; {note}" if cell.note else note) if note else cell


def _billions(parameters: int) -> str:
    return f"{fmt.number(parameters / 1e9)} B" if parameters >= 1e8 else f"{fmt.number(parameters / 1e6)} M"
