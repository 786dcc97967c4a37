"""Which JSON Schemas are enforced, in which form, and which are refused with the place."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from nightjar.config.errors import ParameterError
from nightjar.workers.engine.grammar.gbnf import read
from nightjar.workers.engine.grammar.json_schema import grammar_of_schema
from nightjar.workers.engine.grammar.schema import enforceable

CLOSED = {"type": "object", "additionalProperties": False}
TAGGED = [{**CLOSED, "properties": {"kind": {"const": k}}, "required": ["kind"]} for k in ("a", "b")]


@pytest.mark.parametrize(
    ("schema", "plain"),
    [
        ({"title": "T", "type": "string", "description": "d"}, {"type": "string"}),  # annotations are left out
        ({"type": "integer", "minimum": 1, "maximum": 3.0}, {"enum": [1, 2, 3]}),  # ranges are their values
        ({"minimum": 1, "maximum": 2}, {"enum": [1, 2]}),  # a type is inferred
        ({"minLength": 3}, {"type": "string", "minLength": 3}),
        ({}, {}),
        ({"anyOf": [True, {"type": "null"}]}, {"anyOf": [{}, {"type": "null"}]}),
        ({"const": {"a": [1, "x"]}}, {"enum": [{"a": [1, "x"]}]}),
        ({"type": "integer", "enum": [1, "x", True, 2.0, 2.5]}, {"enum": [1, 2.0]}),  # true is no integer, 2.0 is one
        ({"type": "integer", "minimum": 1, "maximum": 10, "enum": [1, 20]}, {"enum": [1]}),
        ({"enum": ["a", "abc", 5], "minLength": 2}, {"enum": ["abc", 5]}),  # a length is of strings only
        ({"enum": [1, True, 1.0], "const": 1}, {"enum": [1]}),
        (
            {"type": ["string", "null"], "maxLength": 3},  # each type with its own keywords
            {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
        ),
        ({"type": "boolean", "maxLength": 3}, {"type": "boolean"}),  # says nothing about booleans
        ({"type": "array", "items": False}, {"type": "array", "items": {}, "minItems": 0, "maxItems": 0}),
        ({"prefixItems": [{"type": "null"}], "items": False}, {"type": "array", "prefixItems": [{"type": "null"}]}),
        (
            {"properties": {"a": True, "b": {"type": "null"}}, "required": ["b"]},  # no word on others: none
            {"type": "object", "properties": {"a": {}, "b": {"type": "null"}}, "required": ["b"]},
        ),
        ({"type": "object"}, {"type": "object", "properties": {}, "required": [], "additionalProperties": {}}),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}, "c": {"not": {}}}}, {"type": "null"}),
        ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "null"}}}, {"type": "null"}),  # as pydantic writes
        (
            {
                "allOf": [{"type": "object", "properties": {"a": {"type": "null"}}}, {"required": ["b"]}],
                "properties": {"b": {"type": "null"}},
            },
            {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}, "required": ["b"]},
        ),
        ({"oneOf": [{"type": "null"}, {"type": "number"}]}, {"anyOf": [{"type": "null"}, {"type": "number"}]}),
        ({"oneOf": [{"enum": [1, "a"]}, {"const": True}]}, {"anyOf": [{"enum": [1, "a"]}, {"enum": [True]}]}),
        ({"oneOf": TAGGED}, {"anyOf": [enforceable(branch) for branch in TAGGED]}),  # told apart by a tag
    ],
)
def test_plain_forms(schema: dict[str, Any], plain: dict[str, Any]) -> None:
    assert enforceable(schema) == plain


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        # What no grammar can do.
        ({"type": "array", "uniqueItems": True}, "/uniqueItems"),
        ({"properties": {"a": {"not": {}}}}, "/properties/a/not"),
        ({"anyOf": [{}, {"multipleOf": 3}]}, "/anyOf/1/multipleOf"),
        ({"type": "number", "minimum": 0}, "the schema has a minimum"),
        ({"type": ["null", "number"], "maximum": 0}, "the schema has a minimum or maximum"),
        ({"type": "integer", "minimum": 0}, "the schema"),
        ({"type": "integer", "minimum": 0, "maximum": 10**9}, "0 to 1000000000"),
        ({"type": "integer", "minimum": 5, "maximum": 1}, "5 to 1"),  # nothing is in it
        # Keywords that stand beside others.
        ({"type": "object", "anyOf": [{}]}, "/anyOf stands beside type"),
        ({"properties": {"a": {"$ref": "#/$defs/a", "maxLength": 2}}, "$defs": {"a": {}}}, "/properties/a/.ref stands"),
        ({"enum": [{}], "properties": {}}, "/enum stands beside properties"),
        ({"type": "string", "pattern": "^a+$", "maxLength": 3}, "maxLength and pattern"),
        ({"format": "date", "pattern": "^a+$"}, "format and pattern"),
        ({"minLength": 3, "minItems": 3}, "has no `type`"),
        (
            {"allOf": [{"properties": {"a": {}}}, {"properties": {"a": {}}}]},
            "/allOf/1/properties/a is constrained twice",
        ),
        ({"allOf": [{"additionalProperties": False}, {"properties": {"a": {}}}]}, "/allOf/0 is in an allOf"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "/oneOf has branches 0 and 1.*use anyOf"),
        ({"oneOf": [{"type": "integer"}, {"minLength": 3}]}, "/oneOf"),  # numbers are valid by the second
        ({"oneOf": [{"const": 1}, {"enum": [2, 1.0]}]}, "/oneOf"),
        ({"oneOf": [{"type": "null"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"type": ["null"]}}}, "/oneOf"),
        ({"oneOf": [TAGGED[0], {**TAGGED[1], "required": []}]}, "/oneOf"),  # the tag may be missing
        # Nothing is valid.
        ({"enum": []}, "/enum"),
        ({"type": "string", "enum": [1]}, "/enum has no value"),
        ({"type": "integer", "const": True}, "/const has no value"),
        ({"type": "string", "minLength": 5, "maxLength": 2}, "minLength 5 and maxLength 2"),
        ({"type": "array", "minItems": 5, "maxItems": 2}, "minItems 5 and maxItems 2"),
        ({"properties": {"a": False}}, "/properties/a is false"),
        ({"items": False, "minItems": 1}, "/items is false"),
        ({"prefixItems": [{}], "minItems": 2}, "/prefixItems has 1 items"),
        ({"properties": {"a": {}}, "required": ["b"]}, "/required names 'b'"),
        # References.
        ({"$ref": "#"}, "/.ref is '#'.*recursive"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "recursive"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}, {}]}}}, "recursive"),
        ({"properties": {"n": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}}, "/properties/n/anyOf/1/.ref.*recursive"),
        ({"$ref": "#/$defs/zz"}, "/.ref is '#/.defs/zz', and nothing is there"),
        ({"$ref": "https://x.y/z.json"}, "only references inside"),
        ({"$ref": ["#/a"]}, "only references inside"),
        ({"items": {"$id": "http://x.y/", "type": "null"}}, "/items/.id"),
        # Patterns and formats; more patterns are in test_gbnf.py.
        ({"pattern": "ab"}, r"/pattern is 'ab'.*begin with \^"),
        ({"pattern": "^(a|aa)*$"}, "too many ways"),
        ({"pattern": 5}, "/pattern"),
        ({"type": "string", "format": "email"}, "/format is 'email'; date"),
        ({"type": "string", "format": ["date"]}, "/format"),
        # Sizes.
        ({"type": "string", "maxLength": 2001}, "/maxLength is 2001; at most 2000"),  # llama.cpp: no limit at all
        ({"type": "array", "minItems": 10**30}, "/minItems is 10000"),
        ({"enum": list(range(5001))}, "/enum has 5001"),
        (nested(60), "deeper than 50 levels"),
        ({"const": nested(60)}, "/const has .* too deep"),
        (
            {"$defs": {f"a{n}": {"prefixItems": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(20)} | {"a20": {}}}
            | {"$ref": "#/$defs/a0"},  # a million when written out
            "beyond the 500 schemas",
        ),
        # What is no schema.
        ({"type": "string", "maxLength": "x"}, "/maxLength is 'x', not a whole number"),
        ({"type": "string", "minLength": True}, "/minLength is True"),
        ({"type": "string", "minLength": -1}, "/minLength is -1"),
        ({"type": "string", "minLength": 1.5}, "/minLength is 1.5"),
        ({"type": "integer", "minimum": False, "maximum": 3}, "/minimum is False"),
        ({"type": "integer", "minimum": float("nan"), "maximum": 3}, "/minimum is nan"),
        ({"type": "no such type"}, "/type"),
        ({"type": []}, "/type is a list that is empty"),
        ({"type": ["null", {}]}, "/type"),
        ({"type": "object", "properties": ["a"]}, "/properties"),
        ({"type": "object", "properties": {"a": 5}}, "/properties/a is 5, not a schema"),
        ({"type": "object", "properties": {"a": {}}, "required": "a"}, "/required"),
        ({"required": [["a"]]}, "/required"),
        ({"additionalProperties": None}, "/additionalProperties is None"),
        ({"anyOf": {"type": "string"}}, "/anyOf is not a list"),
        ({"anyOf": []}, "/anyOf is not a list"),
        ({"allOf": [{"required": 3}, {}]}, "/allOf/0 has"),
        ({"prefixItems": {}}, "/prefixItems is not a list"),
        ({"items": [{}]}, "/items is"),
        ({"enum": {"a": 1}}, "/enum is not a list"),
        ({"const": float("inf")}, "/const has inf"),
        ({"const": "\ud800"}, "/const"),  # has no place in UTF-8
        ({"properties": {"\ud800": {}}}, "/properties has the name"),
    ],
)
def test_what_cannot_be_enforced_is_refused(schema: dict[str, Any], place: str) -> None:
    with pytest.raises(ParameterError, match=place):
        enforceable(schema)


def test_verdicts_are_small_grammars() -> None:
    """The judges' schema: no more than a rule a part, whatever the lengths."""
    parts = {"reason": {"type": "string", "maxLength": 600}, "score": {"type": "integer", "minimum": 1, "maximum": 10}}
    grammar = grammar_of_schema(json.dumps({**CLOSED, "properties": parts, "required": ["reason", "score"]}))
    assert len(grammar) < 1000


