"""JSON Schemas: some that are accepted, some that are refused, and a strategy for any."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

CLOSED: dict[str, Any] = {"type": "object", "additionalProperties": False}
TAGGED: list[dict[str, Any]] = [
    {**CLOSED, "properties": {"kind": {"const": k}}, "required": ["kind"]} for k in ("a", "b")
]
NULL = {"type": "null"}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


SAME: dict[str, Any] = {
    name: {"type": "object", "properties": {"n": {"$ref": f"#/$defs/{name}"}}, "required": ["n"]} for name in "ab"
}
"""Whether they exclude each other is asked of themselves again."""
DOUBLED: dict[str, Any] = {f"a{n}": {"prefixItems": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(20)} | {
    "a20": {}
}
ACCEPTED: list[dict[str, Any]] = [
    # Accepted since the first grammars.
    {"title": "T", "type": "string", "description": "d"},
    {"type": "integer", "minimum": 1, "maximum": 3.0},
    {"minimum": 1, "maximum": 2},
    {"minLength": 3},
    {},
    {"anyOf": [True, NULL]},
    {"const": {"a": [1, "x"]}},
    {"type": "integer", "enum": [1, "x", True, 2.0, 2.5]},
    {"type": "integer", "minimum": 1, "maximum": 10, "enum": [1, 20]},
    {"enum": ["a", "abc", 5], "minLength": 2},
    {"enum": [1, True, 1.0], "const": 1},
    {"type": ["string", "null"], "maxLength": 3},
    {"type": "boolean", "maxLength": 3},
    {"type": "array", "items": False},
    {"prefixItems": [NULL], "items": False},
    {"properties": {"a": True, "b": NULL}, "required": ["b"]},
    {"type": "object"},
    {"$ref": "#/$defs/a~1b", "$defs": {"a/b": NULL, "c": {"not": {}}}},
    {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": NULL}},  # as Pydantic writes
    {
        "allOf": [{"type": "object", "properties": {"a": NULL}}, {"required": ["b"]}],
        "properties": {"b": NULL},
    },
    {"oneOf": [NULL, {"type": "number"}]},
    {"oneOf": [{"enum": [1, "a"]}, {"const": True}]},
    {"oneOf": TAGGED},
    # Refused until llguidance took over.
    {"anyOf": [{}, {"multipleOf": 3}]},
    {"type": "number", "minimum": 0},
    {"type": ["null", "number"], "maximum": 0},
    {"type": "integer", "minimum": 0},
    {"type": "integer", "minimum": 0, "maximum": 10**9},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "object", "anyOf": [{}]},
    {"properties": {"a": {"$ref": "#/$defs/a", "maxLength": 2}}, "$defs": {"a": {}}},
    {"enum": [{}], "properties": {}},
    {"type": "string", "pattern": "^a+$", "maxLength": 3},
    {"minLength": 3, "minItems": 3},
    {"allOf": [{"properties": {"a": {}}}, {"properties": {"a": NULL}}]},
    {"allOf": [{"additionalProperties": False}, {"properties": {"a": {}}}]},
    {"properties": {"a": False}},
    {"prefixItems": [{}], "minItems": 2},
    {"properties": {"n": {"anyOf": [NULL, {"$ref": "#"}]}}},
    {"pattern": "ab"},
    {"pattern": "^(a|aa)*$"},
    {"pattern": "^a"},
    {"pattern": r"^a\$"},
    {"pattern": "^(a*a*a*a*)$"},
    {"type": "string", "format": "email"},
    {"type": "string", "format": "ipv4"},
    {"format": "date", "pattern": "^2[0-9-]+$"},
    {"type": "string", "maxLength": 2001},
    {"type": "object", "additionalProperties": {"type": "null"}, "maxProperties": 2},
    {"properties": {"a": NULL}, "required": ["a"], "additionalProperties": {"type": "boolean"}},
    {"$defs": DOUBLED, "$ref": "#/$defs/a0"},
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    # What no grammar can do.
    ({"type": "array", "uniqueItems": True}, "/uniqueItems is a keyword"),
    ({"properties": {"a": {"not": {}}}}, "/properties/a/not is a keyword"),
    ({"x-guidance": {"lenient": True}}, "/x-guidance is a keyword"),
    ({"patternProperties": {"^a": {}}}, "/patternProperties is a keyword"),
    ({"type": "integer", "multipleOf": 99730001}, "/multipleOf is 99730001; whole numbers from 1 to 10000"),
    ({"multipleOf": 0.1}, "/multipleOf is 0.1; whole numbers"),
    ({"allOf": [{"multipleOf": 97}, {"allOf": [{"multipleOf": 101}, {"multipleOf": 103}]}]}, "multiples of 1009091"),
    ({"properties": {"a": {}, "b": {}}, "required": ["a"], "minProperties": 2}, "/minProperties can be enforced only"),
    (
        {"additionalProperties": NULL, "minProperties": 2},
        "/minProperties can be enforced only up to",
    ),  # one may come twice
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "/oneOf has branches 0 and 1.*use anyOf"),
    ({"oneOf": [{"type": "integer"}, {"minLength": 3}]}, "/oneOf"),  # numbers are valid by the second
    ({"oneOf": [{"const": 1}, {"enum": [2, 1.0]}]}, "/oneOf"),
    ({"oneOf": [NULL, {"$ref": "#/$defs/a"}], "$defs": {"a": {"type": ["null"]}}}, "/oneOf"),
    ({"oneOf": [TAGGED[0], {**TAGGED[1], "required": []}]}, "/oneOf"),  # the tag may be missing
    ({"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}], "$defs": SAME}, "/oneOf has branches 0 and 1"),
    # Nothing is valid.
    ({"enum": []}, "/enum has no value"),
    ({"type": "string", "enum": [1]}, "/enum has no value that"),
    ({"type": "integer", "const": True}, "/const has no value that"),
    ({"type": "integer", "minimum": 5, "maximum": 1}, "the schema spans 5 to 1"),
    ({"type": "string", "minLength": 5, "maxLength": 2}, "minLength 5 and maxLength 2"),
    ({"type": "array", "minItems": 5, "maxItems": 2}, "minItems 5 and maxItems 2"),
    ({"properties": {"a": {}}, "required": ["b"]}, "/required names 'b'"),
    ({"allOf": [{"properties": {"a": {}}}, {"required": ["b"]}]}, "/required names 'b'"),
    # References.
    ({"$ref": "#"}, "/.ref is '#', which leads back to itself"),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "leads back to itself"),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}, {}]}}}, "leads back to itself"),
    ({"$ref": "#/$defs/zz"}, "/.ref is '#/.defs/zz', and nothing is there"),
    ({"$ref": "https://x.y/z.json"}, "only references inside"),
    ({"$ref": ["#/a"]}, "only references inside"),
    ({"items": {"$id": "http://x.y/", "type": "null"}}, "/items/.id"),
    (
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 2}}},
        "/.defs/a needs another of itself",
    ),
    ({"properties": {"n": {"$ref": "#"}}, "required": ["n"]}, "the schema needs another of itself"),
    # Patterns and formats; more patterns are in test_gbnf.py.
    ({"pattern": "^[]a]$"}, r"/pattern is .*: it has an empty class"),
    ({"pattern": 5}, "/pattern is 5, not a regular expression"),
    ({"type": "string", "format": "idn-email"}, "/format is 'idn-email'; date"),
    ({"type": "string", "format": ["date"]}, "/format"),
    # Sizes.
    ({"type": "string", "maxLength": 100_001}, "/maxLength is 100001; at most 100000"),
    ({"type": "array", "minItems": 1_000_000}, "/minItems is 1000000; at most 2000"),
    ({"type": "array", "minItems": 10**30}, "/minItems is 10000"),
    ({"enum": list(range(5001))}, "/enum has 5001"),
    (nested(60), "deeper than 50 levels"),
    ({"const": nested(60)}, "/const has .* too deep"),
    ({"properties": {f"a{n}": {} for n in range(5000)}}, "/properties/a999 is beyond the 1000 schemas"),
    ({"const": 2**53 + 1}, "/const has .* too exact"),  # llguidance computes with floating point
    ({"type": "integer", "minimum": 2**53 + 1}, "/minimum"),
    # What is no schema.
    ({"type": "string", "maxLength": "x"}, "/maxLength is 'x', not a whole number"),
    ({"type": "string", "minLength": True}, "/minLength is True"),
    ({"type": "string", "minLength": -1}, "/minLength is -1"),
    ({"type": "string", "minLength": 1.5}, "/minLength is 1.5"),
    ({"type": "integer", "minimum": False, "maximum": 3}, "/minimum is False"),
    ({"type": "integer", "minimum": float("nan"), "maximum": 3}, "/minimum is nan"),
    ({"exclusiveMinimum": True, "minimum": 1}, "/exclusiveMinimum is True"),  # of draft 4
    ({"type": "no such type"}, "/type is 'no such type'"),
    ({"type": []}, "/type is "),
    ({"type": ["null", {}]}, "/type is "),
    ({"type": ["null", "null"]}, "/type names a type twice"),
    ({"type": "object", "properties": ["a"]}, "/properties is not an object"),
    ({"type": "object", "properties": {"a": 5}}, "/properties/a is 5, not a schema"),
    ({"type": "object", "properties": {"a": {}}, "required": "a"}, "/required is not"),
    ({"required": [["a"]]}, "/required is not"),
    ({"additionalProperties": None}, "/additionalProperties is None"),
    ({"anyOf": {"type": "string"}}, "/anyOf is not a list"),
    ({"anyOf": []}, "/anyOf is not a list"),
    ({"allOf": [{"required": 3}, {}]}, "/allOf/0/required is not"),
    ({"prefixItems": {}}, "/prefixItems is not a list"),
    ({"items": [{}]}, "/items is"),
    ({"enum": {"a": 1}}, "/enum is not a list"),
    ({"const": float("inf")}, "/const has inf"),
    ({"const": "\ud800"}, "/const"),  # has no place in UTF-8
    ({"type": "integer", "enum": [10**20]}, "/enum has 10000000000"),  # llguidance would cut it to 64 bits
    ({"allOf": [{"const": 1e300}, {"type": "integer"}]}, "/allOf/0/const has 1e\\+300"),
    ({"minimum": -(10**20)}, "/minimum is -10000000000"),
    ({"properties": {"\ud800": {}}}, "/properties has the name"),
]
"""With the place that is named, as a regular expression."""

NAMES = st.sampled_from(["a", "b", "ab", 'q"\\', "é\n", ""])
VALUES: list[Any] = [None, True, False, 0, 1, -1, 1.0, 2.5, 2**62, "", "a", 'x"\\\n', "é😀", [], {}, [1, {"a": None}]]
SCALARS = st.sampled_from(VALUES)
NUMBERS = st.integers(0, 4)
LEAVES = st.one_of(
    st.booleans(),
    st.just({}),
    st.fixed_dictionaries({"type": st.sampled_from("string integer number boolean null object array".split())}),
    st.fixed_dictionaries({"type": st.just("string")}, optional={"minLength": NUMBERS, "maxLength": NUMBERS}),
    st.fixed_dictionaries({"format": st.sampled_from(["date", "time", "date-time", "uuid"])}),
    st.sampled_from(
        [{"pattern": p} for p in ("^.{0,3}$", "a", "^a|b$", r'^[^a]+"\\|é{2}$', r"^(a|\d\s?)*$", "^$", r"^\w[^\n]?$")]
    ),
    st.fixed_dictionaries({"minimum": st.integers(-3, 3)}, optional={"maximum": st.integers(2, 120)}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["number", "integer"])},
        optional={
            "exclusiveMinimum": st.integers(-3, 1),
            "exclusiveMaximum": st.sampled_from([0.5, 3]),
            "multipleOf": st.integers(1, 7),
        },
    ),
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
        st.fixed_dictionaries({"allOf": branches}, optional={"properties": properties}),
        st.fixed_dictionaries({"anyOf": branches}, optional={"type": st.just("object"), "required": st.just(["a"])}),
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
