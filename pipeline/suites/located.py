"""Data read from a file, with the line of every field, so that errors can name the place. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from nightjar.config.errors import SuiteError, suggest

Path = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)

MAX_DEPTH = 40
"""Levels of nesting that a file may have."""
LONGEST_MESSAGE = 1_000
_INT64 = 2**63


@dataclass(frozen=True, kw_only=True)
class Located:
    """Plain data and, by path, the line (from 1) where each field or item begins."""

    file: str
    data: Any
    lines: Mapping[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int | None:
        """Line of the nearest known field at or above a path."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def error(self, path: Path, message: str) -> SuiteError:
        """The error to raise for a field: it names file, line, field and what is wrong."""
        return suite_error(self.file, self.line(path), message, path)

    def validate(self, model: type[M], path: Path = ()) -> M:
        """The data at `path` as a model. Raises SuiteError for the first invalid field."""
        try:
            return model.model_validate(self.at(path))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = tuple(step for step in first["loc"] if step != "[key]")
            raise self.error(path + where, describe_error(dict(first), model)) from None

    def at(self, path: Path) -> Any:
        """The data at a path, which must exist."""
        data = self.data
        for step in path:
            data = data[step]
        return data


def suite_error(file: str, line: int | None, message: str, path: Path = ()) -> SuiteError:
    """The error to raise: file, line and field, then the message, cut to LONGEST_MESSAGE characters."""
    where = ", ".join(
        [file] + ([] if line is None else [f"line {line}"]) + ([f"field {dotted_path(path)}"] if path else [])
    )
    if len(message) > LONGEST_MESSAGE:  # it quotes the file, which may contain anything
        message = f"{message[:LONGEST_MESSAGE]} ..."
    return SuiteError(f"{where}: {message}")


def dotted_path(path: Path) -> str:
    """`sequences[0].turns[1].prompt`; items count from 0, as in JSON paths."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def describe_error(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    """A pydantic error in terms that a suite's author understands."""
    kind, message = error["type"], str(error["msg"])
    match kind:
        case "extra_forbidden":
            return "there is no such field. " + _near_fields(str(error["loc"][-1]), model)
        case "missing":
            return "this field is missing."
        case "value_error":
            return message.removeprefix("Value error, ")
        case "string_too_short":
            return "the text is empty."
        case "too_short":
            return "the list is empty."
        case "string_type":
            return f"must be a text, not {_shown(error['input'])}; put it in quotes."
        case _:
            return f"{message}, not {_shown(error['input'])}."


def storable(value: Any) -> str | None:
    """Why MongoDB cannot store a number or a text; None if it can."""
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return f"the number {value} does not fit 64 bits."
    if isinstance(value, float) and not abs(value) < float("inf"):
        return f"{value} is not a number."
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        return "the text holds half of a surrogate pair, which is no character."
    return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _near_fields(name: str, model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    near = suggest(name, [field for part in parts for field in part.get("properties", {})])
    return near if near.startswith("Did you mean") else "Check its spelling and its indentation."