# Any schema is refused or enforced. ------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "ab", 'q"\\', "é\n", ""])
VALUES: list[Any] = [None, True, False, 0, 1, -1, 1.0, 2.5, 10**20, "", "a", 'x"\\\n', "é😀", [], {}, [1, {"a": None}]]
SCALARS = st.sampled_from(VALUES)
NUMBERS = st.integers(0, 4)
LEAVES = st.one_of(
    st.booleans(),
    st.just({}),
    st.fixed_dictionaries({"type": st.sampled_from("string integer number boolean null object array".split())}),
    st.fixed_dictionaries({"type": st.just("string")}, optional={"minLength": NUMBERS, "maxLength": NUMBERS}),
    st.fixed_dictionaries({"format": st.sampled_from(["date", "time", "date-time", "uuid"])}),
    st.sampled_from([{"pattern": p} for p in ("^.{0,3}$", r'^[^a]+"\\|é{2}$', r"^(a|\d\s?)*$", "^$", r"^\w[^\n]?$")]),
    st.fixed_dictionaries({"minimum": st.integers(-3, 3), "maximum": st.integers(2, 120)}),
    st.fixed_dictionaries(
        {"enum": st.lists(SCALARS, min_size=1)}, optional={"type": st.sampled_from(["string", "integer"])}
    ),
    st.fixed_dictionaries({"const": SCALARS}),
    st.fixed_dictionaries({"type": st.just(["null", "string", "integer"])}, optional={"maxLength": NUMBERS}),
    st.just({"$ref": "#/$defs/leaf"}),
)


def composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    branches = st.lists(inner, min_size=1, max_size=3)
    properties = st.dictionaries(NAMES, inner, max_size=3)
    return st.one_of(
        st.fixed_dictionaries({"items": inner}, optional={"minItems": NUMBERS, "maxItems": NUMBERS}),
        st.fixed_dictionaries({"prefixItems": branches}, optional={"items": inner, "maxItems": NUMBERS}),
        st.fixed_dictionaries({"anyOf": branches}),
        st.fixed_dictionaries({"oneOf": branches}),
        st.fixed_dictionaries({"allOf": branches}),
        st.fixed_dictionaries(
            {"properties": properties},
            optional={
                "required": st.lists(NAMES, max_size=2),
                "additionalProperties": inner,
                "type": st.just("object"),
            },
        ),
        st.fixed_dictionaries({"type": st.just("object"), "additionalProperties": inner}),
    )


SCHEMAS = st.recursive(LEAVES, composed, max_leaves=8)
JUNK = st.one_of(
    SCALARS, st.sampled_from([float("nan"), "#", "#/$defs/leaf", ["a", 3], {"$ref": "#"}, "\ud800", 10**400])
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a value."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else range(len(value))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def written(grammar: str, chooser: random.Random) -> str:
    """A text that the grammar lets through, by chance; short ways once it is long."""
    rules = [rule.alternatives for rule in read(grammar)]
    least = [1000] * len(rules)
    changed = True
    while changed:
        found = [min(sum(least[s] if isinstance(s, int) else 1 for s in way) for way in rule) for rule in rules]
        changed, least = found != least, found
    text, todo = "", [0]
    while todo:
        symbol: Any = todo.pop()
        if isinstance(symbol, int):
            ways: list[Any] = list(rules[symbol])
            if len(text) + len(todo) > 60:
                ways = [min(ways, key=lambda way: sum(least[s] if isinstance(s, int) else 1 for s in way))]
            todo += reversed(chooser.choice(ways))
        else:
            text += chr(chooser.randint(*chooser.choice(symbol)))
    return text


@settings(max_examples=100, deadline=None)
@given(schema=SCHEMAS, seed=st.integers(0, 2**32))
def test_whatever_is_accepted_is_enforced(schema: Any, seed: int) -> None:
    """Texts that the grammar lets through are JSON that the original schema accepts."""
    whole = {"allOf": [schema], "$defs": {"leaf": {"type": ["null", "boolean"]}}}
    try:
        grammar = grammar_of_schema(json.dumps(whole))
    except ParameterError:
        return
    chooser = random.Random(seed)
    for _ in range(5):
        text = written(grammar, chooser)
        text.encode()
        Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(json.loads(text))


@settings(max_examples=100, deadline=None)
@given(schema=SCHEMAS, junk=st.lists(st.tuples(st.integers(0, 10**6), JUNK), min_size=1, max_size=3))
def test_malformed_schemas_are_refused_or_enforced(schema: Any, junk: list[tuple[int, Any]]) -> None:
    whole: dict[str, Any] = copy.deepcopy({"anyOf": [schema], "$defs": {"leaf": {"type": "null"}}})
    for number, value in junk:
        found = places(whole)
        if found:
            container, key = found[number % len(found)]
            container[key] = copy.deepcopy(value)
    with contextlib.suppress(ParameterError):
        grammar_of_schema(json.dumps(whole))
