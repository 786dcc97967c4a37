"""promptfoo's assertions as Nightjar's checks, if there is one that means the same. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from nightjar.jobs.placeholders import written
from nightjar.jobs.sequences import Expectation
from nightjar.pipeline.scoring.installed import validate_check
from nightjar.pipeline.suites.located import Located, Path

_Check = tuple[str, Any]


def _texts(value: Any) -> list[str]:
    """A list of texts; promptfoo also accepts one text with commas."""
    given = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return [_text(item).strip() for item in given]


def as_promptfoo_writes(value: Any) -> Any:
    """A value of YAML as JavaScript has it: 1.0 is 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(value: Any) -> str:
    """A value as JavaScript writes it: true, not True."""
    return written(as_promptfoo_writes(value))


def _json(value: Any) -> _Check:
    return ("json_schema", value) if isinstance(value, Mapping) else ("json", "strict")


MAPPED: dict[str, Callable[[Any], _Check]] = {
    "equals": lambda value: ("equals", {"all": _text(value), "case": True}),
    "contains": lambda value: ("includes", {"all": _text(value), "case": True}),
    "icontains": lambda value: ("includes", _text(value)),
    "contains-all": lambda value: ("includes", {"all": _texts(value), "case": True}),
    "contains-any": lambda value: ("includes", {"any": _texts(value), "case": True}),
    "icontains-all": lambda value: ("includes", _texts(value)),
    "icontains-any": lambda value: ("includes", {"any": _texts(value)}),
    "not-contains": lambda value: ("excludes", {"all": _text(value), "case": True}),
    "not-icontains": lambda value: ("excludes", _text(value)),
    "not-contains-any": lambda value: ("excludes", {"all": _texts(value), "case": True}),
    "not-icontains-any": lambda value: ("excludes", _texts(value)),
    "regex": lambda value: ("regex", _text(value)),
    "not-regex": lambda value: ("regex", rf"\A(?![\s\S]*(?:{_text(value)}))"),
    "starts-with": lambda value: ("regex", rf"\A{re.escape(_text(value))}"),
    "is-json": _json,
}
"""promptfoo's type -> our check and its argument."""
_WANT_NO_VALUE = ("is-json",)


def read_assertion(source: Located, path: Path, data: Any) -> list[Expectation]:
    """The expectation for one assertion. Raises SuiteError if it has no equivalent."""
    if not isinstance(data, Mapping) or not isinstance(data.get("type"), str):
        raise source.error(path, "an assertion is a mapping with a type and a value.")
    kind, value = data["type"], data.get("value")
    if kind not in MAPPED:
        raise source.unsupported(
            (*path, "type"),
            f"promptfoo's assertion {kind!r} has no equivalent: Nightjar runs no code from suites and asks no model "
            f"for a check. It can use {', '.join(MAPPED)}.",
        )
    for key in data:
        if key not in ("type", "value", "description", "metric"):
            raise source.unsupported((*path, key), f"promptfoo's {key!r} of an assertion cannot be used: remove it.")
    if kind not in _WANT_NO_VALUE and (value is None or isinstance(value, Mapping)):
        raise source.error((*path, "value"), f"{kind} needs a value: a text, a number or a list of texts.")
    if isinstance(value, str) and value.startswith("file://"):
        raise source.unsupported((*path, "value"), "a value must be written here, not in a separate file.")
    check, argument = MAPPED[kind](value)
    try:
        validate_check(check, argument)
    except ValueError as error:
        raise source.error((*path, "value"), str(error)) from None
    return [Expectation(check=check, value=argument)]
