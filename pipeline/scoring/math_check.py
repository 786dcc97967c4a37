"""The check `math`: a reply's answer is the same expression, by math-verify, which the extra `math` installs. Pure."""

from __future__ import annotations

import logging
from functools import lru_cache
from importlib import metadata
from typing import Any

from nightjar.config.errors import UsageError
from nightjar.config.installation import extra_line
from nightjar.pipeline.scores import Score, passed, unscored
from nightjar.pipeline.scoring.scorer import Context, ScoreFunction

_SHOWN = 200


def math(value: Any) -> ScoreFunction:
    """The reply's answer equals the expression, a text in LaTeX such as `\\frac{3}{4}`, or one of a list."""
    answers = [value] if isinstance(value, str) else value
    if not isinstance(answers, list | tuple) or not answers or not all(isinstance(one, str) and one for one in answers):
        raise ValueError(f"math takes an expression in LaTeX, or a list of them, not {value!r}.")

    def check(context: Context) -> Score:
        if (absent := missing_math()) is not None:
            return unscored(absent)
        from math_verify import parse, verify

        found = parse(context.reply, parsing_timeout=None)  # the scoring process has a deadline of its own
        if not found:
            return passed(False, reason="the reply gives no expression")
        met = any(verify(_read(answer), found, timeout_seconds=None) for answer in answers)
        return passed(
            met, answer=str(found[-1])[:_SHOWN], reason=f"{str(found[-1])[:_SHOWN]}, wanted {answers[0][:_SHOWN]}"
        )

    return check


def require_math() -> None:
    """Raises UsageError, with what to do, where math-verify is not installed."""
    if (absent := missing_math()) is not None:
        raise UsageError(absent)


def math_version() -> str:
    """Which math-verify reads the replies."""
    try:
        return f"math-verify {metadata.version('math-verify')}"
    except metadata.PackageNotFoundError:
        return "math-verify"


@lru_cache(maxsize=1)
def missing_math() -> str | None:
    """Why expressions cannot be compared, and what to do; None where they can."""
    try:
        import math_verify  # noqa: F401
    except ImportError:
        return f"Expressions are compared by math-verify, which is not installed. Install it with: {extra_line('math')}"
    for name in ("math_verify.parser", "math_verify.grader"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they say each time that they have no deadline
    return None


@lru_cache(maxsize=64)
def _read(answer: str) -> Any:
    """The right answer, read as mathematics whatever stands around it in a reply."""
    from math_verify import parse

    return parse(f"${answer}$", parsing_timeout=None)
