"""What a task's fields are for a row of its data: a field of the row, a template's text, or a given value. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nightjar.config.errors import SuiteError, TemplateError
from nightjar.pipeline.suites.harness.task_file import TaskFile
from nightjar.pipeline.suites.located import Path

HarnessRow = Mapping[str, Any]
HarnessRows = Sequence[HarnessRow]


class RowRenderer(Protocol):
    """Renders templates with rows, in a sandbox with limits."""

    def cells(self, templates: Mapping[str, str], rows: HarnessRows) -> list[dict[str, dict[str, Any]]]:
        """For each row, by the template's name: `text`, and `items` where it prints a list; or `error`.

        Raises TemplateError where nothing is known of any row.
        """


@dataclass(frozen=True, kw_only=True)
class TaskField:
    """A field that the rows fill, such as `doc_to_text`. `value`: a text (a row's field or a template), or what it is
    for every row."""

    path: Path
    value: Any


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A field's value for one row. `text`: as a template wrote it; then `items` is the list that it prints."""

    value: Any
    items: list[Any] | None = None
    templated: bool = False


def filled(
    task: TaskFile, fields: Mapping[str, TaskField], rows: HarnessRows, features: frozenset[str], renderer: RowRenderer
) -> list[dict[str, Filled]]:
    """For each row, each field's value. `features`: what the asked rows have: a text that is one of them names it.

    Raises SuiteError for a row that a template cannot be rendered with.
    """
    templates = {
        name: field.value
        for name, field in fields.items()
        if isinstance(field.value, str) and field.value not in features
    }
    try:
        cells = renderer.cells(templates, rows) if templates else [{} for _ in rows]
    except TemplateError as error:
        raise task.error((), str(error)) from None
    return [
        {name: _value(task, field, row, number, features, cell.get(name)) for name, field in fields.items()}
        for number, (row, cell) in enumerate(zip(rows, cells, strict=True))
    ]


def _value(
    task: TaskFile,
    field: TaskField,
    row: HarnessRow,
    number: int,
    features: frozenset[str],
    cell: dict[str, Any] | None,
) -> Filled:
    if cell is not None and "error" in cell:
        raise row_problem(task, field.path, number, f"cannot be rendered: {cell['error']}. It has {_fields(row)}")
    if cell is not None:
        return Filled(value=cell["text"], items=cell.get("items"), templated=True)
    if isinstance(field.value, str) and field.value in features:
        if field.value not in row:
            raise row_problem(task, field.path, number, f"has no {field.value!r}. It has {_fields(row)}")
        return Filled(value=row[field.value])
    return Filled(value=field.value)


def _fields(row: HarnessRow) -> str:
    return f"the fields {', '.join(list(row)[:20])}."


def row_problem(task: TaskFile, path: Path, number: int, words: str) -> SuiteError:
    """The error to raise for a row, counted from 0, whose value is not one that the task can have."""
    return task.error(path, f"row {number} of the data {words}")
