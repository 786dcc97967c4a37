"""The checks a suite may ask for in a turn's `expect`: by name, with an argument.

A suite is data: it names a check of Nightjar's own (`checks.py`), or one that this installation brings (`plugins.py`),
and can bring no code of its own.
"""

from __future__ import annotations

from typing import Any

from nightjar.config.errors import suggest
from nightjar.pipeline.scoring.checks import CHECKS
from nightjar.pipeline.scoring.plugins import user_scorers
from nightjar.pipeline.scoring.scorer import FunctionScorer, ScorerFactory


def validate_expectation(check: str, value: Any) -> None:
    """Raises ValueError, with a message for people, when no check has that name or it cannot take the value."""
    expectation_scorer(check, value)


def expectation_scorer(check: str, value: Any, *, name: str | None = None) -> FunctionScorer:
    """The scorer of one expectation, compiled once. Raises ValueError.

    Checks of users are looked for only where no built-in one has the name: their modules are imported then.
    """
    return _factory(check).scorer(value, name=name)


def _factory(check: str) -> ScorerFactory:
    if check in CHECKS:
        return CHECKS[check]
    theirs = user_scorers().checks
    if check not in theirs:
        raise ValueError(f"There is no check {check!r}. {suggest(check, {*CHECKS, *theirs}, 'check')}")
    return theirs[check]
