"""Field match: which calls are read, and which share of their fields is right."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nightjar.pipeline.scores import Score, ScoreState
from nightjar.pipeline.scoring.calls import find_call
from nightjar.pipeline.scoring.expectations import expectation_scorer
from nightjar.pipeline.scoring.installed import validate_check
from nightjar.pipeline.scoring.scorer import Context, apply

ARGUMENTS = {"city": "Paris", "days": 3}
CALL = json.dumps({"name": "weather", "arguments": ARGUMENTS})


@pytest.mark.parametrize(
    "reply",
    [
        CALL,  # bare
        f"```json\n{CALL}\n```",  # fenced
        f"<tool_call>\n{CALL}\n</tool_call>",
        f"I will look it up. {CALL} One moment.",  # among other text
        f"[TOOL_CALLS][{CALL}]",
        json.dumps([{"name": "weather", "parameters": ARGUMENTS}]),
        json.dumps({"type": "function", "function": {"name": "weather", "arguments": json.dumps(ARGUMENTS)}}),
        json.dumps({"function": "weather", "arguments": ARGUMENTS}),
        f"<function=weather>{json.dumps(ARGUMENTS)}</function>",
        'weather(city="Paris", days=3)',
        '[weather(city="Paris", days=3)]',
        'An {unclosed brace, then {"name": "other", "arguments": {}} and ' + CALL,  # the wanted one among several
    ],
)
def test_call_is_read(reply: str) -> None:
    """Each of the ways in which models write a call."""
    call = find_call(reply, "weather")
    assert call is not None
    assert (call.name, dict(call.arguments)) == ("weather", ARGUMENTS)


@pytest.mark.parametrize(
    "reply", ["", "weather is fine", '{"city": "Paris"}', "{" * 5000, "weather(3)", "weather(x=f())"]
)
def test_no_call(reply: str) -> None:
    """Prose, a plain object, braces without end, a call with values that are no values."""
    assert find_call(reply, "weather") is None


def outcome(reply: Any, **options: Any) -> Score:
    text = reply if isinstance(reply, str) else json.dumps(reply)
    return apply(expectation_scorer("fields", options), Context(prompt="p", reply=text))


SHARES: list[tuple[Any, dict[str, Any], float]] = [
    (ARGUMENTS, {"expected": ARGUMENTS}, 1.0),  # a plain object has fields too
    ({"city": "Rome", "days": 3}, {"expected": ARGUMENTS}, 0.5),
    ({"days": 3}, {"expected": ARGUMENTS}, 0.5),  # missing
    ("no JSON", {"expected": ARGUMENTS}, 0.0),
    (CALL, {"expected": ARGUMENTS, "function": "weather"}, 1.0),
    (CALL, {"expected": ARGUMENTS, "function": "forecast"}, 0.0),  # another function
    (CALL, {"expected": ARGUMENTS, "schema": {"properties": {"days": {"type": "string"}}}}, 0.0),
    ({"city": " PARIS", "days": "3"}, {"expected": ARGUMENTS}, 0.0),
    ({"city": " PARIS", "days": "3"}, {"expected": ARGUMENTS, "format": "loose"}, 1.0),
    ({"zip": 75001}, {"expected": {"zip": "75001"}, "format": "loose"}, 1.0),
    ({"x": 1.04}, {"expected": {"x": 1}, "tolerance": 0.05}, 1.0),
    ({"x": 1.06}, {"expected": {"x": 1}, "tolerance": 0.05}, 0.0),
    ({"x": True}, {"expected": {"x": 1}}, 0.0),  # a truth is no number
    ({"t": ["b", "a"]}, {"expected": {"t": ["a", "b"]}}, 0.0),
    ({"t": ["b", "a"]}, {"expected": {"t": ["a", "b"]}, "order": "any"}, 1.0),
    ({"t": ["a", "a"]}, {"expected": {"t": ["a", "b"]}, "order": "any"}, 0.0),  # each counts once
    ({"p": {"city": "Paris", "zip": 1}}, {"expected": {"p": {"city": "Paris", "zip": 2}}}, 0.5),  # nested fields
    ({"a": 1, "b": 2}, {"expected": {"a": 1}}, 1.0),
    ({"a": 1, "b": 2}, {"expected": {"a": 1}, "extra": "refuse"}, 0.5),
    ({"a": None}, {"expected": {"a": None}}, 1.0),
]


@pytest.mark.parametrize(("reply", "options", "share"), SHARES)
def test_share_of_fields(reply: Any, options: dict[str, Any], share: float) -> None:
    """The share of correct fields; the reason names the wrong ones."""
    score = outcome(reply, **options)
    assert (score.state, score.value) == (ScoreState.SCORED, share)
    assert share == 1 or score.reason


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({}, "expected"),
        ({"expected": {}}, "at least one field"),
        ({"expected": {"a": 1}, "tolerence": 1}, "'tolerance'"),
        ({"expected": {"a": 1}, "tolerance": -1}, "0 or more"),
        ({"expected": {"a": 1}, "format": "lax"}, "exact or loose"),
        ({"expected": {"a": 1}, "function": ""}, "name of a function"),
        ({"expected": {"a": 1}, "schema": {"type": "nope"}}, "not a JSON Schema"),
        ({"expected": {"a": 1}, "schema": {"$ref": "http://example.com/s"}}, "inside the schema"),
    ],
)
def test_bad_arguments_are_refused(value: Any, told: str) -> None:
    """Before anything is generated."""
    with pytest.raises(ValueError, match=r"(?s).*") as caught:
        validate_check("fields", value)
    assert told in str(caught.value)
