"""The keywords of JSON Schema that can be enforced, and how llguidance is to read them. Pure."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

from nightjar.config.errors import ParameterError
from nightjar.workers.engine.grammar.pattern import FORMATS, PatternError, whole_match

MOST_ITEMS = 2000
"""Items and properties that an array or object must, or must not, have more of."""
MOST_CHARACTERS = 100_000
"""Of a string's minLength and maxLength."""
MOST_VALUES = 5000
"""Values of one enum."""
MOST_VALUE_LEVELS = 50
"""Arrays and objects in one another in one value of an enum."""
LARGEST_MULTIPLE = 10_000
"""llguidance counts remainders: 99,730,001 of them did not come back in 12 s."""
LARGEST_NUMBER = 10**15 - 1
"""Where a schema sets no limit: every reader holds this many digits, and a model that loops comes to an end."""
SMALLEST_STEP = 1e-9
EXACT = 2**53
"""Whole numbers up to here are what they are written as; llguidance computes with floating point."""
LARGEST_EXACT = 2**63 - 1024
"""The largest that a float and 64 bits both hold: where two schemas meet, llguidance cuts whole numbers to 64 bits."""

KEYWORDS: dict[str, frozenset[str]] = {
    "string": frozenset(("minLength", "maxLength", "pattern", "format")),
    "number": frozenset(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
    "array": frozenset(("items", "prefixItems", "minItems", "maxItems")),
    "object": frozenset(("properties", "required", "additionalProperties", "minProperties", "maxProperties")),
    "integer": frozenset(),
    "boolean": frozenset(),
    "null": frozenset(),
}
"""The types, and the keywords that each has to itself."""
APPLICATORS = frozenset(("anyOf", "oneOf", "allOf", "$ref"))
ENFORCED = frozenset(("type", "enum", "const")).union(APPLICATORS, *KEYWORDS.values())
IGNORED = frozenset(
    "title description default examples $schema $id $comment deprecated readOnly writeOnly $defs definitions".split()
)
OTHER_FORMATS = frozenset(("duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"))
"""Formats that are left to llguidance."""


def refused(place: str, why: str) -> ParameterError:
    return ParameterError(f"Parameter 'json_schema' cannot be enforced: {place or 'the schema'} {why}.")


def rewritten(own: Mapping[str, Any], place: str, *, infer: bool) -> dict[str, Any]:
    """The keywords of one schema, without those that apply others, as llguidance is to read them.

    `infer`: where there is no `type`, keywords mean the type that they are about.
    """
    result = dict(own)
    if infer and "type" not in own and "enum" not in own and "const" not in own:
        about = [name for name, keywords in KEYWORDS.items() if keywords & set(own)]
        if len(about) == 1:
            result["type"] = about[0]
    if "enum" in own or "const" in own:
        _check_values(result, place)
    elif {"number", "integer"} & (types := set(types_of(result))):
        result = _bounded(result, fractions="number" in types)
    if "prefixItems" in own and own.get("minItems", 0) <= len(own["prefixItems"]):
        result.setdefault("items", False)
    if "pattern" in own:
        result["pattern"] = f"^{whole_match(own['pattern'])}$"
    if own.get("format") in FORMATS:
        ours = f"^({FORMATS[result.pop('format')]})$"
        result |= {"allOf": [{"type": "string", "pattern": ours}]} if "pattern" in own else {"pattern": ours}
    return result


def types_of(schema: Mapping[str, Any]) -> list[str]:
    given = schema.get("type", [])
    return given if isinstance(given, list) else [given]


def _bounded(numbers: Mapping[str, Any], *, fractions: bool) -> dict[str, Any]:
    """With limits where there are none, so that no number is too long for its readers."""
    result = dict(numbers)
    low = max((numbers[name] for name in ("minimum", "exclusiveMinimum") if name in numbers), default=None)
    high = min((numbers[name] for name in ("maximum", "exclusiveMaximum") if name in numbers), default=None)
    if low is None and (high is None or high > -LARGEST_NUMBER):
        result["minimum"] = -LARGEST_NUMBER
    if high is None and (low is None or low < LARGEST_NUMBER):
        result["maximum"] = LARGEST_NUMBER
    if fractions and "multipleOf" not in numbers:
        result["multipleOf"] = SMALLEST_STEP
    return result


def _check_values(schema: dict[str, Any], place: str) -> None:
    """Refuses values that llguidance would write otherwise, and those that no `type` beside them lets through."""
    keyword = "enum" if "enum" in schema else "const"
    values = schema["enum"] if "enum" in schema else [schema["const"]]
    if not values:
        raise refused(f"{place}/enum", "has no value")
    if len(values) > MOST_VALUES:
        raise refused(f"{place}/enum", f"has {len(values)} values; at most {MOST_VALUES} can be enforced")
    for value in [*values, schema.get("const")]:
        if not _is_json(value):
            raise refused(
                f"{place}/{keyword}",
                f"has {reprlib.repr(value)}, which is too deep, too large, too exact, or cannot be written as JSON",
            )
    if types := types_of(schema):
        fitting = [value for value in values if fits(value, types)]
        if not fitting:
            raise refused(f"{place}/{keyword}", "has no value that the schema lets through")
        if keyword == "enum":
            schema["enum"] = fitting


def fits(value: Any, types: Iterable[str]) -> bool:
    return any(_CHECKS[name](value) for name in types)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_CHECKS: dict[str, Any] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, Mapping),
}


