"""The checks a suite may ask for in a turn's `expect`: by name, with an argument.

A suite is data: it names a built-in check (`checks.py`) or one that this installation adds (`plugins.py`), and cannot
bring any code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nightjar.config.errors import suggest
from nightjar.pipeline.scoring.checks import CHECKS
from nightjar.pipeline.scoring.scorer import FunctionScorer, ScorerFactory


def expectation_scorer(
    check: str, value: Any, *, own: Mapping[str, ScorerFactory] | None = None, name: str | None = None
) -> FunctionScorer:
    """The scorer of one expectation, compiled once. `own`: the checks that users bring. Raises ValueError."""
    known = {**(own or {}), **CHECKS}
    if check not in known:
        raise ValueError(f"There is no check {check!r}. {suggest(check, known, 'check')}")
    return known[check].scorer(value, name=name)
