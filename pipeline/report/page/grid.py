"""Tables as templates show them: cells, columns, rows. Pure, and cheap to import."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SERIES = 8
"""The number of colours for models; a ninth model takes the first again."""
HEATS = 10
"""The number of steps of a heat map, from worst (0) to best."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell. `note` is shown small under the text: an interval, a unit, or why the cell is empty."""

    text: str
    note: str = ""
    title: str = ""
    series: int | None = None
    """Number of the model whose colour marks the cell, from 1."""
    link: str | None = None
    """Address of the transcripts behind the number (`links.show`), or id of an element of the page."""
    file: str | None = None
    """Address of a file beside the page, or of another page."""
    heat: int | None = None
    """Where the value lies between worst and best, 0 to HEATS: colours the cell."""
    alert: bool = False
    mark: str = ""
    """"better" or "worse" if that is significant."""


@dataclass(frozen=True, kw_only=True)
class Column:
    title: str
    numeric: bool


@dataclass(frozen=True, kw_only=True)
class Table:
    """The first column names the row."""

    id: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def columns_of(names: Iterable[str]) -> tuple[Column, ...]:
    """Columns whose name ends in ">" hold numbers."""
    return tuple(Column(title=name.removesuffix(">"), numeric=name.endswith(">")) for name in names)


def text_table(name: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """A table of plain texts."""
    return Table(
        id=name, columns=columns_of(columns), rows=tuple(tuple(Cell(text=text) for text in row) for row in rows)
    )
