"""Which JSON Schemas a grammar can enforce in full, in a plain form that says no more than a grammar can. Pure.

The plain form has these schemas and no others, each without any other keyword:

    {}                                                       any JSON value
    {"enum": [...]}                                          one of some values
    {"anyOf": [...]}                                         what any of some schemas lets through
    {"type": "integer" | "number" | "boolean" | "null"}
    {"type": "string", "minLength", "maxLength" | "pattern" | "format"}
    {"type": "array", "items", "minItems", "maxItems"}       or {"type": "array", "prefixItems"}: just these items
    {"type": "object", "properties", "required", "additionalProperties"}   closed where no additional ones are given

What it lets through is part of what the original schema lets through (Draft 2020-12). It may be a smaller part: a
schema with `properties` and no word on additional ones gives none, and keywords without a `type` mean their type.
"""

from __future__ import annotations

import reprlib
from collections.abc import Hashable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from nightjar.config.errors import ParameterError
from nightjar.workers.engine.grammar.pattern import FORMATS, json_text
from nightjar.workers.engine.grammar.rules import MOST_REPEATS, GbnfError

LARGEST_RANGE = 1001
"""Values of a whole-number range that are listed one by one."""
MOST_LEVELS = 50
"""Schemas in one another."""
MOST_SCHEMAS = 500
"""Schemas in all, those behind references each time they are named."""
MOST_VALUES = 5000
"""Values of one enum: a tree of them takes 0.1 s to read."""

_KEYWORDS: dict[str, frozenset[str]] = {
    "string": frozenset(("minLength", "maxLength", "pattern", "format")),
    "integer": frozenset(("minimum", "maximum")),
    "number": frozenset(("minimum", "maximum")),
    "boolean": frozenset(),
    "null": frozenset(),
    "array": frozenset(("items", "prefixItems", "minItems", "maxItems")),
    "object": frozenset(("properties", "required", "additionalProperties")),
}
"""The keywords that each type has to itself."""
_ENFORCED = frozenset(("type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref")).union(*_KEYWORDS.values())
_IGNORED = frozenset(
    "title description default examples $schema $id $comment deprecated readOnly writeOnly $defs definitions".split()
)
_BESIDE_VALUES = frozenset("type enum const minimum maximum minLength maxLength".split())
_MERGED = frozenset(("type", "properties", "required"))


