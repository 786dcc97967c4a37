"""Checks that take an answer out of a reply: a number, the letter of a choice. Pure."""

from __future__ import annotations

import math
from typing import Any

import regex

from nightjar.pipeline.scores import Score, passed
from nightjar.pipeline.scoring.scorer import Context, ScoreFunction

_NUMBER = regex.compile(
    r"(?<![\w.])(?<![^\W\d_][-+])"  # not inside a word: the 2 of GPT-2 is not a number
    r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?(?!\d)"
)
_OPTIONS = ("A", "B", "C", "D", "E")


def numeric(value: Any) -> ScoreFunction:
    """The last number of the reply is the value, within `tolerance` (default 1e-9 of it): 42 or {value, tolerance}."""
    options = dict(value) if isinstance(value, dict) else {"value": value}
    wanted, tolerance = options.pop("value", None), options.pop("tolerance", None)
    if options or not _is_number(wanted) or not (tolerance is None or (_is_number(tolerance) and tolerance >= 0)):
        raise ValueError(f"numeric takes a number or {{value: number, tolerance: number}}, not {value!r}.")
    allowed = abs(wanted) * 1e-9 if tolerance is None else tolerance

    def check(context: Context) -> Score:
        number = last_number(context.reply)
        if number is None:
            return passed(False, reason="no number in the reply")
        return passed(abs(number - wanted) <= allowed, answer=f"{number:g}", reason=f"{number:g}, wanted {wanted:g}")

    return check


def last_number(text: str) -> float | None:
    """The last number written in digits; thousands may be separated by commas, a minus may be U+2212."""
    numbers = _NUMBER.findall(text.replace("\u2212", "-"))
    return float(numbers[-1].replace(",", "")) if numbers else None


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
            return passed(False, reason="no choice of an option in the reply")
        return passed(chosen == answer, answer=chosen, reason=f"chose {chosen}, wanted {answer}")

    return check


def chosen_option(reply: str, options: list[str]) -> str | None:
    """The option a reply chooses: stated ("answer is B"), boxed, at the start ("B.", "(B)"), or the only one named."""
    any_option = "|".join(regex.escape(option) for option in sorted(options, key=len, reverse=True))
    for pattern in (
        rf"(?i:answer(?:\s+is)?\s*:?)\s*[\*_]*\(?({any_option})\b",
        rf"\\boxed\{{\s*(?:\\text\{{)?\s*({any_option})\b",
    ):
        said = regex.findall(pattern, reply)
        if said:
            return str(said[-1])
    start = regex.match(rf"\s*[\*_]*\(?({any_option})(?:[\).:\*_]|\s*\Z|\s*\n)", reply)
    if start:
        return str(start.group(1))
    named = set(regex.findall(rf"(?<!\w)\(?({any_option})[\).](?!\w)|(?<!\w)({any_option})\s*\Z", reply))
    letters = {letter for pair in named for letter in pair if letter}
    return letters.pop() if len(letters) == 1 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
