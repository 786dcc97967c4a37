"""How similar a reply is to its reference (chrF, ROUGE, edit similarity) and to its other repeats. Pure.

chrF (Popovic 2015) is sacrebleu's. ROUGE (Lin 2004) is the F1 of the n-grams, or of the longest common subsequence,
over `words`; subsequences and edit distances are rapidfuzz's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from statistics import fmean
from typing import Any

from nightjar.pipeline.scores import Score, unscored
from nightjar.pipeline.scoring.arguments import options_of
from nightjar.pipeline.scoring.scorer import Context, ScoreFunction
from nightjar.pipeline.scoring.words import words

_NO_REFERENCE = "the turn has no reference"


def chrf(value: Any) -> ScoreFunction:
    """Character n-gram F-score, 0 to 100. `word_order: 2` makes it chrF++ (Popovic 2017)."""
    options = options_of(value, "chrf", {"word_order": 0})
    order = options["word_order"]
    if order not in (0, 1, 2) or isinstance(order, bool):
        raise ValueError(f"chrf: word_order is 0 (chrF) or 2 (chrF++), not {order!r}.")

    def score(context: Context) -> Score:
        if context.reference is None:
            return unscored(_NO_REFERENCE)
        return Score(value=float(_chrf(order).sentence_score(context.reply, [context.reference]).score))

    return score


def rouge_n(n: int) -> Callable[[Any], ScoreFunction]:
    """ROUGE-N: F1 of the n-grams shared by reply and reference."""

    def build(value: Any) -> ScoreFunction:
        options_of(value, f"rouge_{n}", {})

        def score(context: Context) -> Score:
            if context.reference is None:
                return unscored(_NO_REFERENCE)
            reply, reference = _ngrams(words(context.reply), n), _ngrams(words(context.reference), n)
            if not reference:
                return unscored(f"the reference has fewer than {n} words")
            return Score(value=_f1((reply & reference).total(), reply.total(), reference.total()))

        return score

    return build


def rouge_l(value: Any) -> ScoreFunction:
    """ROUGE-L: F1 of the longest common subsequence of words."""
    options_of(value, "rouge_l", {})

    def score(context: Context) -> Score:
        if context.reference is None:
            return unscored(_NO_REFERENCE)
        reference = words(context.reference)
        if not reference:
            return unscored("the reference has no words")
        return Score(value=common_subsequence(words(context.reply), reference))

    return score


def edit_similarity(value: Any) -> ScoreFunction:
    """1 - Levenshtein distance / length of the longer text, over characters. `case: false` ignores letter case."""
    options = options_of(value, "edit_similarity", {"case": True})
    if not isinstance(options["case"], bool):
        raise ValueError(f"edit_similarity: case is true or false, not {options['case']!r}.")

    def score(context: Context) -> Score:
        from rapidfuzz.distance import Levenshtein

        if context.reference is None:
            return unscored(_NO_REFERENCE)
        texts = [text.strip() for text in (context.reply, context.reference)]
        if not options["case"]:
            texts = [text.casefold() for text in texts]
        return Score(value=float(Levenshtein.normalized_similarity(*texts)))

    return score


def self_similarity(value: Any) -> ScoreFunction:
    """Mean ROUGE-L F1 between a reply and those of the other repeats (the homogenisation of Padmakumar and He 2024)."""
    options_of(value, "self_similarity", {})

    def score(context: Context) -> Score:
        own = words(context.reply)
        others = [other for text in context.repeats if (other := words(text))]
        if not own:
            return unscored("the reply has no words")
        if not others:
            return unscored("there is no other repeat to compare with")
        return Score(value=fmean(common_subsequence(own, other) for other in others))

    return score


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> float:
    """F1 of the longest common subsequence; 0 if either is empty."""
    from rapidfuzz.distance import LCSseq

    return _f1(LCSseq.similarity(first, second), len(first), len(second))


def _f1(common: int, first: int, second: int) -> float:
    return 2 * common / (first + second) if common else 0.0


def _ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[at:] for at in range(n)), strict=False))


@lru_cache(maxsize=3)
def _chrf(word_order: int) -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(word_order=word_order)
