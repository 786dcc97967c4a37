"""How varied a reply's words are: moving-average type-token ratio, loops, over-used phrases. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from nightjar.pipeline.scores import Score, unscored
from nightjar.pipeline.scoring.arguments import options_of, texts, whole_argument
from nightjar.pipeline.scoring.scorer import Context, ScoreFunction
from nightjar.pipeline.scoring.words import words

SEED_WORDS = 4
"""A loop shows in spans of this many words that come again."""
LOOP_TIMES = 3
LOOP_PERIOD = 100
"""The longest span, in words, that is looked at as a loop."""
MATTR_WINDOW = 50
MAX_PHRASES = 5000


def mattr(value: Any) -> ScoreFunction:
    """Moving-average type-token ratio (Covington and McFall 2010): the mean share of different words in a window."""
    window = whole_argument(options_of(value, "mattr", {"window": MATTR_WINDOW})["window"], "mattr: window", least=2)

    def score(context: Context) -> Score:
        share = moving_share(words(context.reply), window)
        return unscored(f"the reply has fewer than {window} words") if share is None else Score(value=share)

    return score


def moving_share(tokens: Sequence[str], window: int) -> float | None:
    """Mean over all windows of different words / words; None for fewer words than one window."""
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
    """Share of the words that stand in a loop: one span three or more times running, five words at least.

    Every such loop has a span of SEED_WORDS words that comes again one period later, so only those periods are tried.
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
    found: set[int] = set()
    for at, span in enumerate(zip(*(tokens[offset:] for offset in range(SEED_WORDS)), strict=False)):
        before = last.get(span)
        if before is not None and at - before <= LOOP_PERIOD:
            found.add(at - before)
        last[span] = at
    return found


def overused(value: Any) -> ScoreFunction:
    """Over-used phrases per 1,000 words; the list is `{phrases: [...]}`. Letter case and line breaks do not count."""
    phrases = texts(options_of(value, "overused", {"phrases": None})["phrases"], "overused: phrases")
    if len(phrases) > MAX_PHRASES:
        raise ValueError(f"overused: {len(phrases)} phrases; at most {MAX_PHRASES} are allowed.")
    pattern = _any_of(phrases)

    def score(context: Context) -> Score:
        count = len(words(context.reply))
        if not count:
            return unscored("the reply has no words")
        found = Counter(" ".join(hit.split()) for hit in pattern.findall(context.reply.lower().replace("’", "'")))
        told = ", ".join(f"{phrase} ({times})" if times > 1 else phrase for phrase, times in found.most_common(8))
        return Score(value=1000 * found.total() / count, answer=told or None)

    return score


def _any_of(phrases: Sequence[str]) -> re.Pattern[str]:
    """Whole words only; a longer phrase goes before a shorter one that it begins with."""
    plain = sorted({" ".join(phrase.lower().replace("’", "'").split()) for phrase in phrases}, key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(r"\s+".join(map(re.escape, p.split())) for p in plain) + r")(?!\w)")
