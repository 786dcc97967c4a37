"""Words, distinct-n and repetition."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.pipeline.scores import ScoreState
from nightjar.pipeline.scoring.diversity import looped_share
from nightjar.pipeline.scoring.measures_always import MEASURES, repetition, variety
from nightjar.pipeline.scoring.scorer import Context, apply
from nightjar.pipeline.scoring.words import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("... -- !", ()),  # punctuation alone
        ("Don't STOP-me now!", ("don't", "stop-me", "now")),  # inner apostrophes and hyphens hold words together
        ("Gr\u00f6\u00dfe 3.5", ("gr\u00f6\u00dfe", "3", "5")),
    ],
)
def test_words(text: str, expected: tuple[str, ...]) -> None:
    """What counts as a word."""
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("a b c", 1.0, 1.0),
        ("a a a a", 0.25, 1 / 3),
        ("a b a b", 0.5, 2 / 3),  # ab, ba, ab
        ("a", 1.0, None),  # too short for a pair
        ("", None, None),
    ],
)
def test_distinct(text: str, first: float | None, second: float | None) -> None:
    """Different n-grams over n-grams."""
    found = variety(text)
    assert (found.distinct_1, found.distinct_2) == (first, second)


def test_repetition_sees_a_loop() -> None:
    """A text without repeats has 0; a loop comes near 1."""
    assert repetition("a b c d e f g h".split()) == 0
    assert (repetition("and then ".split() * 50) or 0) > 0.9


@given(st.lists(st.sampled_from("abcd"), min_size=4, max_size=40))
def test_repetition_is_that_of_its_definition(tokens: list[str]) -> None:
    """The short cut over pairs of words finds what counting all spans finds."""
    spans = list(zip(*(tokens[at:] for at in range(4)), strict=False))
    assert repetition(tokens) == pytest.approx(1 - len(set(spans)) / len(spans))


@given(st.text(st.sampled_from("aB9 '-_.’“—é\n"), max_size=40))
def test_words_are_those_of_the_pattern(text: str) -> None:
    """The quick way for plain texts finds what the pattern finds."""
    assert words(text) == tuple(re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text.lower().replace("’", "'")))


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("one two three four five six", 0.0),
        ("so " * 4, 0.0),  # four words are no loop
        ("so " * 5, 1.0),
        ("and then and then", 0.0),  # twice is no loop
        ("and then " * 3, 1.0),
        ("she said no no no no no and left", 5 / 9),  # part of a text
        ("a b c d e " * 2 + "f", 0.0),
        ("a b c d e " * 3 + "f", 15 / 16),
        ("up down up down up down left right left right left right", 1.0),  # two loops
    ],
)
def test_looped_share(text: str, share: float) -> None:
    """Words in a span that is said three times running or more."""
    assert looped_share(text.split()) == pytest.approx(share)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30))
def test_loops_are_those_of_their_definition(tokens: list[str]) -> None:
    """Against looking at every stretch with every period."""
    inside: set[int] = set()
    for start in range(len(tokens)):
        for end in range(start + 5, len(tokens) + 1):
            stretch = tokens[start:end]
            if any(stretch[p:] == stretch[:-p] for p in range(1, len(stretch) // 3 + 1)):
                inside.update(range(start, end))
    assert looped_share(tokens) == pytest.approx(len(inside) / len(tokens))


def test_empty_reply_measures() -> None:
    """An empty reply has 0 words, which is true, and no distinct-n, which would be a made-up number."""
    context = Context(prompt="p", reply="", failure="empty reply: no text")
    scores = {scorer.name: apply(scorer, context) for scorer in MEASURES}
    assert scores["words"].value == 0
    assert {scores[name].state for name in ("distinct_1", "distinct_2", "repetition", "loops")} == {ScoreState.UNSCORED}
