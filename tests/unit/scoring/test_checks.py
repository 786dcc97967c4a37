"""The checks a suite may ask for: what passes, what fails, and the error for a bad argument."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.pipeline.scores import ScoreState
from nightjar.pipeline.scoring.checks import CHECKS, known_checks
from nightjar.pipeline.scoring.expectations import expectation_scorer
from nightjar.pipeline.scoring.installed import validate_check
from nightjar.pipeline.scoring.scorer import Context, apply


def outcome(check: str, value: Any, reply: str) -> Any:
    return apply(expectation_scorer(check, value), Context(prompt="p", reply=reply))


PASSES: list[tuple[str, Any, str, bool]] = [
    ("includes", "Ada", "and ADA went", True),  # letter case is ignored
    ("includes", {"all": "Ada", "case": True}, "ada", False),  # unless asked
    ("includes", ["Ada", "fox"], "Ada only", False),  # every text of a list
    ("includes", {"any": ["Ada", "fox"]}, "the fox", True),  # or one of them
    ("includes", "stra\u00dfe", "STRASSE", True),  # case folding, not lowering
    ("includes", "e\u0301", "\u00e9", True),  # composed and decomposed accents are equal
    ("excludes", ["sorry", "as an AI"], "Here it is.", True),
    ("excludes", ["sorry"], "Sorry!", False),
    ("equals", "forty two", "  Forty\n two ", True),  # white space and case do not count
    ("equals", ["yes", "no"], "no", True),  # any of a list
    ("equals", "yes", "yes.", False),  # punctuation does
    ("regex", r"^\d{4}$", "2026", True),
    ("regex", r"^\d{4}$", "in 2026", False),
    ("max_words", 3, "one two three", True),
    ("max_words", 3, "one two three four", False),
    ("max_words", 2, "well - done", True),  # a dash alone is no word
    ("min_words", 2, "one", False),
    ("max_words", 2, "नमस्ते दुनिया", True),
    ("max_words", 3, "我喜欢茶。", False),  # four characters
    ("min_words", 0, "", True),
    ("max_chars", 3, "abcd", False),
    ("min_chars", 3, "abc", True),
    ("json", True, '{"a": 1}', True),
    ("json", True, '```json\n{"a": 1}\n```', True),  # one fenced block is common
    ("json", "strict", '```json\n{"a": 1}\n```', False),  # and may be refused
    ("json", True, 'Here: {"a": 1}', False),
    ("json", True, "NaN", False),  # Python reads it, JSON does not
    ("json", True, "[" * 100_000, False),  # too deep to read is not a crash
    ("json", True, "", False),
    ("json_schema", {"type": "object", "required": ["a"]}, '{"a": 1}', True),
    ("json_schema", {"type": "object", "required": ["a"]}, "{}", False),
    ("json_schema", {"type": "string", "pattern": "^a+$"}, '"aaa"', True),
    ("json_schema", {"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"}, "3", True),  # references inside
    ("numeric", 42, "first 7, then 42.", True),  # the last number counts
    ("numeric", 43, "42, or 43", False),  # one of the two is no answer
    ("numeric", 1234.5, "1,234.5 in all", True),  # thousands
    ("numeric", -3, "\u22123", True),  # a typographic minus
    ("numeric", {"value": 3.14, "tolerance": 0.01}, "about 3.145", True),
    ("numeric", {"value": 3.14, "tolerance": 0.001}, "about 3.145", False),
    ("numeric", 5, "none", False),
    ("numeric", 2, "GPT-2", False),  # part of a word is no number
    ("choice", "B", "B", True),
    ("choice", "B", "The answer is (B).", True),
    ("choice", "B", "**B**", True),
    ("choice", "B", r"so \boxed{B}", True),
    ("choice", "A", "A bear went home", False),  # an article is no choice
    ("choice", "B", "A) is wrong, B) is right", True),
    ("choice", "B", "A) is a river, B) is a town", False),  # two named, none chosen
    ("choice", "B", "Answer: A? No. Answer: B", True),  # the last one said
    ("choice", {"answer": "yes", "options": ["yes", "no"]}, "The answer is yes", True),
]


@pytest.mark.parametrize(("check", "value", "reply", "passes"), PASSES)
def test_check(check: str, value: Any, reply: str, passes: bool) -> None:
    """Each reply passes or fails as the table says, and a fail has a reason."""
    score = outcome(check, value, reply)
    assert score.state is ScoreState.SCORED
    assert score.value == float(passes)
    assert passes or score.reason


REFUSED: list[tuple[str, Any, str]] = [
    ("inclodes", "x", "includes"),  # the nearest name
    ("includes", "", "empty"),
    ("includes", [], "empty"),
    ("includes", {"any": ["a"], "all": ["b"]}, "any"),
    ("includes", 3, "text"),
    ("excludes", {"any": ["a"]}, "none of them"),
    ("regex", "(", "not a regular expression"),
    ("regex", "x" * 5000, "4096"),
    ("regex", "((a{1000}){1000}){1000}", "repeats too much"),  # compiling it would eat the memory
    ("regex", 3, "text"),
    ("max_words", 0, "1 or more"),
    ("max_words", True, "whole number"),
    ("min_words", -1, "0 or more"),
    ("min_chars", 1.5, "whole number"),
    ("json", "lenient", "strict"),
    ("json", False, "strict"),
    ("json_schema", "x", "object"),
    ("json_schema", {"type": "nope"}, "not a JSON Schema"),
    ("json_schema", {"$ref": "http://example.com/s"}, "inside the schema"),
    ("json_schema", {"properties": {"a": {"$ref": "other.json"}}}, "$.properties.a.$ref"),
    ("json_schema", {"patternProperties": {"(a+)+": {}}}, "propertyNames"),
    ("json_schema", {"properties": {"a": {"pattern": "("}}}, "not a regular expression"),
    ("numeric", "42", "number"),
    ("numeric", float("nan"), "number"),
    ("numeric", {"value": 1, "tolerance": -1}, "number"),
    ("choice", "F", "not one of the options"),
    ("choice", {"answer": "A", "options": []}, "choice takes"),
]


@pytest.mark.parametrize(("check", "value", "told"), REFUSED)
def test_bad_argument_is_refused(check: str, value: Any, told: str) -> None:
    """A check that cannot be made says why, before anything is generated."""
    with pytest.raises(ValueError, match=r"(?s).*") as caught:
        validate_check(check, value)
    assert told in str(caught.value)


def test_every_check_is_listed_and_tested() -> None:
    """The list shown to people is the list that works, and this table covers it."""
    elsewhere = {"fields", "instruction", "instruction_loose", "extract", "extract_flexible", "math"}  # own tables
    elsewhere |= {check for check in CHECKS if check.startswith("ifeval_")}
    assert set(known_checks()) == set(CHECKS) == {check for check, *_ in PASSES} | elsewhere


def test_slow_pattern_is_unscored() -> None:
    """A pattern that backtracks without end is cut off: no value, and never a fail."""
    score = outcome("regex", "(a|aa)+$", "a" * 60 + "b")
    assert (score.value, score.state) == (None, ScoreState.UNSCORED)
    assert "longer than 1 s" in (score.reason or "")


def test_schema_pattern_has_a_deadline() -> None:
    """A schema's pattern runs under the same deadline as a regex check."""
    score = outcome("json_schema", {"type": "string", "pattern": "(a|aa)+$"}, '"' + "a" * 60 + 'b"')
    assert (score.value, score.state) == (None, ScoreState.UNSCORED)
    assert "longer than 1 s" in (score.reason or "")


def test_model_failure_is_worst() -> None:
    """An empty reply gets the worst value even where the empty text would pass."""
    context = Context(prompt="p", reply="", failure="empty reply: no text")
    score = apply(expectation_scorer("max_words", 5), context)
    assert (score.value, score.state, score.reason) == (0.0, ScoreState.WORST, "empty reply: no text")


def test_raising_scorer_is_a_recorded_failure() -> None:
    """A schema that refers to what is not there: failed with the reason, never a number."""
    score = outcome("json_schema", {"$ref": "#/nowhere"}, "{}")
    assert (score.value, score.state) == (None, ScoreState.FAILED)
    assert "'/nowhere' does not exist" in (score.reason or "")
