"""Schemas that would never end: refused where they enter, or stopped where they meet a reply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nightjar.config.errors import ParameterError
from nightjar.jobs.parameters import check
from nightjar.jobs.schema_bounds import MOST_ENUM, check_schema_bounds
from nightjar.pipeline.scoring.json_checks import json_schema
from nightjar.pipeline.scoring.scorer import Context


def context(reply: str) -> Context:
    return Context(prompt="p", reply=reply)


def doubled(levels: int, keyword: str = "allOf") -> dict[str, Any]:
    """Each definition applies the one before twice."""
    defs: dict[str, Any] = {"d0": {"type": "object"}}
    for level in range(1, levels + 1):
        defs[f"d{level}"] = {keyword: [{"$ref": f"#/$defs/d{level - 1}"}] * 2}
    return {"$defs": defs, "$ref": f"#/$defs/d{levels}"}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


def chained(levels: int) -> dict[str, Any]:
    return {"$defs": {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(levels)}, "$ref": "#/$defs/d0"}


BY_ANCHOR = {
    "$defs": {
        f"d{n}": {"$anchor": f"a{n}", **({"anyOf": [{"$ref": f"#a{n - 1}"}] * 2} if n else {})} for n in range(25)
    },
    "$ref": "#a24",
}
TOO_MUCH = [
    (doubled(24), "applies more than 5,000 schemas to one value.*Write each alternative once"),
    (doubled(24, "anyOf"), "applies more than 5,000"),
    (doubled(24, "oneOf"), "applies more than 5,000"),
    (BY_ANCHOR, "applies more than 5,000"),
    ({"properties": {"a": {"$ref": "#/$defs/d24"}}, "$defs": doubled(24)["$defs"]}, "applies more than 5,000"),
    ({"dependentSchemas": {"a": {"$ref": "#"}}}, "refers to itself for the same value"),
    ({"$ref": "#"}, "refers to itself for the same value"),
    ({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}}, "refers to itself"),
    (nested(200), "levels deep"),
    (nested(5_000), "levels deep"),
    (chained(400), "in a row"),
    ({"enum": list(range(MOST_ENUM + 1))}, r"\$\.enum has 5,001 values"),
    ({"properties": {f"p{n}": {} for n in range(30_000)}}, "more than 20,000 parts"),
]


@pytest.mark.parametrize(("schema", "said"), TOO_MUCH)
def test_what_is_refused_where_it_enters(schema: dict[str, Any], said: str) -> None:
    """As a check of a suite, and as a generation parameter."""
    with pytest.raises(ValueError, match=said):
        json_schema(schema)
    with pytest.raises(ParameterError, match=said) as caught:
        check({"json_schema": schema}, "suite")
    assert len(str(caught.value)) < 700


ORDINARY = [
    doubled(8),
    {"$defs": {"tree": {"properties": {"left": {"$ref": "#/$defs/tree"}, "right": {"$ref": "#/$defs/tree"}}}}},
    {"anyOf": [{"$ref": "#/$defs/x"}] * 300, "$defs": {"x": {"allOf": [{"type": "object"}, {"minProperties": 0}]}}},
    nested(40),
    {"enum": list(range(MOST_ENUM))},
    {"properties": {"enum": {"type": "array"}, "allOf": {"type": "string"}, "$ref": {"type": "string"}}},
]


@pytest.mark.parametrize("schema", ORDINARY)
def test_what_people_write_is_not(schema: dict[str, Any]) -> None:
    check_schema_bounds(schema)
    check({"json_schema": schema}, "suite")


TREE = {"$defs": {"t": {"properties": {"a": {"allOf": [{"$ref": "#/$defs/t"}] * 2}}}}, "$ref": "#/$defs/t"}


def test_what_doubles_with_each_level_of_a_reply_is_stopped_there() -> None:
    """No score, with the reason; the next reply is checked as if nothing had been."""
    look = json_schema(TREE)
    bomb = look(context('{"a": ' * 60 + "{}" + "}" * 60))
    assert bomb.value is None
    assert bomb.reason == "the schema takes more than 1,000,000 steps on this reply"
    assert look(context('{"a": {"a": {}}}')).value == 1


def test_items_compared_with_one_another_count() -> None:
    look = json_schema({"uniqueItems": True})
    many = look(context(json.dumps([{"n": n} for n in range(3_000)])))
    assert many.reason == "the schema takes more than 1,000,000 steps on this reply"
    assert look(context(json.dumps([{"n": n} for n in range(300)]))).value == 1
    assert look(context("[1, 1]")).value == 0
