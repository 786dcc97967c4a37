"""The check `extract`: what a pattern finds in a reply, compared with the answer letter by letter. Pure.

Reads replies as filters and exact matches of lm-evaluation-harness do.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Any

import regex

from nightjar.pipeline.scores import Score, passed, unscored
from nightjar.pipeline.scoring.scorer import Context, ScoreFunction
from nightjar.pipeline.scoring.text_checks import REGEX_DEADLINE_S, compile_pattern

FORM = (
    "extract takes {answer: a text or a list of texts, pattern, match, otherwise, ignore: [patterns], ignore_case, "
    "ignore_punctuation, ignore_digits}"
)
_FLAGS = ("ignore_case", "ignore_punctuation", "ignore_digits")
_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """How a reply is read, and what of both texts does not count."""

    pattern: regex.Pattern[str] | None
    match: int
    otherwise: str
    ignore: tuple[regex.Pattern[str], ...]
    flags: frozenset[str]

    def found(self, reply: str) -> str:
        """What the pattern finds: the match of that number, its first group that is not empty."""
        if self.pattern is None:
            return reply
        matches = self.pattern.findall(reply, timeout=REGEX_DEADLINE_S)
        if not -len(matches) <= self.match < len(matches):
            return self.otherwise
        match = matches[self.match]
        if isinstance(match, tuple):
            match = next((group for group in match if group), self.otherwise)
        return str(match).strip()

    def compared(self, text: str) -> str:
        for pattern in self.ignore:
            text = pattern.sub("", text, timeout=REGEX_DEADLINE_S)
        if "ignore_case" in self.flags:
            text = text.lower()
        unseen = string.punctuation if "ignore_punctuation" in self.flags else ""
        unseen += string.digits if "ignore_digits" in self.flags else ""
        return text.translate(str.maketrans("", "", unseen))


def extract(value: Any) -> ScoreFunction:
    """What the pattern finds in the reply (without one: the whole reply) is one of the answers."""
    options = dict(value) if isinstance(value, dict) else {"answer": value}
    answers = _texts(options.pop("answer", None), "answer")
    pattern, match = options.pop("pattern", None), options.pop("match", 0)
    otherwise = options.pop("otherwise", "[invalid]")
    ignored = options.pop("ignore", [])
    flags = frozenset(name for name in _FLAGS if options.pop(name, False) is True)
    if options or not isinstance(match, int) or isinstance(match, bool) or not isinstance(otherwise, str):
        raise ValueError(f"{FORM}, not {value!r}.")
    reading = _Reading(
        pattern=None if pattern is None else compile_pattern(pattern),
        match=match,
        otherwise=otherwise,
        ignore=tuple(compile_pattern(one) for one in (_texts(ignored, "ignore") if ignored else ())),
        flags=flags,
    )
    wanted = {reading.compared(answer) for answer in answers}

    def check(context: Context) -> Score:
        try:
            found = reading.found(context.reply)
            met = reading.compared(found) in wanted
        except TimeoutError:
            return unscored(f"a pattern took longer than {REGEX_DEADLINE_S:g} s on this reply")
        return passed(met, answer=found[:_SHOWN], reason=f"found {found[:_SHOWN]!r}, wanted {answers[0][:_SHOWN]!r}")

    return check


def _texts(value: Any, name: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{FORM}; its {name!r} is {value!r}.")
    return list(texts)
