"""Which JSON Schemas are enforced, and which are refused with the place."""

from __future__ import annotations

from typing import Any

import pytest

from config.errors import ParameterError
from workers.engine.schema import enforceable


def test_whole_number_ranges_become_their_values() -> None:
    schema = {"type": "object", "properties": {"score": {"type": "integer", "minimum": 1, "maximum": 4}}}
    assert enforceable(schema)["properties"]["score"] == {"enum": [1, 2, 3, 4]}


def test_annotations_are_left_out() -> None:
    assert enforceable({"title": "T", "type": "string", "description": "d"}) == {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "array", "uniqueItems": True}, "/uniqueItems"),  # no grammar can count
        ({"properties": {"a": {"not": {}}}}, "/properties/a/not"),  # nested
        ({"anyOf": [{}, {"multipleOf": 3}]}, "/anyOf/1/multipleOf"),
        ({"type": "number", "minimum": 0}, "the schema"),  # a range of fractions
        ({"type": "integer", "minimum": 0}, "the schema"),  # a range without an end
        ({"type": "integer", "minimum": 0, "maximum": 10**9}, "0 to 1000000000"),
        ({"type": "integer", "minimum": 5, "maximum": 1}, "5 to 1"),  # nothing is in it
        ({"properties": {"a": True}}, "/properties/a"),  # a schema that is no object
    ],
)
def test_what_cannot_be_enforced_is_refused(schema: dict[str, Any], place: str) -> None:
    with pytest.raises(ParameterError, match=place):
        enforceable(schema)
