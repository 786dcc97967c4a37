"""Checks that take an answer out of a reply: a number, the letter of a choice. Pure."""

from __future__ import annotations

import math
from typing import Any

import regex

from nightjar.pipeline.scores import Score, passed
from nightjar.pipeline.scoring.choice_reader import chosen_option
from nightjar.pipeline.scoring.number_reader import answer_number
from nightjar.pipeline.scoring.scorer import Context, ScoreFunction

_OPTIONS = ("A", "B", "C", "D", "E")


def numeric(value: Any) -> ScoreFunction:
    """The reply's answer is the value, within `tolerance` (default 1e-9 of it): 42 or {value, tolerance}."""
    options = dict(value) if isinstance(value, dict) else {"value": value}
    wanted, tolerance = options.pop("value", None), options.pop("tolerance", None)
    if options or not _is_number(wanted) or not (tolerance is None or (_is_number(tolerance) and tolerance >= 0)):
        raise ValueError(f"numeric takes a number or {{value: number, tolerance: number}}, not {value!r}.")
    allowed = abs(wanted) * 1e-9 if tolerance is None else tolerance

    def check(context: Context) -> Score:
        number = answer_number(context.reply)
        if number is None:
            return passed(False, reason="the reply gives no one number")
        return passed(abs(number - wanted) <= allowed, answer=f"{number:g}", reason=f"{number:g}, wanted {wanted:g}")

    return check


def choice(value: Any) -> ScoreFunction:
    """The reply chooses the option: "B" or {answer: B, options: [A, B, C, D]} (default A to E)."""
    given = dict(value) if isinstance(value, dict) else {"answer": value}
    answer, options = given.pop("answer", None), given.pop("options", _OPTIONS)
    letters = list(options) if isinstance(options, list | tuple) else []
    if given or not letters or not all(isinstance(o, str) and regex.fullmatch(r"\w{1,20}", o) for o in letters):
        raise ValueError(f"choice takes an option such as B or {{answer: B, options: [A, B, C]}}, not {value!r}.")
    if answer not in letters:
        raise ValueError(f"choice: the answer {answer!r} is not one of the options {letters}.")

    def check(context: Context) -> Score:
        chosen = chosen_option(context.reply, letters)
        if chosen is None:
            return passed(False, reason="the reply chooses no one option")
        return passed(chosen == answer, answer=chosen, reason=f"chose {chosen}, wanted {answer}")

    return check


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
