"""Measures of every reply's text: they describe, and neither end of them is better. Pure.

Distinct-n is the share of n-grams that are different (Li et al. 2016); it falls with length, so compare like with like.
All share one tokenisation of the reply, and `loops` looks closer only where spans of words come again.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.scoring.diversity import looped_share
from pipeline.scoring.scorer import Context, Direction, FunctionScorer, Scale, Score, unscored
from pipeline.scoring.words import words

SPAN_WORDS = 4
"""Repetition is measured over spans of this many words."""


def distinct(tokens: Sequence[str], n: int) -> float | None:
    """Different n-grams / n-grams; None for fewer than n words."""
    total = len(tokens) - n + 1
    if total < 1:
        return None
    return len(set(zip(*(tokens[i:] for i in range(n)), strict=False))) / total


def repetition(tokens: Sequence[str], span: int = SPAN_WORDS) -> float | None:
    """Share of the spans of words that occurred before in the same reply: 0 for none; None below one span."""
    share = distinct(tokens, span)
    return None if share is None else 1.0 - share


def _words(context: Context) -> Score:
    return Score(value=float(len(words(context.reply))))


def _distinct_1(context: Context) -> Score:
    return _or_unscored(distinct(words(context.reply), 1), 1)


def _distinct_2(context: Context) -> Score:
    return _or_unscored(distinct(words(context.reply), 2), 2)


def _repetition(context: Context) -> Score:
    return _or_unscored(repetition(words(context.reply)), SPAN_WORDS)


def _loops(context: Context) -> Score:
    tokens = words(context.reply)
    if not tokens:
        return unscored("the reply has no words")
    return Score(value=looped_share(tokens) if repetition(tokens) else 0.0)


def _or_unscored(value: float | None, at_least: int) -> Score:
    return unscored(f"the reply has fewer than {at_least} words") if value is None else Score(value=value)


_COUNT = Scale(worst=None, best=None, direction=Direction.NONE, unit="words", least=0.0)
_SHARE = Scale(worst=None, best=None, direction=Direction.NONE, unit="share", least=0.0, most=1.0)

MEASURES: tuple[FunctionScorer, ...] = (
    FunctionScorer(name="words", scale=_COUNT, function=_words, help="words of the reply"),
    FunctionScorer(name="distinct_1", scale=_SHARE, function=_distinct_1, help="share of words that are different"),
    FunctionScorer(
        name="distinct_2", scale=_SHARE, function=_distinct_2, help="share of word pairs that are different"
    ),
    FunctionScorer(
        name="repetition", scale=_SHARE, function=_repetition, help="share of 4-word spans that occurred before"
    ),
    FunctionScorer(
        name="loops", scale=_SHARE, function=_loops, help="share of words in a span said three times running or more"
    ),
)
"""Measured on every reply."""
