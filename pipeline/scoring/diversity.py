"""How varied a reply's words are: moving-average type-token ratio, loops, overused phrases. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import regex

from nightjar.pipeline.scores import Score, unscored
from nightjar.pipeline.scoring.arguments import options_of, texts, whole_argument
from nightjar.pipeline.scoring.scorer import Context, ScoreFunction
from nightjar.pipeline.scoring.words import unit_of, words

SEED_WORDS = 4
"""A loop shows as spans of this many words that occur again."""
LOOP_TIMES = 3
LOOP_PERIOD = 100
"""The longest span, in words, that counts as a loop."""
MATTR_WINDOW = 50
MAX_PHRASES = 5000


def mattr(value: Any) -> ScoreFunction:
    """Moving-average type-token ratio (Covington and McFall 2010): the mean share of distinct words in a window."""
    window = whole_argument(options_of(value, "mattr", {"window": MATTR_WINDOW})["window"], "mattr: window", least=2)

    def score(context: Context) -> Score:
        share = moving_share(words(context.reply), window)
        return (
            unscored(f"the reply has fewer than {window} {unit_of(context.reply)}")
            if share is None
            else Score(value=share)
        )

    return score


def moving_share(tokens: Sequence[str], window: int) -> float | None:
    """Mean over all windows of distinct words / words; None if there are fewer words than one window."""
    if len(tokens) < window:
        return None
    counts = Counter(tokens[:window])
    total = different = len(counts)
    for leaving, entering in zip(tokens, tokens[window:], strict=False):
        counts[leaving] -= 1
        different -= counts[leaving] == 0
        different += counts[entering] == 0
        counts[entering] += 1
        total += different
    return total / (len(tokens) - window + 1) / window


def looped_share(tokens: Sequence[str]) -> float:
    """Share of the words that are in a loop: one span three or more times in a row, at least five words.

    Every such loop has a span of SEED_WORDS words that recurs one period later, so only those periods are tried.
    """
    looped: set[int] = set()
    for period in sorted(_periods(tokens)):
        start = 0
        for at in range(len(tokens) - period + 1):
            if at < len(tokens) - period and tokens[at] == tokens[at + period]:
                continue
            reach = at - start + period
            if reach >= max(LOOP_TIMES * period, SEED_WORDS + period):
                looped.update(range(start, start + reach))
            start = at + 1
    return len(looped) / len(tokens)


def _periods(tokens: Sequence[str]) -> set[int]:
    last: dict[tuple[str, ...], int] = {}
    periods: set[int] = set()
    for at, span in enumerate(zip(*(tokens[offset:] for offset in range(SEED_WORDS)), strict=False)):
        before = last.get(span)
        if before is not None and at - before <= LOOP_PERIOD:
            periods.add(at - before)
        last[span] = at
    return periods


def overused(value: Any) -> ScoreFunction:
    """Overused phrases per 1,000 words; the list is `{phrases: [...]}`. Letter case and line breaks are ignored."""
    phrases = texts(options_of(value, "overused", {"phrases": None})["phrases"], "overused: phrases")
    if len(phrases) > MAX_PHRASES:
        raise ValueError(f"overused: {len(phrases)} phrases; at most {MAX_PHRASES} are allowed.")
    pattern = _any_of(phrases)

    def score(context: Context) -> Score:
        count = len(words(context.reply))
        if not count:
            return unscored("the reply has no words")
        counts = Counter(" ".join(hit.split()) for hit in pattern.findall(context.reply.lower().replace("’", "'")))
        shown = ", ".join(f"{phrase} ({times})" if times > 1 else phrase for phrase, times in counts.most_common(8))
        return Score(value=1000 * counts.total() / count, answer=shown or None)

    return score


def _any_of(phrases: Sequence[str]) -> regex.Pattern[str]:
    """Matches whole words only; a longer phrase comes before a shorter one that it begins with."""
    plain = sorted({" ".join(phrase.lower().replace("’", "'").split()) for phrase in phrases}, key=len, reverse=True)
    either = "|".join(r"\s+".join(map(regex.escape, phrase.split())) for phrase in plain)
    return regex.compile(rf"(?w)\b(?:{either})\b")
