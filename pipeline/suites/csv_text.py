"""CSV with a header, read with the line of every row. Pure."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import Any

from nightjar.config.counting import how_many
from nightjar.config.errors import SuiteError
from nightjar.pipeline.suites.json_text import parse_json
from nightjar.pipeline.suites.located import Located, Path, storable, suite_error


def parse_csv(text: str, file: str) -> Located:
    """A list with one mapping per row, all values as text; empty cells are left out. Raises SuiteError."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # 131,072 characters otherwise
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)  # only \n and \r end a line
    rows: list[dict[str, str]] = []
    lines: dict[Path, int] = {}
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if header is None:
                header = _header(cells, file)
            elif any(cells):
                if len(cells) > len(header):
                    raise suite_error(
                        file, line, f"{how_many(len(cells), 'cell')} in a table of {how_many(len(header), 'column')}."
                    )
                lines[len(rows),] = line
                rows.append({name: cell for name, cell in zip(header, cells, strict=False) if cell.strip()})
            line = reader.line_num + 1
    except csv.Error as error:
        raise suite_error(file, reader.line_num, f"not CSV: {error}.") from None
    if header is None:
        raise suite_error(file, None, "the file is empty.")
    return Located(file=file, data=rows, lines=lines)


def _header(cells: list[str], file: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    count = Counter(names)
    for name in names:
        if not name or "\0" in name or count[name] > 1:
            raise suite_error(file, 1, f"the header names {name!r} twice." if name else "a column has no name.")
        if problem := storable(name):
            raise suite_error(file, 1, problem)
    return names


def parse_cell(source: Located, path: Path, text: str) -> Any:
    """The value of a cell that holds JSON. Raises SuiteError with the cell's line."""
    try:
        return parse_json(text, source.file).data
    except SuiteError as error:
        raise source.error(path, f"this cell must hold JSON; {str(error).rpartition(': ')[2]}") from None
