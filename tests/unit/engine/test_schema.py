"""Which JSON Schemas are accepted, and which are refused with the place. That replies hold to them is shown in
`tests/integration/engine/test_schemas_hold.py`."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightjar.config.errors import ParameterError
from nightjar.workers.engine.grammar.schema import enforceable
from tests.schema_cases import ACCEPTED, REFUSED, SCHEMAS


@pytest.mark.parametrize("schema", ACCEPTED)
def test_accepted(schema: dict[str, Any]) -> None:
    enforceable(schema)


@pytest.mark.parametrize(("schema", "place"), REFUSED)
def test_what_cannot_be_enforced_is_refused_with_its_place(schema: dict[str, Any], place: str) -> None:
    with pytest.raises(ParameterError, match=place):
        enforceable(schema)


CLOSED = {"additionalProperties": False}
A, B = {"a": {"type": "null"}}, {"b": {"type": "null"}}


@pytest.mark.parametrize(
    ("schema", "read"),
    [
        ({"title": "T", "type": "string", "description": "d"}, {"type": "string"}),  # annotations are left out
        ({"minLength": 3}, {"type": "string", "minLength": 3}),  # keywords mean their type
        ({"minLength": 3, "minItems": 3}, {"minLength": 3, "minItems": 3}),  # of several types: any
        ({"properties": A}, {"type": "object", "properties": A, **CLOSED}),  # no word on others: none
        (
            {"properties": A, "additionalProperties": True},
            {"type": "object", "properties": A, "additionalProperties": {}},
        ),
        ({"type": "object"}, {"type": "object"}),
        (
            {"allOf": [{"properties": A}, {"properties": B}], "type": "object"},  # closed together, not each
            {
                "type": "object",
                "allOf": [
                    {"allOf": [{"properties": A}, {"properties": B}]},
                    {"properties": {"a": {}, "b": {}}, **CLOSED},
                ],
            },
        ),
        (
            {"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}}}},
            {
                "$ref": "#/$defs/0",
                "$defs": {"0": {"type": "object", "properties": {"n": {"$ref": "#/$defs/0"}}, **CLOSED}},
            },
        ),
        ({"oneOf": [{"type": "null"}, {"type": "boolean"}]}, {"anyOf": [{"type": "null"}, {"type": "boolean"}]}),
        ({"prefixItems": [{"type": "null"}]}, {"type": "array", "prefixItems": [{"type": "null"}], "items": False}),
        (
            {"type": "number", "minimum": 0},  # a number comes to an end
            {"type": "number", "minimum": 0, "maximum": 10**15 - 1, "multipleOf": 1e-9},
        ),
        ({"pattern": "b$"}, {"type": "string", "pattern": "^((?s:.*)b)$"}),
        ({"type": "integer", "enum": [1, "x", True, 2.0, 2.5]}, {"type": "integer", "enum": [1, 2.0]}),
    ],
)
def test_what_llguidance_is_to_read(schema: dict[str, Any], read: dict[str, Any]) -> None:
    assert enforceable(schema) == read


JUNK = st.one_of(
    st.sampled_from([None, True, 0, -1, 2.5, 10**20, "", "a", [], {}, [1, {"a": None}]]),
    st.sampled_from([float("nan"), "#", "#/$defs/leaf", ["a", 3], {"$ref": "#"}, "\ud800", 10**400]),
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a value."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else range(len(value))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@settings(max_examples=200, deadline=None)
@given(schema=SCHEMAS, junk=st.lists(st.tuples(st.integers(0, 10**6), JUNK), min_size=1, max_size=3))
def test_malformed_schemas_are_refused_or_read(schema: Any, junk: list[tuple[int, Any]]) -> None:
    whole: dict[str, Any] = copy.deepcopy({"anyOf": [schema], "$defs": {"leaf": {"type": "null"}}})
    for number, value in junk:
        found = places(whole)
        if found:
            container, key = found[number % len(found)]
            container[key] = copy.deepcopy(value)
    with contextlib.suppress(ParameterError):
        json.dumps(enforceable(whole))
