"""Measures of every reply's text: they describe, and neither end is better. Pure.

Distinct-n is the share of n-grams that are distinct (Li et al. 2016); it falls with length, so compare texts of similar
length. All measures share one tokenisation of the reply; `loops` looks closer only if spans of words recur.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from nightjar.pipeline.scores import Direction, Scale, Score, unscored
from nightjar.pipeline.scoring.diversity import looped_share
from nightjar.pipeline.scoring.scorer import Context, FunctionScorer
from nightjar.pipeline.scoring.words import WORDS_VERSION, unit_of, words

SPAN_WORDS = 4
"""Repetition is measured over spans of this many words."""
_NONE = Score(value=0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Variety:
    """The measures of one text; None if it has too few words."""

    words: int
    distinct_1: float | None
    distinct_2: float | None
    repetition: float | None


@lru_cache(maxsize=2)
def variety(text: str) -> Variety:
    """All measures of a text at once."""
    tokens = words(text)
    count = len(tokens)
    return Variety(
        words=count,
        distinct_1=len(set(tokens)) / count if count else None,
        distinct_2=len(set(pairwise(tokens))) / (count - 1) if count > 1 else None,
        repetition=repetition(tokens),
    )


def repetition(tokens: Sequence[str]) -> float | None:
    """Share of the spans of words that occurred earlier in the reply; None if it is shorter than one span."""
    total = len(tokens) - SPAN_WORDS + 1
    if total < 1:
        return None
    return 1 - len(set(zip(*(tokens[at:] for at in range(SPAN_WORDS)), strict=False))) / total


def _words(context: Context) -> Score:
    unit = unit_of(context.reply)
    return Score(value=float(variety(context.reply).words), answer=None if unit == "words" else f"counted in {unit}")


def _distinct_1(context: Context) -> Score:
    return _or_unscored(variety(context.reply).distinct_1, 1, context)


def _distinct_2(context: Context) -> Score:
    return _or_unscored(variety(context.reply).distinct_2, 2, context)


def _repeated(context: Context) -> Score:
    return _or_unscored(variety(context.reply).repetition, SPAN_WORDS, context)


def _loops(context: Context) -> Score:
    measured = variety(context.reply)
    if not measured.words:
        return _or_unscored(None, 1, context)
    return Score(value=looped_share(words(context.reply))) if measured.repetition else _NONE


def _or_unscored(value: float | None, at_least: int, context: Context) -> Score:
    if value is None:
        return unscored(f"the reply has fewer than {at_least} {unit_of(context.reply)}")
    return Score(value=value) if value else _NONE


_COUNT = Scale(worst=None, best=None, direction=Direction.NONE, unit="words", least=0.0)
_SHARE = Scale(worst=None, best=None, direction=Direction.NONE, unit="share", least=0.0, most=1.0)

MEASURES: tuple[FunctionScorer, ...] = (
    FunctionScorer(
        name="words",
        scale=_COUNT,
        function=_words,
        version=WORDS_VERSION,
        help="words of the reply; characters in scripts without spaces",
    ),
    FunctionScorer(
        name="distinct_1",
        scale=_SHARE,
        function=_distinct_1,
        version=WORDS_VERSION,
        help="share of words that are different",
    ),
    FunctionScorer(
        name="distinct_2",
        scale=_SHARE,
        function=_distinct_2,
        version=WORDS_VERSION,
        help="share of word pairs that are different",
    ),
    FunctionScorer(
        name="repetition",
        scale=_SHARE,
        function=_repeated,
        version=WORDS_VERSION,
        help="share of 4-word spans that occurred before",
    ),
    FunctionScorer(
        name="loops",
        scale=_SHARE,
        function=_loops,
        version=WORDS_VERSION,
        help="share of words in a span said three times running or more",
    ),
)
"""Measured on every reply."""
