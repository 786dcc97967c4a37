"""The checks a suite may ask for in a turn's `expect`: by name, with an argument. Pure.

A suite is data: it names a check from this table and can bring no code of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from config.errors import suggest
from pipeline.scoring.answer_checks import choice, numeric
from pipeline.scoring.json_checks import is_json, json_schema
from pipeline.scoring.scorer import PASS, FunctionScorer, ScoreFunction
from pipeline.scoring.text_checks import equals, excludes, includes, limit, matches
from pipeline.scoring.words import count_words

Check = Callable[[Any], ScoreFunction]

CHECKS: Mapping[str, tuple[Check, str]] = MappingProxyType(
    {
        "includes": (includes, "the reply holds every text of a list (or any of them); case ignored"),
        "excludes": (excludes, "the reply holds none of the texts; case ignored"),
        "equals": (equals, "the whole reply is the text, or one of a list; case and white space ignored"),
        "regex": (matches, "the pattern is found in the reply; a deadline of 1 s"),
        "max_words": (limit(count_words, "words", at_most=True), "at most so many words"),
        "min_words": (limit(count_words, "words", at_most=False), "at least so many words"),
        "max_chars": (limit(len, "characters", at_most=True), "at most so many characters"),
        "min_chars": (limit(len, "characters", at_most=False), "at least so many characters"),
        "json": (is_json, "the reply is JSON: true (may be in one fenced block) or strict"),
        "json_schema": (json_schema, "the reply is JSON that the schema accepts"),
        "numeric": (numeric, "the last number of the reply is the value, within a tolerance"),
        "choice": (choice, "the reply chooses the option"),
    }
)


def known_checks() -> Mapping[str, str]:
    """Name -> what it checks, for every check a suite may name."""
    return {name: help_line for name, (_, help_line) in CHECKS.items()}


def validate(check: str, value: Any) -> None:
    """Raises ValueError, with a message for people, when no check has that name or it cannot take the value."""
    expectation_scorer(check, value)


def expectation_scorer(check: str, value: Any, *, name: str | None = None) -> FunctionScorer:
    """The pass-or-fail scorer of one expectation, compiled once. Raises ValueError."""
    if check not in CHECKS:
        raise ValueError(f"There is no check {check!r}. {suggest(check, CHECKS, 'check')}")
    build, help_line = CHECKS[check]
    return FunctionScorer(name=name or check, scale=PASS, function=build(value), help=help_line)
