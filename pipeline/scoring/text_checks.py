"""Checks of a reply's text: includes, excludes, equals, regex, limits of length. Pure.

Each public function takes a suite's argument, raises ValueError if it is invalid, and returns the score function.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import regex

from nightjar.pipeline.scores import PASSED, Score, passed, unscored
from nightjar.pipeline.scoring.scorer import Context, ScoreFunction

REGEX_DEADLINE_S = 1.0
PATTERN_CHARS = 4096
"""Longest pattern accepted from a suite."""
PATTERN_REPEATS = 100_000
"""Largest product of the counted repetitions of a pattern: compiling (a{1000}){1000} takes gigabytes."""
_COUNTED = regex.compile(r"\{(\d*)(?:,(\d*))?\}")


def includes(value: Any) -> ScoreFunction:
    """Every text is in the reply; `{any: [...]}` wants one of them. Letter case is ignored unless `case: true`."""
    texts, any_of, fold = _texts(value, "includes")
    folded = [(text, fold(text)) for text in texts]

    def check(context: Context) -> Score:
        reply = fold(context.reply)
        absent = [text for text, wanted in folded if wanted not in reply]
        met = len(absent) < len(texts) if any_of else not absent
        return PASSED if met else passed(False, reason=f"not in the reply: {_quoted(absent)}")

    return check


def excludes(value: Any) -> ScoreFunction:
    """None of the texts is in the reply. Letter case is ignored unless `case: true`."""
    texts, any_of, fold = _texts(value, "excludes")
    if any_of:
        raise ValueError("excludes takes a text or a list of texts: none of them may be in the reply.")

    folded = [(text, fold(text)) for text in texts]

    def check(context: Context) -> Score:
        reply = fold(context.reply)
        present = [text for text, unwanted in folded if unwanted in reply]
        return passed(False, reason=f"in the reply: {_quoted(present)}") if present else PASSED

    return check


def equals(value: Any) -> ScoreFunction:
    """The whole reply is the text, or one of a list; white space at the ends and repeated white space do not count."""
    texts, _, fold = _texts(value, "equals")
    wanted = {" ".join(fold(text).split()) for text in texts}

    def check(context: Context) -> Score:
        return passed(" ".join(fold(context.reply).split()) in wanted, reason=f"the reply is not {_quoted(texts)}")

    return check


def matches(value: Any) -> ScoreFunction:
    """The pattern (Python `regex` syntax) is found in the reply. It has a deadline of one second."""
    pattern = compile_pattern(value)

    def check(context: Context) -> Score:
        try:
            match = pattern.search(context.reply, timeout=REGEX_DEADLINE_S)
        except TimeoutError:
            return unscored(f"the pattern took longer than {REGEX_DEADLINE_S:g} s on this reply")
        return passed(match is not None, answer=match.group()[:200] if match else None, reason="no match")

    return check


def compile_pattern(value: Any) -> regex.Pattern[str]:
    """A suite's pattern, compiled. Raises ValueError if it is invalid, too long or repeats too much."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"a regular expression is a text, not {value!r}.")
    if len(value) > PATTERN_CHARS:
        raise ValueError(f"a regular expression of {len(value)} characters; at most {PATTERN_CHARS} are allowed.")
    counts = (max(int(low or 1), int(high or 1), 1) for low, high in _COUNTED.findall(value))
    if math.prod(counts) > PATTERN_REPEATS:
        raise ValueError(f"{value!r} repeats too much: its {{m,n}} multiply to more than {PATTERN_REPEATS}.")
    try:
        return regex.compile(value)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}.") from None


def limit(
    count: Callable[[str], int], unit: str, *, at_most: bool, unit_of: Callable[[str], str] | None = None
) -> Callable[[Any], ScoreFunction]:
    """Makes a check that compares a count, such as words, with a whole number.

    `unit_of`: what is counted in a reply, where it is not always `unit`.
    """

    def build(value: Any) -> ScoreFunction:
        if isinstance(value, bool) or not isinstance(value, int) or value < (1 if at_most else 0):
            raise ValueError(f"wants a whole number of {unit}, {1 if at_most else 0} or more, not {value!r}.")

        def check(context: Context) -> Score:
            size = count(context.reply)
            met = size <= value if at_most else size >= value
            counted = unit if unit_of is None else unit_of(context.reply)
            answer = str(size) if counted == unit else f"{size} {counted}"
            return passed(
                met, answer=answer, reason=f"{size} {counted}, {'at most' if at_most else 'at least'} {value}"
            )

        return check

    return build


def _texts(value: Any, check: str) -> tuple[list[str], bool, Callable[[str], str]]:
    """The texts of an argument, whether one of them is enough, and how texts are made comparable."""
    options = dict(value) if isinstance(value, dict) else {"all": value}
    case = options.pop("case", False)
    if len(options) != 1 or next(iter(options)) not in ("all", "any") or not isinstance(case, bool):
        raise ValueError(f"{check} takes a text, a list of texts, or {{all | any: texts, case: true | false}}.")
    kind, given = next(iter(options.items()))
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(t, str) and t for t in texts):
        raise ValueError(f"{check} takes a text or a list of texts, none of them empty, not {given!r}.")
    return list(texts), kind == "any", _keep if case else _fold


def _keep(text: str) -> str:
    return unicodedata.normalize("NFC", text)


@lru_cache(maxsize=4)  # several checks fold the same reply, one after another
def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _quoted(texts: list[str]) -> str:
    return ", ".join(repr(text[:80]) for text in texts[:5]) + (", ..." if len(texts) > 5 else "")
