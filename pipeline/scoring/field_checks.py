"""Field match: compares a function call, or a JSON object, in a reply with what it should be. Pure.

The value is the share of the expected fields that are right. No call, a call of another function, and arguments that
the schema refuses have the worst value: a call that its function would refuse has no good fields.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from nightjar.pipeline.scores import Score, passed, unscored
from nightjar.pipeline.scoring.arguments import is_number, known_keys
from nightjar.pipeline.scoring.calls import FunctionCall, find_call
from nightjar.pipeline.scoring.schema_check import SchemaCheck, UndecidedError
from nightjar.pipeline.scoring.scorer import Context, ScoreFunction

_DEFAULTS: Mapping[str, Any] = {
    "expected": None,
    "function": None,
    "schema": None,
    "tolerance": 0.0,
    "format": "exact",
    "order": "exact",
    "extra": "allow",
}
_CHOICES = {"format": ("exact", "loose"), "order": ("exact", "any"), "extra": ("allow", "refuse")}


def fields(value: Any) -> ScoreFunction:
    """The share of the `expected` fields that are right in the reply's call.

    `function`: the call's name; without it a plain JSON object will do. `schema`: of the arguments. `tolerance`: the
    largest difference of numbers. `format: loose`: case and white space do not count, and "3" is 3. `order: any`: of
    lists. `extra: refuse`: each unexpected field counts as one more that is wrong.
    """
    options = _options(value)
    wanted = dict(leaves(options["expected"]))
    schema = None if options["schema"] is None else SchemaCheck(options["schema"])

    def check(context: Context) -> Score:
        call = find_call(context.reply, options["function"])
        if call is None:
            return passed(False, reason=_no_call(options["function"]))
        if options["function"] is not None and call.name != options["function"]:
            return passed(False, answer=call.shown, reason=f"it calls {call.name!r}, wanted {options['function']!r}")
        if schema is not None:
            try:
                refusal = schema.refusal(call.arguments)
            except UndecidedError as error:
                return unscored(str(error))
            if refusal is not None:
                return passed(False, answer=call.shown, reason=f"the schema refuses it: {refusal}"[:300])
        return _share(call, wanted, options)

    return check


def _share(call: FunctionCall, wanted: Mapping[str, Any], options: Mapping[str, Any]) -> Score:
    given = dict(leaves(call.arguments))
    wrong = [
        f"{path} is {_shown(given[path])}, wanted {_shown(value)}" if path in given else f"{path} is missing"
        for path, value in wanted.items()
        if path not in given or not same(given[path], value, options)
    ]
    extra = [path for path in given if path not in wanted] if options["extra"] == "refuse" else []
    wrong += [f"{path} was not asked for" for path in extra]
    total = len(wanted) + len(extra)
    return Score(value=(total - len(wrong)) / total, answer=call.shown, reason="; ".join(wrong)[:500] or None)


def leaves(data: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """("place.city", value) for every field of nested objects; lists and empty objects are values."""
    for key, value in data.items():
        name = f"{path}{key}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def same(given: Any, wanted: Any, options: Mapping[str, Any]) -> bool:
    """Whether two values agree, as far as the options ask."""
    loose = options["format"] == "loose"
    if is_number(wanted):
        number = _number(given) if loose else given
        return is_number(number) and abs(number - wanted) <= max(options["tolerance"], abs(wanted) * 1e-9)
    if isinstance(wanted, list):
        return isinstance(given, list) and _same_lists(given, wanted, options)
    if isinstance(wanted, Mapping):
        return (
            isinstance(given, Mapping)
            and given.keys() == wanted.keys()
            and all(same(given[key], value, options) for key, value in wanted.items())
        )
    if loose and isinstance(wanted, str) and isinstance(given, str | int | float) and not isinstance(given, bool):
        return _loosely(str(given)) == _loosely(wanted)
    if loose and isinstance(wanted, bool) and isinstance(given, str):
        return given.strip().casefold() == str(wanted).casefold()
    return type(given) is type(wanted) and bool(given == wanted)


def _same_lists(given: list[Any], wanted: list[Any], options: Mapping[str, Any]) -> bool:
    if len(given) != len(wanted):
        return False
    if options["order"] == "exact":
        return all(same(value, other, options) for value, other in zip(given, wanted, strict=True))
    left = list(given)
    for value in wanted:
        match = next((at for at, item in enumerate(left) if same(item, value, options)), None)
        if match is None:
            return False
        del left[match]
    return True


def _options(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not isinstance(value.get("expected"), Mapping) or not value["expected"]:
        raise ValueError("fields takes a mapping with `expected: {field: value, ...}`, at least one field.")
    known_keys(value, "fields", _DEFAULTS)
    options = {**_DEFAULTS, **value}
    for key, allowed in _CHOICES.items():
        if options[key] not in allowed:
            raise ValueError(f"fields: {key} is {' or '.join(allowed)}, not {options[key]!r}.")
    if not is_number(options["tolerance"]) or options["tolerance"] < 0:
        raise ValueError(f"fields: tolerance is a number, 0 or more, not {options['tolerance']!r}.")
    function = options["function"]
    if function is not None and not (isinstance(function, str) and function.strip()):
        raise ValueError(f"fields: function is the name of a function, not {function!r}.")
    return options


def _number(value: Any) -> Any:
    try:
        number = float(value.replace(",", "").replace("\u2212", "-")) if isinstance(value, str) else value
    except ValueError:
        return value
    return number if not isinstance(number, float) or math.isfinite(number) else value


def _loosely(text: str) -> str:
    return " ".join(text.casefold().split())


def _no_call(function: str | None) -> str:
    return "no JSON object in the reply" if function is None else "no function call in the reply"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
