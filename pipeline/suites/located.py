"""Data read from a file, with the line of every field, so that errors can name the place. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from nightjar.config.errors import SuiteError, suggest
from nightjar.config.surrogates import has_surrogate
from nightjar.pipeline.suites.right_words import right_field

Path = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)

MAX_DEPTH = 40
"""Levels of nesting that a file may have."""
LONGEST_MESSAGE = 1_000
ERRORS_SHOWN = 50
_INT64 = 2**63


class UnsupportedError(SuiteError):
    """What another tool would do with its file and Nightjar can't; `--skip-unsupported` leaves it out."""


@dataclass(kw_only=True)
class Gathered:
    """What is wrong with a file and, where `skipping`, what was left out of it: all of it, not only the first."""

    skipping: bool = False
    errors: list[SuiteError] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @contextmanager
    def part(self) -> Iterator[None]:
        """Around the reading of one part of the file: after an error in it the others are read all the same."""
        try:
            yield
        except UnsupportedError as error:
            if self.skipping:
                self.left_out += [str(error)] if str(error) not in self.left_out else []
            else:
                self.errors.append(error)
        except SuiteError as error:
            self.errors.append(error)

    def check(self) -> None:
        """Raises SuiteError that names every error that was met, if there is one, in the order of their lines."""
        in_order = sorted(self.errors, key=lambda error: error.line or 0)
        messages = list(dict.fromkeys(str(error) for error in in_order))
        if len(messages) == 1:
            raise self.errors[0]
        if messages:
            more = [f"and {len(messages) - ERRORS_SHOWN} more"] if len(messages) > ERRORS_SHOWN else []
            raise SuiteError("\n  ".join([f"{len(messages)} errors:", *messages[:ERRORS_SHOWN], *more]))


@dataclass(frozen=True, kw_only=True)
class Located:
    """Plain data and, by path, the line (from 1) where each field or item begins."""

    file: str
    data: Any
    lines: Mapping[Path, int] = field(default_factory=dict)
    gathered: Gathered = field(default_factory=Gathered, compare=False)
    names: Mapping[str, str] = field(default_factory=dict)
    """What the file itself calls a field that is read under another name."""
    place: Path = ()
    """Where the data lies in its file, where it is a part of it."""

    def line(self, path: Path) -> int | None:
        """Line of the nearest known field at or above a path."""
        path = (*self.place, *path)
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def error(self, path: Path, message: str) -> SuiteError:
        """The error to raise for a field: it names file, line, field and what is wrong."""
        steps = (*self.place, *path)
        shown = tuple(self.names.get(step, step) if isinstance(step, str) else step for step in steps)
        return suite_error(self.file, self.line(path), message, shown)

    def unsupported(self, path: Path, message: str) -> UnsupportedError:
        """The error to raise for what another tool would do and Nightjar can't."""
        error = self.error(path, message)
        return UnsupportedError(str(error), line=error.line)

    def inside(self, path: Path) -> Located:
        """The data at a path as a source of its own, whose errors name its place in the file."""
        return replace(self, data=self.at(path), place=(*self.place, *path))

    def validate(self, model: type[M], path: Path = ()) -> M:
        """The data at `path` as a model. Raises SuiteError that names every invalid field."""
        try:
            return model.model_validate(self.at(path))
        except ValidationError as error:
            problems = Gathered(errors=[self.error(path + where, text) for where, text in field_errors(error, model)])
            problems.check()
            raise

    def at(self, path: Path) -> Any:
        """The data at a path, which must exist."""
        data = self.data
        for step in path:
            data = data[step]
        return data


def check_some(source: Located, sequences: Collection[object]) -> None:
    """Raises SuiteError that says so where everything in the file was left out."""
    if not sequences:
        left_out = "\n  ".join(source.gathered.left_out[:ERRORS_SHOWN])
        raise source.error((), f"nothing is left of it, since all of it was left out:\n  {left_out}")


def suite_error(file: str, line: int | None, message: str, path: Path = ()) -> SuiteError:
    """The error to raise: file, line and field, then the message, cut to LONGEST_MESSAGE characters."""
    where = ", ".join(
        [file] + ([] if line is None else [f"line {line}"]) + ([f"field {dotted_path(path)}"] if path else [])
    )
    if len(message) > LONGEST_MESSAGE:  # it quotes the file, which may contain anything
        message = f"{message[:LONGEST_MESSAGE]} ..."
    return SuiteError(f"{where}: {message}", line=line)


def dotted_path(path: Path) -> str:
    """`sequences[0].turns[1].prompt`; items count from 0, as in JSON paths."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def field_errors(error: ValidationError, model: type[BaseModel]) -> list[tuple[Path, str]]:
    """Where each field is wrong and what is. A field is not missing where it is there under another name."""
    details = error.errors(include_url=False)
    wheres = [tuple(step for step in detail["loc"] if step != "[key]") for detail in details]
    renamed = {
        (*where[:-1], right)
        for detail, where in zip(details, wheres, strict=True)
        if detail["type"] == "extra_forbidden" and (right := right_field(str(where[-1]))[0]) is not None
    }
    return [
        (where, describe_error(dict(detail), model))
        for detail, where in zip(details, wheres, strict=True)
        if detail["type"] != "missing" or where not in renamed
    ]


def describe_error(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    """A pydantic error in terms that a suite's author understands."""
    kind, message = error["type"], str(error["msg"])
    match kind:
        case "extra_forbidden":
            return "there is no such field. " + _instead(str(error["loc"][-1]), model)
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
    if isinstance(value, str) and has_surrogate(value):
        return "the text holds half of a surrogate pair, which is no character."
    return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _instead(name: str, model: type[BaseModel]) -> str:
    if advice := right_field(name)[1]:
        return advice
    near = suggest(name, _fields_of(model))
    return near if near.startswith("Did you mean") else "Check its spelling and its indentation."


@cache  # a schema takes 20 ms and more, and a file may be wrong in a thousand places
def _fields_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Names of all fields of a model and of those in it."""
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return tuple(field for part in parts for field in part.get("properties", {}))
