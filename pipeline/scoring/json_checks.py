"""Checks of replies that should be JSON. Pure.

Schemas come from suites, which are data: no remote `$ref`, and patterns run under a deadline.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import regex

from nightjar.pipeline.scores import Score, passed, unscored
from nightjar.pipeline.scoring.scorer import Context, ScoreFunction
from nightjar.pipeline.scoring.text_checks import REGEX_DEADLINE_S, compile_pattern


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


DECODER = json.JSONDecoder(parse_constant=_refuse)
_FENCED = regex.compile(r"\A\s*```[A-Za-z0-9_-]*[ \t]*\n(.*?)\n?[ \t]*```\s*\Z", regex.DOTALL)


def is_json(value: Any) -> ScoreFunction:
    """`true`: the reply is JSON, alone or in one fenced code block; `strict`: with nothing around it."""
    if value is not True and value != "strict":
        raise ValueError(f"json takes true or strict, not {value!r}.")

    def check(context: Context) -> Score:
        try:
            reply_json(context.reply, fenced=value is True)
        except ValueError as error:
            return passed(False, reason=str(error))
        return passed(True)

    return check


def json_schema(value: Any) -> ScoreFunction:
    """The reply is JSON (alone or in one fenced code block) that the JSON Schema accepts."""
    validator = schema_validator(value)

    def check(context: Context) -> Score:
        try:
            data = reply_json(context.reply, fenced=True)
        except ValueError as error:
            return passed(False, reason=str(error))
        try:
            first = next(iter(validator.iter_errors(data)), None)
        except TimeoutError:
            return unscored(f"a pattern of the schema took longer than {REGEX_DEADLINE_S:g} s on this reply")
        return passed(first is None, reason=f"{first.json_path}: {first.message}"[:300] if first else None)

    return check


def reply_json(reply: str, *, fenced: bool) -> Any:
    """The JSON of a reply. Raises ValueError that says where it stops being JSON; NaN and Infinity are not."""
    block = _FENCED.match(reply) if fenced else None
    try:
        return DECODER.decode(block.group(1) if block else reply)
    except RecursionError:
        raise ValueError("not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


def schema_validator(schema: Any) -> Any:
    """A validator without remote references whose patterns have a deadline. Raises ValueError."""
    from jsonschema import SchemaError, validators
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    if not isinstance(schema, dict):
        raise ValueError(f"json_schema takes a JSON Schema (an object), not {schema!r}.")
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
    guarded = validators.extend(base, {"pattern": _pattern})  # type: ignore[no-untyped-call]  # jsonschema ships no types
    return guarded(schema, registry=Registry())  # an empty registry fetches nothing


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
