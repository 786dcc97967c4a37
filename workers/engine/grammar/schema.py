"""Which JSON Schemas replies can be held to, and in which form llguidance is to read them. Pure.

llguidance passes over keywords that it does not know, names no place in what it refuses, and lets anything into an
object whose schema only lists properties. So a schema is walked first: what is unknown, or would not be enforced in
full, is refused with its JSON pointer; what is left is written again with nothing else in it. Replies hold to a part of
what the schema allows (Draft 2020-12), sometimes a smaller one: an object that lists `properties` and says nothing of
others has no others, an array with `prefixItems` no further items, numbers have 15 digits before the point and 9 after
it, and keywords without a `type` mean their type.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from math import lcm
from typing import Any
from urllib.parse import unquote

from nightjar.workers.engine.grammar.keywords import (
    APPLICATORS,
    ENFORCED,
    IGNORED,
    KEYWORDS,
    LARGEST_MULTIPLE,
    check_form,
    refused,
    rewritten,
)

MOST_SCHEMAS = 1000
"""Schemas in all; those behind references count once, unless they are put together with others."""
MOST_LEVELS = 50
"""Schemas in one another."""
_OF_OBJECTS = frozenset(("properties", "required", "additionalProperties", "minProperties", "maxProperties"))


def enforceable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as llguidance is to read it. Raises ParameterError with the place that cannot be enforced."""
    return _Reading(schema).whole()


def refused_place(
    schema: Mapping[str, Any], why_refused: Callable[[dict[str, Any]], str | None]
) -> tuple[str, str | None]:
    """The innermost place of an enforceable schema that cannot be built by itself either, and why; "" for the whole."""
    return _Reading(schema).refused_place(why_refused)


def value_key(value: Any) -> Hashable:
    """The same for two values just when JSON Schema calls them equal: 1 is 1.0 and not true."""
    if isinstance(value, list):
        return ("array", *map(value_key, value))
    if isinstance(value, Mapping):
        return ("object", frozenset((name, value_key(inner)) for name, inner in value.items()))
    return (isinstance(value, int | float) and not isinstance(value, bool), isinstance(value, bool), value)