def enforceable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema in the plain form. Raises ParameterError with the place where it has none."""
    return _Reading(schema).plain(schema, "", ())


def value_key(value: Any) -> Hashable:
    """The same for two values just when JSON Schema calls them equal: 1 is 1.0 and not true."""
    if isinstance(value, list):
        return ("array", *map(value_key, value))
    if isinstance(value, Mapping):
        return ("object", frozenset((name, value_key(inner)) for name, inner in value.items()))
    return (_type_of(value) in ("integer", "number"), isinstance(value, bool), value)


class _Reading:
    """One schema being read, with what its references may name."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._schemas = 0

    def plain(self, schema: Any, place: str, path: tuple[str, ...], level: int = 0) -> dict[str, Any]:
        """`path`: the references that led here."""
        constraints = self._constraints(schema, place, level)
        inside = (place, path, level + 1)
        if "$ref" in constraints:
            self._alone("$ref", constraints, place)
            target = self._target(constraints["$ref"], f"{place}/$ref", path)
            return self.plain(target, place, (*path, constraints["$ref"]), level + 1)
        if "allOf" in constraints:
            return self._all_of(constraints, *inside)
        for keyword in ("anyOf", "oneOf"):
            if keyword in constraints:
                self._alone(keyword, constraints, place)
                return self._any_of(keyword, constraints[keyword], *inside)
        if "enum" in constraints or "const" in constraints:
            return {"enum": _values(constraints, place)}
        return self._typed(constraints, *inside)

    def _constraints(self, schema: Any, place: str, level: int) -> dict[str, Any]:
        """The schema's keywords that constrain anything."""
        if schema is False:
            raise refused(place, "is false: nothing is valid there")
        schema = {} if schema is True else schema
        if not isinstance(schema, Mapping):
            raise refused(place, f"is {reprlib.repr(schema)}, not a schema")
        self._schemas += 1
        if self._schemas > MOST_SCHEMAS:
            raise refused(
                place, f"is beyond the {MOST_SCHEMAS} schemas that a grammar takes (each use of a $ref counts)"
            )
        if level > MOST_LEVELS:
            raise refused(place, f"is deeper than {MOST_LEVELS} levels")
        for keyword in schema:
            if keyword not in _ENFORCED and keyword not in _IGNORED:
                raise refused(f"{place}/{keyword}", "is a keyword that a grammar cannot enforce")
        if "$id" in schema and place:
            raise refused(f"{place}/$id", "is an address inside the schema, which changes what references mean")
        return {keyword: value for keyword, value in schema.items() if keyword not in _IGNORED}

    def _alone(self, keyword: str, constraints: Mapping[str, Any], place: str) -> None:
        if others := sorted(set(constraints) - {keyword}):
            raise refused(f"{place}/{keyword}", f"stands beside {', '.join(others)}; a grammar cannot enforce both")

    # References

    def _target(self, reference: Any, place: str, path: tuple[str, ...]) -> Any:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise refused(
                place, f"is {reprlib.repr(reference)}; only references inside the schema (#/...) are followed"
            )
        if reference == "#" or reference in path:
            raise refused(place, f"is {reference!r}, which leads back to itself; a recursive schema cannot be enforced")
        found: Any = self._root
        for step in unquote(reference[2:]).split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, Mapping) and step in found and (found is self._root or "$id" not in found):
                found = found[step]
            else:
                raise refused(place, f"is {reference!r}, and nothing is there")
        return found

    # Combinations

    def _any_of(self, keyword: str, branches: Any, place: str, path: tuple[str, ...], level: int) -> dict[str, Any]:
        place = f"{place}/{keyword}"
        schemas = [
            self.plain(branch, f"{place}/{number}", path, level)
            for number, branch in enumerate(_schemas(branches, place))
        ]
        if keyword == "oneOf":
            self._check_disjoint(branches, place)
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}

    def _check_disjoint(self, branches: list[Any], place: str) -> None:
        for number, branch in enumerate(branches):
            for other in range(number):
                if not self._disjoint(branches[other], branch):
                    raise refused(
                        place,
                        f"has branches {other} and {number}, which are not known to exclude each other; "
                        "use anyOf, or give their types or a required property with different const values",
                    )

    def _disjoint(self, one: Any, other: Any) -> bool:
        """Whether no value is valid by both originals, as far as types, values and required properties tell."""
        one, other = self._followed(one), self._followed(other)
        values, other_values = _listed(one), _listed(other)
        if values is not None and other_values is not None:
            return not {value_key(value) for value in values} & {value_key(value) for value in other_values}
        shared = _possible_types(one) & _possible_types(other)
        if shared == {"object"}:
            return any(
                self._disjoint(schema, other["properties"][name])
                for name, schema in one.get("properties", {}).items()
                if name in one.get("required", ()) and name in other.get("required", ())
                if name in other.get("properties", ())
            )
        return not shared

    def _followed(self, schema: Any) -> Mapping[str, Any]:
        """The schema behind the references. They were read before and come to an end."""
        while isinstance(schema, Mapping) and "$ref" in schema:
            schema = self._target(schema["$ref"], "", ())
        return schema if isinstance(schema, Mapping) else {}

    def _all_of(self, constraints: dict[str, Any], place: str, path: tuple[str, ...], level: int) -> dict[str, Any]:
        """A single schema, or objects that share no property."""
        branches = _schemas(constraints.pop("allOf"), f"{place}/allOf")
        if len(branches) == 1 and not constraints:
            return self.plain(branches[0], f"{place}/allOf/0", path, level)
        merged: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
        for number, branch in enumerate([*branches, constraints]):
            where = f"{place}/allOf/{number}" if number < len(branches) else place
            trail = path
            while isinstance(branch, Mapping) and set(branch) - _IGNORED == {"$ref"}:
                target = self._target(branch["$ref"], f"{where}/$ref", trail)
                branch, trail = target, (*trail, branch["$ref"])
            part = self._constraints(branch, where, level)
            if set(part) - _MERGED or part.get("type", "object") != "object":
                raise refused(
                    where, "is in an allOf; only objects with `properties` and `required` can be put together"
                )
            properties, required = part.get("properties", {}), part.get("required", [])
            if not isinstance(properties, Mapping) or not isinstance(required, list):
                raise refused(where, "has `properties` that are no object or `required` that is no list")
            if twice := sorted(set(properties) & set(merged["properties"])):
                raise refused(f"{where}/properties/{twice[0]}", "is constrained twice in an allOf")
            merged["properties"] |= properties
            merged["required"] += [name for name in required if name not in merged["required"]]
        return self.plain(merged, place, path, level)

    # Types

    def _typed(self, constraints: dict[str, Any], place: str, path: tuple[str, ...], level: int) -> dict[str, Any]:
        types = _types(constraints, place)
        plain = []
        for name in types:
            own = {keyword: value for keyword, value in constraints.items() if keyword in _KEYWORDS[name]}
            if name == "array":
                plain.append(self._array(own, place, path, level))
            elif name == "object":
                plain.append(self._object(own, place, path, level))
            else:
                plain.append(_string(own, place) if name == "string" else _scalar(name, own, place))
        if not plain:
            return {}
        return plain[0] if len(plain) == 1 else {"anyOf": plain}

    def _array(self, own: dict[str, Any], place: str, path: tuple[str, ...], level: int) -> dict[str, Any]:
        least, most = _bounds(own, "Items", place)
        items: dict[str, Any] = {}
        if own.get("items", True) is False and "prefixItems" not in own:
            if least:
                raise refused(f"{place}/items", f"is false, and {least} items are needed")
            most = 0
        elif own.get("items", True) is not False:
            items = self.plain(own.get("items", True), f"{place}/items", path, level)
        if "prefixItems" not in own:
            return {"type": "array", "items": items, "minItems": least} | ({} if most is None else {"maxItems": most})
        prefix = _schemas(own["prefixItems"], f"{place}/prefixItems")
        if least > len(prefix) or (most is not None and most < len(prefix)):
            raise refused(
                f"{place}/prefixItems", f"has {len(prefix)} items; a grammar writes just these, and the bounds differ"
            )
        return {
            "type": "array",
            "prefixItems": [self.plain(s, f"{place}/prefixItems/{n}", path, level) for n, s in enumerate(prefix)],
        }

    def _object(self, own: dict[str, Any], place: str, path: tuple[str, ...], level: int) -> dict[str, Any]:
        properties, required = own.get("properties", {}), own.get("required", [])
        if not isinstance(properties, Mapping):
            raise refused(f"{place}/properties", "is not an object of schemas")
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise refused(f"{place}/required", "is not a list of names")
        for name in required:
            if name not in properties:
                raise refused(f"{place}/required", f"names {reprlib.repr(name)}, which is not in `properties`")
        for name in properties:
            if not isinstance(name, str) or not _is_utf8(name):
                raise refused(f"{place}/properties", f"has the name {name!r}, which is no text in UTF-8")
        plain: dict[str, Any] = {
            "type": "object",
            "properties": {n: self.plain(s, f"{place}/properties/{n}", path, level) for n, s in properties.items()},
            "required": [name for name in properties if name in required],
        }
        others = own.get("additionalProperties", "properties" not in own)
        if others is not False:
            plain["additionalProperties"] = self.plain(others, f"{place}/additionalProperties", path, level)
        return plain


