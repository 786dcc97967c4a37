"""Which JSON Schemas a grammar can enforce in full; whole-number ranges become lists of their values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.errors import ParameterError

LARGEST_RANGE = 1001
"""Values of a whole-number range that are listed one by one."""
_ENFORCED = frozenset(
    "type properties required additionalProperties items prefixItems minItems maxItems minLength maxLength "
    "enum const anyOf oneOf allOf $ref $defs definitions pattern format minimum maximum".split()
)
_ANNOTATIONS = frozenset("title description default examples $schema $id $comment deprecated readOnly".split())


def enforceable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema in a form that a grammar can enforce. Raises ParameterError with the place where it cannot be."""
    return _checked(schema, "")


def _checked(schema: Any, place: str) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        raise _refused(place, f"is {schema!r}, not an object")
    for key in schema:
        if key not in _ENFORCED and key not in _ANNOTATIONS:
            raise _refused(f"{place}/{key}", "is a keyword that a grammar cannot enforce")
    if "minimum" in schema or "maximum" in schema:
        return {"enum": _range(schema, place)}
    return {key: _inside(key, value, f"{place}/{key}") for key, value in schema.items() if key not in _ANNOTATIONS}


def _inside(key: str, value: Any, place: str) -> Any:
    """A keyword's value with the schemas in it checked."""
    if key in ("properties", "$defs", "definitions"):
        return {name: _checked(inner, f"{place}/{name}") for name, inner in value.items()}
    if key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        return [_checked(inner, f"{place}/{number}") for number, inner in enumerate(value)]
    if key == "items" or (key == "additionalProperties" and isinstance(value, Mapping)):
        return _checked(value, place)
    return value


def _range(schema: Mapping[str, Any], place: str) -> list[int]:
    """The values of a whole-number range."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if schema.get("type") != "integer" or not isinstance(low, int) or not isinstance(high, int):
        raise _refused(place, "has a minimum or maximum; only whole numbers (type integer) with both can be enforced")
    if not 0 <= high - low < LARGEST_RANGE:
        raise _refused(place, f"spans {low} to {high}; at most {LARGEST_RANGE} values can be enforced")
    return list(range(low, high + 1))


def _refused(place: str, why: str) -> ParameterError:
    return ParameterError(f"Parameter 'json_schema' cannot be enforced: {place or 'the schema'} {why}.")