class _Reading:
    """One schema being read, with what its references name."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._count = 0
        self._numbers: dict[str, int] = {}
        """Of the schemas that references lead to, by pointer: their names in the result."""
        self._definitions: dict[str, Any] = {}
        self._apart: dict[tuple[int, int], bool] = {}
        """Whether two schemas of the root exclude each other, by their identity."""
        self._keys: dict[int, frozenset[Hashable]] = {}

    def whole(self) -> dict[str, Any]:
        result = self._read(self._root, "", 0)
        if result is False:
            raise refused("", "is false: nothing is valid there")
        while len(self._definitions) < len(self._numbers):
            pointer, number = list(self._numbers.items())[len(self._definitions)]
            self._definitions[str(number)] = self._read(self._target(pointer, pointer[1:]), pointer[1:], 0)
        self._check_ends()
        return {**result, "$defs": self._definitions} if self._definitions else dict(result)

    def refused_place(self, why_refused: Callable[[dict[str, Any]], str | None]) -> tuple[str, str | None]:
        part, place, why, seen = self.whole(), "", None, {""}
        found = True
        while found:
            found = False
            for inner_place, inner in self._inside(part, place):
                if inner_place in seen or not isinstance(inner, dict):
                    continue
                seen.add(inner_place)
                if (reason := why_refused({**inner, "$defs": self._definitions})) is not None:
                    part, place, why, found = inner, inner_place, reason, True
                    break
        return place, why

    def _inside(self, part: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
        """The schemas in one that was read, those that must be there first; not those that hold for the same value."""
        properties = part.get("properties", {})
        needed = set(part.get("required", ()))
        for name in sorted(properties, key=lambda name: name not in needed):
            yield f"{place}/properties/{name}", properties[name]
        for number, schema in enumerate(part.get("prefixItems", ())):
            yield f"{place}/prefixItems/{number}", schema
        for keyword in ("items", "additionalProperties"):
            yield f"{place}/{keyword}", part.get(keyword)
        if "$ref" in part:
            number = part["$ref"].removeprefix("#/$defs/")
            pointer = next(pointer for pointer, other in self._numbers.items() if str(other) == number)
            yield pointer[1:], self._definitions[number]

    def _read(self, schema: Any, place: str, level: int, *, put_together: bool = False, via: Refs = ()) -> Any:
        """`put_together`: with others that hold for the same value, and somebody else closes what they make; `via`: the
        references that led here from the same value."""
        if isinstance(schema, bool):
            return {} if schema else False
        given = self._constraints(schema, place, level)
        applied = APPLICATORS & set(given)
        if set(given) == {"$ref"} and not put_together:
            return {"$ref": f"#/$defs/{self._number(self._followed(given['$ref'], f'{place}/$ref'))}"}
        together = put_together or "allOf" in given or (bool(applied) and len(given) > 1)
        own = {keyword: value for keyword, value in given.items() if keyword not in applied}
        result: Any = rewritten(own, place, infer=not together)
        for keyword in _OF_OBJECTS & {"properties", "additionalProperties"} & set(own):
            result[keyword] = self._object_part(keyword, own[keyword], place, level)
        for keyword in {"items", "prefixItems"} & set(own):
            result[keyword] = self._array_part(keyword, own[keyword], place, level)
        branches = [self._branches(keyword, given[keyword], place, level, together, via) for keyword in sorted(applied)]
        if together and not put_together:
            branches += [*self._closing(given, place), *self._meant_type(given)]
            self._check_multiple(given, place)
        elif "properties" in own and not together:
            result.setdefault("additionalProperties", False)
            self._check_required(result, place)
        branches = [branch for branch in [*branches, *result.pop("allOf", ())] if branch != {}]
        if len(branches) == 1 and not result:
            return branches[0]
        return {**result, "allOf": branches} if branches else result

    def _constraints(self, schema: Any, place: str, level: int) -> dict[str, Any]:
        """The schema's keywords that constrain anything, each of the right form."""
        if not isinstance(schema, Mapping):
            raise refused(place, f"is {reprlib.repr(schema)}, not a schema")
        self._count += 1
        if self._count > MOST_SCHEMAS:
            raise refused(place, f"is beyond the {MOST_SCHEMAS} schemas that can be enforced")
        if level > MOST_LEVELS:
            raise refused(place, f"is deeper than {MOST_LEVELS} levels")
        for keyword in schema:
            if keyword not in ENFORCED and keyword not in IGNORED:
                raise refused(f"{place}/{keyword}", "is a keyword that cannot be enforced")
        if "$id" in schema and place:
            raise refused(f"{place}/$id", "is an address inside the schema, which changes what references mean")
        given = {keyword: value for keyword, value in schema.items() if keyword not in IGNORED}
        check_form(given, place)
        return given

    # Parts

    def _object_part(self, keyword: str, value: Any, place: str, level: int) -> Any:
        if keyword == "additionalProperties":
            return self._read(value, f"{place}/{keyword}", level + 1)
        return {name: self._read(inner, f"{place}/{keyword}/{name}", level + 1) for name, inner in value.items()}

    def _array_part(self, keyword: str, value: Any, place: str, level: int) -> Any:
        if keyword == "items":
            return self._read(value, f"{place}/{keyword}", level + 1)
        return [self._read(inner, f"{place}/{keyword}/{number}", level + 1) for number, inner in enumerate(value)]

    def _branches(self, keyword: str, value: Any, place: str, level: int, together: bool, via: Refs) -> Any:
        """What an applicator means, in one schema."""
        place = f"{place}/{keyword}"
        if keyword == "$ref":
            if value in via:
                raise refused(place, f"is {value!r}, which leads back to itself for the same value")
            target = self._target(value, place)
            return self._read(target, place, level + 1, put_together=together, via=(*via, value))
        schemas = [
            self._read(branch, f"{place}/{number}", level + 1, put_together=together, via=via)
            for number, branch in enumerate(value)
        ]
        if keyword == "allOf":
            return {"allOf": schemas} if len(schemas) > 1 else schemas[0]
        if keyword == "oneOf":
            self._check_disjoint(value, place)
        return {"anyOf": schemas} if len(schemas) > 1 else schemas[0]

    # References

    def _number(self, pointer: str) -> int:
        return self._numbers.setdefault(pointer, len(self._numbers))

    def _followed(self, pointer: str, place: str) -> str:
        """Where references that stand alone lead to in the end."""
        seen = [pointer]
        while isinstance(target := self._target(pointer, place), Mapping) and set(target) - IGNORED == {"$ref"}:
            pointer = target["$ref"]
            if pointer in seen:
                raise refused(place, f"is {pointer!r}, which leads back to itself for the same value")
            seen.append(pointer)
        return pointer

    def _target(self, reference: Any, place: str) -> Any:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise refused(
                place, f"is {reprlib.repr(reference)}; only references inside the schema (#/...) are followed"
            )
        found: Any = self._root
        for step in unquote(reference[2:]).split("/") if reference != "#" else ():
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, Mapping) and step in found and (found is self._root or "$id" not in found):
                found = found[step]
            else:
                raise refused(place, f"is {reference!r}, and nothing is there")
        return found

    # Schemas that hold for the same value

    def _same_value(self, schema: Any, via: Refs = ()) -> Iterable[Mapping[str, Any]]:
        """The schema and all that it applies to the same value. They were read before, so this comes to an end."""
        if not isinstance(schema, Mapping):
            return
        yield schema
        for keyword in ("allOf", "anyOf", "oneOf"):
            for branch in schema.get(keyword, ()):
                yield from self._same_value(branch, via)
        if "$ref" in schema and schema["$ref"] not in via:
            yield from self._same_value(self._target(schema["$ref"], ""), (*via, schema["$ref"]))

    def _closing(self, schema: Mapping[str, Any], place: str) -> list[Any]:
        """What closes the object that several schemas make, unless one of them says what else may be in it."""
        parts = list(self._same_value(schema))
        names = list(dict.fromkeys(name for part in parts for name in part.get("properties", ())))
        if not names or any("additionalProperties" in part for part in parts):
            return []
        closing = {"properties": {name: {} for name in names}, "additionalProperties": False}
        for part in parts:
            self._check_required({**closing, "required": part.get("required", [])}, place)
        return [closing]

    def _meant_type(self, schema: Mapping[str, Any]) -> list[Any]:
        """The type that all of several schemas are about, where none of them says so."""
        parts = list(self._same_value(schema))
        if any({"type", "enum", "const"} & set(part) for part in parts):
            return []
        about = {name for name, keywords in KEYWORDS.items() for part in parts if keywords & set(part)}
        return [{"type": about.pop()}] if len(about) == 1 else []

    def _check_required(self, schema: Mapping[str, Any], place: str) -> None:
        if schema["additionalProperties"] is not False:
            return
        for name in schema.get("required", ()):
            if name not in schema["properties"]:
                raise refused(f"{place}/required", f"names {reprlib.repr(name)}, which is not in `properties`")

    def _check_multiple(self, schema: Mapping[str, Any], place: str) -> None:
        multiples = [part["multipleOf"] for part in self._same_value(schema) if "multipleOf" in part]
        if (common := lcm(*(int(multiple) for multiple in multiples))) > LARGEST_MULTIPLE:
            raise refused(
                place, f"asks for multiples of {common} by several multipleOf; at most {LARGEST_MULTIPLE} is enforced"
            )

    # oneOf

    def _check_disjoint(self, branches: list[Any], place: str) -> None:
        for number, branch in enumerate(branches):
            for other in range(number):
                if not self._disjoint(branches[other], branch, 0):
                    raise refused(
                        place,
                        f"has branches {other} and {number}, which are not known to exclude each other; "
                        "use anyOf, or give their types or a required property with different const values",
                    )

    def _disjoint(self, one: Any, other: Any, level: int) -> bool:
        """Whether no value is valid by both originals, as far as types, values and required properties tell."""
        one, other = self._behind(one), self._behind(other)
        pair = (id(one), id(other))
        if pair not in self._apart:
            self._apart[pair] = False  # meanwhile: a pair that leads back to itself tells nothing
            self._apart[pair] = level < MOST_LEVELS and self._seen_apart(one, other, level)
        return self._apart[pair]

    def _seen_apart(self, one: Mapping[str, Any], other: Mapping[str, Any], level: int) -> bool:
        values, other_values = self._value_keys(one), self._value_keys(other)
        if values is not None and other_values is not None:
            return not values & other_values
        shared = _possible_types(one) & _possible_types(other)
        if shared == {"object"}:
            return any(
                self._disjoint(schema, other["properties"][name], level + 1)
                for name, schema in one.get("properties", {}).items()
                if name in one.get("required", ()) and name in other.get("required", ())
                if name in other.get("properties", ())
            )
        return not shared

    def _value_keys(self, schema: Mapping[str, Any]) -> frozenset[Hashable] | None:
        """The values that an enum or const leaves at most; None where there is neither."""
        if (listed := _listed(schema)) is None:
            return None
        if id(schema) not in self._keys:
            self._keys[id(schema)] = frozenset(map(value_key, listed))
        return self._keys[id(schema)]

    def _behind(self, schema: Any) -> Mapping[str, Any]:
        """The schema behind references that stand alone."""
        if isinstance(schema, Mapping) and "$ref" in schema:
            schema = self._target(self._followed(schema["$ref"], ""), "")
        return schema if isinstance(schema, Mapping) else _ANYTHING

    # Recursion

    def _check_ends(self) -> None:
        """Refuses what needs another of itself, and so has no end."""
        known: set[str] = set()
        before = -1
        while len(known) > before:
            before = len(known)
            known |= {number for number, schema in self._definitions.items() if _ends(schema, known)}
        for pointer, number in self._numbers.items():
            if str(number) not in known:
                raise refused(pointer[1:], "needs another of itself, and that another one: it never ends")


