"""Whether a JSON Schema accepts a value, within bounds. Pure.

Schemas come from suites, which are data: no remote `$ref`, patterns run under a deadline, a schema may not look too
often at one value (`jobs/schema_bounds.py`), and a check takes a bounded number of steps whatever the value is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import regex

from nightjar.jobs.schema_bounds import check_schema_bounds
from nightjar.pipeline.scoring.text_checks import REGEX_DEADLINE_S, compile_pattern

MOST_STEPS = 1_000_000
"""Keywords looked at in one check (a second or two); an ordinary reply takes a few hundred."""


class UndecidedError(Exception):
    """The check was stopped; the message says why, as the reason of a score that is missing."""


class SchemaCheck:
    """A compiled schema. Raises ValueError for one that is invalid or out of bounds."""

    def __init__(self, schema: Any) -> None:
        self._steps = _Steps()
        self._validator = _validator(schema, self._steps)

    def refusal(self, data: Any) -> str | None:
        """Where and why the schema refuses the value; None if it accepts it. Raises UndecidedError."""
        self._steps.left = MOST_STEPS
        try:
            first = next(iter(self._validator.iter_errors(data)), None)
        except TimeoutError:
            raise UndecidedError(
                f"a pattern of the schema took longer than {REGEX_DEADLINE_S:g} s on this reply"
            ) from None
        except RecursionError:
            raise UndecidedError("the reply is nested too deeply for the schema") from None
        return f"{first.json_path}: {first.message}"[:300] if first else None


class _Steps(threading.local):
    """The steps that the check under way may still take; each thread has its own."""

    left = MOST_STEPS

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise UndecidedError(f"the schema takes more than {MOST_STEPS:,} steps on this reply")


def check_json_schema(schema: Any) -> None:
    """Raises ValueError for what is no JSON Schema, too large a one, or one that cannot be checked in bounded steps."""
    _validator(schema, _Steps())


def _validator(schema: Any, steps: _Steps) -> Any:
    from jsonschema import SchemaError, validators
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    if not isinstance(schema, dict):
        raise ValueError(f"json_schema takes a JSON Schema (an object), not {schema!r}.")
    check_schema_bounds(schema)
    for path, key, value in _keywords(schema):
        if key in ("$ref", "$dynamicRef") and isinstance(value, str) and not value.startswith("#"):
            raise ValueError(f"{path} refers to {value!r}; only references inside the schema (#/...) are allowed.")
        if key == "patternProperties":
            raise ValueError(f"{path} uses patternProperties; use propertyNames with a pattern instead.")
        if key == "pattern" and isinstance(value, str):
            compile_pattern(value)
    base = validators.validator_for(schema, default=validators.Draft202012Validator)
    try:
        base.check_schema(schema)
    except (SchemaError, Unresolvable, RecursionError) as error:
        message = error.message if isinstance(error, SchemaError) else str(error)
        raise ValueError(f"not a JSON Schema: {message}.") from None
    keywords = {**base.VALIDATORS, "pattern": _pattern}
    counted = {name: _counted(name, keyword, steps) for name, keyword in keywords.items()}
    guarded = validators.extend(base, counted)  # type: ignore[no-untyped-call]  # jsonschema ships no types
    return guarded(schema, registry=Registry())  # an empty registry fetches nothing


def _counted(name: str, keyword: Callable[..., Any], steps: _Steps) -> Callable[..., Any]:
    """A keyword that takes a step for itself and for each of its parts, and more where it compares all items."""

    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        steps.take(1 + (len(value) if isinstance(value, list | dict) else 0))
        if name == "uniqueItems" and isinstance(instance, list):
            steps.take(len(instance) ** 2 // 2)
        return keyword(validator, value, instance, schema)

    return counted


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and regex.search(pattern, instance, timeout=REGEX_DEADLINE_S) is None:
        yield ValidationError(f"{instance[:80]!r} does not match {pattern!r}")


def _keywords(node: Any, path: str = "$") -> Iterator[tuple[str, str, Any]]:
    """Every (path, key, value) of the schema; a property named like a keyword is treated as that keyword."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ()
    for key, value in items:
        below = f"{path}.{key}"
        yield below, str(key), value
        yield from _keywords(value, below)
