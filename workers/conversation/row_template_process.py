"""Renders a task's templates in a process of their own, which may die of them: `RowTemplateProcess`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nightjar.config.errors import TemplateError
from nightjar.config.limited_process import LimitedProcess
from nightjar.workers.conversation.template_meter import MAX_OBJECT

MEMORY_BYTES = 2**30
CPU_S = 30.0
"""Processor time of the rows that are asked for together."""
WALL_S = 120.0
ANSWER_BYTES = 16 * MAX_OBJECT
ROWS_TOGETHER = 200
CHARACTERS_TOGETHER = 1_000_000


class RowTemplateProcess:
    """A `RowRenderer` of pipeline/suites/harness/rendered.py that keeps one process until it is closed."""

    def __init__(self) -> None:
        self._process = LimitedProcess(
            "nightjar.workers.conversation.row_template_child",
            memory_bytes=MEMORY_BYTES,
            cpu_s=CPU_S,
            wall_s=WALL_S,
            answer_bytes=ANSWER_BYTES,
        )

    def __enter__(self) -> RowTemplateProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.close()

    def cells(self, templates: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, dict[str, Any]]]:
        """See `RowRenderer`. Raises TemplateError where the process ends instead of answering."""
        found: list[dict[str, dict[str, Any]]] = []
        for first, together in _batches(rows):
            answer = self._process.ask({"templates": dict(templates), "rows": together})
            if isinstance(answer, str):
                raise TemplateError(
                    f"The templates ended the process that renders them, in the rows {first} to "
                    f"{first + len(together) - 1}: {answer}. Write them more simply."
                )
            found += answer["cells"]
        return found


def _batches(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
    """(number of the first row, rows): few enough to be rendered together."""
    together: list[Mapping[str, Any]] = []
    characters = 0
    for number, row in enumerate(rows):
        together.append(row)
        characters += sum(len(str(value)) for value in row.values())
        if len(together) >= ROWS_TOGETHER or characters >= CHARACTERS_TOGETHER:
            yield number + 1 - len(together), together
            together, characters = [], 0
    if together:
        yield len(rows) - len(together), together