Refs = tuple[str, ...]
_ANYTHING: Mapping[str, Any] = {}


def _ends(schema: Any, known: set[str]) -> bool:
    """Whether some value of a schema (as it was read) needs no other definitions than the known ones."""
    if isinstance(schema, bool) or not schema:
        return schema is not False
    if "$ref" in schema:
        return schema["$ref"].removeprefix("#/$defs/") in known
    if not all(_ends(branch, known) for branch in schema.get("allOf", ())):
        return False
    if "anyOf" in schema and not any(_ends(branch, known) for branch in schema["anyOf"]):
        return False
    types = schema.get("type", list(KEYWORDS))
    if set(types if isinstance(types, list) else [types]) - {"array", "object"}:
        return True
    inner = [schema["properties"][name] for name in schema.get("required", ()) if name in schema.get("properties", ())]
    least, prefix = schema.get("minItems", 0), schema.get("prefixItems", [])
    inner += prefix[:least] + ([schema.get("items", {})] if least > len(prefix) else [])
    return all(_ends(part, known) for part in inner)


def _listed(schema: Mapping[str, Any]) -> list[Any] | None:
    """The values that an enum or const leaves at most; None where there is neither."""
    listed = [schema["const"]] if "const" in schema else schema.get("enum")
    return listed if isinstance(listed, list) else None


def _possible_types(schema: Mapping[str, Any]) -> set[str]:
    """The types that values of a schema may have, at most; "number" stands for fractions."""
    listed = _listed(schema)
    if listed is not None:
        return {type_of(value) for value in listed}
    given = schema.get("type", list(KEYWORDS))
    types = set(given if isinstance(given, list) else [given])
    return types | {"integer"} if "number" in types else types


def type_of(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) or value.is_integer() else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"