def refused(place: str, why: str) -> ParameterError:
    return ParameterError(f"Parameter 'json_schema' cannot be enforced: {place or 'the schema'} {why}.")


def _schemas(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise refused(place, "is not a list of schemas")
    return value


def _types(constraints: Mapping[str, Any], place: str) -> list[str]:
    """The types asked for, or else the one that the keywords are about; none where there are no keywords."""
    if "type" not in constraints:
        fitting = [name for name, own in _KEYWORDS.items() if own and own >= set(constraints)]
        if constraints and not fitting:
            raise refused(place, "has no `type`, and keywords of several types")
        return fitting[:1] if constraints else []
    given = constraints["type"]
    types = given if isinstance(given, list) else [given]
    for name in types:
        if not isinstance(name, str) or name not in _KEYWORDS:
            raise refused(f"{place}/type", f"is {reprlib.repr(given)}; the types are {', '.join(_KEYWORDS)}")
    if not types or len(set(types)) < len(types):
        raise refused(f"{place}/type", "is a list that is empty or names a type twice")
    return types


def _type_of(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) or value.is_integer() else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _listed(schema: Mapping[str, Any]) -> list[Any] | None:
    """The values that an enum or const leaves at most; None where there is neither."""
    listed = [schema["const"]] if "const" in schema else schema.get("enum")
    return listed if isinstance(listed, list) else None


def _possible_types(schema: Mapping[str, Any]) -> set[str]:
    """The types that values of a schema may have, at most; "number" stands for fractions."""
    listed = _listed(schema)
    if listed is not None:
        return {_type_of(value) for value in listed}
    given = schema.get("type", list(_KEYWORDS))
    types = set(given if isinstance(given, list) else [given])
    return types | {"integer"} if "number" in types else types


def _values(constraints: Mapping[str, Any], place: str) -> list[Any]:
    """The values of enum and const that the keywords beside them let through."""
    keyword = "enum" if "enum" in constraints else "const"
    for other in sorted(set(constraints) - _BESIDE_VALUES):
        raise refused(f"{place}/{keyword}", f"stands beside {other}; a grammar cannot enforce both")
    if not isinstance(constraints.get("enum", []), list):
        raise refused(f"{place}/enum", "is not a list of values")
    values = constraints.get("enum", [constraints.get("const")])
    for value in [*values, constraints.get("const")]:
        if not _is_json(value):
            raise refused(
                f"{place}/{keyword}", f"has {reprlib.repr(value)}, which is too deep or cannot be written as JSON"
            )
    if "const" in constraints:
        values = [value for value in values if value_key(value) == value_key(constraints["const"])]
    if len(values) > MOST_VALUES:
        raise refused(f"{place}/enum", f"has {len(values)} values; at most {MOST_VALUES} can be enforced")
    types = _types(constraints, place) if "type" in constraints else list(_KEYWORDS)
    numbers = _numbers(constraints, place)
    lengths = _bounds(constraints, "Length", place)
    kept = [value for value in values if _fits(value, types, numbers, lengths)]
    if not kept:
        raise refused(f"{place}/{keyword}", "has no value that the schema lets through")
    return list({value_key(value): value for value in kept}.values())


def _fits(value: Any, types: list[str], numbers: tuple[Any, Any], lengths: tuple[int, int | None]) -> bool:
    kind = _type_of(value)
    if kind not in types and not (kind == "integer" and "number" in types):
        return False
    low, high = numbers if kind in ("integer", "number") else (None, None)
    if kind == "string":
        (low, high), value = lengths, len(value)
    return (low is None or value >= low) and (high is None or value <= high)


def _scalar(name: str, own: Mapping[str, Any], place: str) -> dict[str, Any]:
    if not own:
        return {"type": name}
    low, high = _numbers(own, place)
    if name == "number" or low is None or high is None or low % 1 or high % 1:
        raise refused(place, "has a minimum or maximum; only whole numbers (type integer) with both can be enforced")
    if not 0 <= high - low < LARGEST_RANGE:
        raise refused(place, f"spans {low} to {high}; at most {LARGEST_RANGE} values can be enforced")
    return {"enum": list(range(int(low), int(high) + 1))}


def _string(own: Mapping[str, Any], place: str) -> dict[str, Any]:
    least, most = _bounds(own, "Length", place)
    others = sorted(set(own) & {"pattern", "format"})
    if len(others) + bool(set(own) - {"pattern", "format"}) > 1:
        raise refused(place, f"has {' and '.join(sorted(own))}; a grammar can enforce one of them")
    if others == ["pattern"]:
        try:
            json_text(own["pattern"] if isinstance(own["pattern"], str) else "")
        except GbnfError as error:
            raise refused(f"{place}/pattern", f"is {reprlib.repr(own['pattern'])}: {error}") from None
    if others == ["format"] and own["format"] not in list(FORMATS):  # it may be anything, a list too
        raise refused(f"{place}/format", f"is {reprlib.repr(own['format'])}; {', '.join(FORMATS)} can be enforced")
    if others:
        return {"type": "string", others[0]: own[others[0]]}
    return {"type": "string"} | ({"minLength": least} if least else {}) | ({} if most is None else {"maxLength": most})


def _bounds(own: Mapping[str, Any], what: str, place: str) -> tuple[int, int | None]:
    """The least and the most; None is no limit."""
    found: dict[str, int | None] = {"min": 0, "max": None}
    for end in found:
        if (keyword := f"{end}{what}") in own:
            number = own[keyword]
            if _type_of(number) != "integer" or number < 0:
                raise refused(f"{place}/{keyword}", f"is {reprlib.repr(number)}, not a whole number from 0")
            if number > MOST_REPEATS:
                raise refused(f"{place}/{keyword}", f"is {int(number)}; at most {MOST_REPEATS} can be enforced")
            found[end] = int(number)
    least, most = found["min"] or 0, found["max"]
    if most is not None and least > most:
        raise refused(place, f"has min{what} {least} and max{what} {most}: nothing is valid")
    return least, most


def _numbers(own: Mapping[str, Any], place: str) -> tuple[float | None, float | None]:
    for keyword in ("minimum", "maximum"):
        if keyword in own and (_type_of(own[keyword]) not in ("integer", "number") or not _is_json(own[keyword])):
            raise refused(f"{place}/{keyword}", f"is {reprlib.repr(own[keyword])}, not a number")
    return own.get("minimum"), own.get("maximum")


def _is_json(value: Any) -> bool:
    """Whether a value can be written as JSON in UTF-8: no infinities, no halves of surrogate pairs, not too deep."""
    todo: list[tuple[Any, int]] = [(value, 0)]
    while todo:
        value, level = todo.pop()
        unwritable = isinstance(value, float) and not abs(value) < float("inf")
        if unwritable or level > MOST_LEVELS or (isinstance(value, str) and not _is_utf8(value)):
            return False
        inner: Iterable[Any] = [*value, *value.values()] if isinstance(value, Mapping) else ()
        todo += [(one, level + 1) for one in (value if isinstance(value, list) else inner)]
    return True


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
