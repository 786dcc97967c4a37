"""Numbers, times and names as pages write them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from urllib.parse import quote, urlencode

from nightjar.config.errors import UsageError
from nightjar.pipeline.report.data.numbers import ABSENT, whole
from nightjar.pipeline.report.page.grid import Cell, Table, columns_of

Queried = str | int | tuple[str, ...] | None


def path_to(*parts: str, **query: Queried) -> str:
    """A path of ours; what is None is left out of the query, of several values each is named."""
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def run_address(name: str, *parts: str, **query: Queried) -> str:
    """A page of a run."""
    return path_to("runs", name, *parts, **query)


def moment(at: datetime | None) -> str:
    return ABSENT if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ABSENT
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {left:02} s"


def whole_number(value: float | None) -> str:
    return whole(None if value is None else round(value))


def file_size(count: int | None) -> str:
    return ABSENT if count is None else f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def setting_value(value: object) -> str:
    """A setting as it is typed. 1 and 0 are numbers, though Python takes them for True and False."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def read_number(field: str, text: str) -> int:
    """A number that somebody typed. Raises UsageError."""
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"{field} is {text!r}: give a whole number.")
    return int(text)


def read_amount(field: str, text: str) -> float:
    """A number with or without a point that somebody typed. Raises UsageError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{field} is {text!r}: give a number, such as 0.05.")
    return value


def linked(text: str, href: str, note: str = "") -> Cell:
    """A cell that leads to a page."""
    return Cell(text=text, file=href, note=note)


def made_table(name: str, columns: Iterable[str], rows: Iterable[Iterable[Cell | str]]) -> Table | None:
    """A table of cells and plain texts; None where it has no row. A column "name>" holds numbers."""
    made = tuple(tuple(cell if isinstance(cell, Cell) else Cell(text=cell) for cell in row) for row in rows)
    return Table(id=name, columns=columns_of(columns), rows=made) if made else None