def check_form(given: Mapping[str, Any], place: str) -> None:
    """Refuses keywords whose values have the wrong form, or are beyond the limits."""
    for keyword, value in given.items():
        if (why := _wrong(keyword, value)) is not None:
            raise refused(f"{place}/{keyword}", why)
    for what in ("Length", "Items", "Properties"):
        least, most = given.get(f"min{what}", 0), given.get(f"max{what}")
        if most is not None and least > most:
            raise refused(place, f"has min{what} {least} and max{what} {most}: nothing is valid")
    low, high = given.get("minimum"), given.get("maximum")
    if low is not None and high is not None and low > high:
        raise refused(place, f"spans {low} to {high}: nothing is valid")
    _check_counts(given, place)


def _check_counts(given: Mapping[str, Any], place: str) -> None:
    """llguidance counts only properties that are not named, and does not see when one of those comes twice."""
    counts = [keyword for keyword in ("minProperties", "maxProperties") if keyword in given]
    if not counts:
        return
    names, needed = given.get("properties", {}), given.get("required", [])
    if set(names) - set(needed) or APPLICATORS & set(given):
        raise refused(f"{place}/{counts[0]}", "can be enforced only where all of `properties` are required")
    if given.get("minProperties", 0) > max(1, len(needed)):
        raise refused(f"{place}/minProperties", "can be enforced only up to the number of `required` properties")


def _wrong(keyword: str, value: Any) -> str | None:
    shown = reprlib.repr(value)
    if keyword == "type":
        names = value if isinstance(value, list) else [value]
        if not names or not all(isinstance(name, str) and name in KEYWORDS for name in names):
            return f"is {shown}; the types are {', '.join(KEYWORDS)}"
        return "names a type twice" if len(set(names)) < len(names) else None
    if keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
        return None if isinstance(value, list) and value else "is not a list of schemas"
    if keyword == "enum":
        return None if isinstance(value, list) else "is not a list of values"
    if keyword == "properties":
        return _wrong_names(value)
    if keyword == "required":
        named = isinstance(value, list) and all(isinstance(name, str) for name in value)
        return None if named else "is not a list of names"
    if keyword[:3] in ("min", "max") and keyword[3:] in ("Length", "Items", "Properties"):
        return _wrong_count(value, shown, MOST_CHARACTERS if keyword[3:] == "Length" else MOST_ITEMS)
    if keyword in KEYWORDS["number"]:
        return _wrong_number(keyword, value, shown)
    return _wrong_text(keyword, value, shown) if keyword in ("pattern", "format") else None


def _wrong_names(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return "is not an object of schemas"
    bad = next((name for name in value if not isinstance(name, str) or not _is_utf8(name)), None)
    return None if bad is None else f"has the name {bad!r}, which is no text in UTF-8"


def _wrong_count(value: Any, shown: str, most: int) -> str | None:
    if not fits(value, ("integer",)) or value < 0:
        return f"is {shown}, not a whole number from 0"
    return f"is {shown}; at most {most} can be enforced" if value > most else None


def _wrong_number(keyword: str, value: Any, shown: str) -> str | None:
    if not _is_number(value) or not _is_json(value):
        return f"is {shown}, not a number that can be compared exactly"
    if keyword != "multipleOf":
        return None
    if value % 1 or not 1 <= value <= LARGEST_MULTIPLE:
        return f"is {shown}; whole numbers from 1 to {LARGEST_MULTIPLE} can be enforced"
    return None


def _wrong_text(keyword: str, value: Any, shown: str) -> str | None:
    if keyword == "format":
        known = sorted({*FORMATS, *OTHER_FORMATS})
        return None if isinstance(value, str) and value in known else f"is {shown}; {', '.join(known)} can be enforced"
    if not isinstance(value, str):
        return f"is {shown}, not a regular expression"
    try:
        whole_match(value)
    except PatternError as error:
        return f"is {shown}: {error}"
    return None


def _is_json(value: Any) -> bool:
    """Whether a value can be written as JSON in UTF-8, and llguidance writes it exactly so."""
    todo: list[tuple[Any, int]] = [(value, 0)]
    while todo:
        value, level = todo.pop()
        inexact = _is_number(value) and not _is_exact(value)
        if inexact or level > MOST_VALUE_LEVELS or (isinstance(value, str) and not _is_utf8(value)):
            return False
        inner: Iterable[Any] = [*value, *value.values()] if isinstance(value, Mapping) else ()
        todo += [(one, level + 1) for one in (value if isinstance(value, list) else inner)]
    return True


def _is_exact(value: float) -> bool:
    if not abs(value) <= LARGEST_EXACT:
        return False
    return isinstance(value, float) or abs(value) <= EXACT or int(float(value)) == value


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
