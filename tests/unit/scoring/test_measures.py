"""Words, distinct-n and repetition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring.measures import MEASURES, distinct, repetition
from pipeline.scoring.scorer import Context, ScoreState, apply
from pipeline.scoring.words import words


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
    ("tokens", "n", "expected"),
    [
        ("a b c", 1, 1.0),
        ("a a a a", 1, 0.25),
        ("a b a b", 2, 2 / 3),  # ab, ba, ab
        ("a", 2, None),  # too short for a pair
    ],
)
def test_distinct(tokens: str, n: int, expected: float | None) -> None:
    """Different n-grams over n-grams."""
    assert distinct(tokens.split(), n) == expected


def test_repetition_sees_a_loop() -> None:
    """A text without repeats has 0; a loop comes near 1."""
    assert repetition("a b c d e f g h".split()) == 0
    assert (repetition("and then ".split() * 50) or 0) > 0.9


@given(st.lists(st.sampled_from("abcd"), min_size=4, max_size=40), st.integers(1, 4))
def test_distinct_is_a_share(tokens: list[str], n: int) -> None:
    """Between 0 (excluded) and 1, whatever the text."""
    share = distinct(tokens, n)
    assert share is not None
    assert 0 < share <= 1


def test_empty_reply_measures() -> None:
    """An empty reply has 0 words, which is true, and no distinct-n, which would be a made-up number."""
    context = Context(prompt="p", reply="", failure="empty reply: no text")
    scores = {scorer.name: apply(scorer, context) for scorer in MEASURES}
    assert scores["words"].value == 0
    assert {scores[name].state for name in ("distinct_1", "distinct_2", "repetition")} == {ScoreState.UNSCORED}
