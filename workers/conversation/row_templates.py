"""Renders the templates of a benchmark's task with the rows of its data, metered as chat templates are. Pure.

White space and missing names are treated as lm-evaluation-harness treats them, and so are texts that print a list.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2

from nightjar.workers.conversation.template_meter import MAX_OBJECT, LimitError, Meter
from nightjar.workers.conversation.template_sandbox import Sandbox

_Cell = dict[str, Any]
"""`text`, and `items` where it prints a list; or `error`: why there is no text."""
KEPT = 50
_NO_DATE = datetime(1970, 1, 1)  # noqa: DTZ001 - tasks are given no date
_LONGEST_ERROR = 300


class RowTemplates:
    """Renders in this process. Not for two threads at once."""

    def __init__(self) -> None:
        self._sandbox = Sandbox(_NO_DATE, verbatim=True)
        self._compiled = lru_cache(maxsize=KEPT)(self._sandbox.from_string)

    def cells(self, templates: Mapping[str, str], rows: list[Mapping[str, Any]]) -> list[dict[str, _Cell]]:
        """What each template makes of each row, by the template's name."""
        sized = [(row, len(json.dumps(row))) for row in rows]
        return [
            {name: self._cell(source, row, characters) for name, source in templates.items()}
            for row, characters in sized
        ]

    def _cell(self, source: str, row: Mapping[str, Any], characters: int) -> _Cell:
        try:
            text = self._text(source, row, characters)
            return {"text": text} | _listed(text)
        except (jinja2.TemplateSyntaxError, SyntaxError) as error:
            return {"error": f"the template does not compile (its line {error.lineno}): {_words(error)}"}
        except Exception as error:  # whatever is raised here is the template's fault, or the row's
            return {"error": _words(error)}

    def _text(self, source: str, row: Mapping[str, Any], characters: int) -> str:
        template = self._compiled(source)
        self._sandbox.meter = Meter(0, characters)
        parts: list[str] = []
        total = 0
        for part in template.generate(row):
            parts.append(part)
            total += len(part)
            if total > MAX_OBJECT:
                raise LimitError(f"it writes more than {MAX_OBJECT:,} characters")
        return "".join(parts)


def _listed(text: str) -> _Cell:
    """The items of a list that the text prints, where they are what JSON can hold."""
    if len(text) < 2 or text[0] != "[" or text[-1] != "]":
        return {}
    try:
        items = ast.literal_eval(text)
        json.dumps(items)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return {}
    return {"items": items}


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return text[:_LONGEST_ERROR] if text else type(error).__name__
