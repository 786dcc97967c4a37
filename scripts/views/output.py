"""What commands print: tables for people, JSON for scripts, and never a control character of a model's making."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from nightjar.scripts.views.listing import FittingTable

PIPE_COLUMNS = 160
"""Width of what is written to a file or a pipe."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys, for scripts.")]

# C0 and C1 controls but tab and newline, and the characters that turn the direction of text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """The text without terminal controls; safe to print."""
    return _CONTROLS.sub("", text)


def console(*, stderr: bool = False) -> Console:
    """A console that takes no markup from text; wide where nobody's window limits it."""
    from rich.console import Console

    width = None if (sys.stderr if stderr else sys.stdout).isatty() else PIPE_COLUMNS
    return Console(markup=False, highlight=False, emoji=False, width=width, stderr=stderr)


def table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> FittingTable:
    """A table of plain cells that fits its window. None shows as "-"; a column "name>" is right-aligned."""
    from nightjar.scripts.views.listing import FittingTable

    cells = tuple(tuple(None if cell is None else plain(str(cell)).strip() for cell in row) for row in rows)
    heads = tuple(plain(column) for column in columns)
    return FittingTable(title=None if title is None else plain(title), columns=heads, rows=cells)


def emit_json(data: Any) -> None:
    """One JSON document on standard output; dates as ISO 8601, ASCII only."""
    json.dump(data, sys.stdout, default=_encode, indent=2)
    sys.stdout.write("\n")


def _encode(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
