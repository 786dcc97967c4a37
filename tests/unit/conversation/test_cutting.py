"""Texts cut to a number of tokens: nothing is lost, and no word or number is divided."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.workers.conversation.cutting import pieces, shortened, whole_words, word_border
from nightjar.workers.engine.fake import ByteTokenizer

WORDS = st.sampled_from(
    ["der", "Müller", "3.14", "1,234,567", "don't", "l'été", "fox", "12:30", "你好", "🦊", "(mill)"]
)
TEXTS = st.lists(WORDS, min_size=1, max_size=60)


def test_pieces_are_the_whole_text() -> None:
    """Cut at blanks, nothing lost, none too long, characters whole."""
    text = "Über den Bergen wohnt eine 你好 alte Frau. " * 20
    found = list(pieces(text, 100, ByteTokenizer()))
    assert "".join(found) == text
    assert all(len(piece.encode()) <= 100 for piece in found)
    assert all(piece[-1] == " " and len(piece.encode()) > 40 for piece in found)
    assert list(pieces("你" * 50, 10, ByteTokenizer()))[:2] == ["你你你", "你你你"]


@given(TEXTS, st.integers(20, 200))
def test_pieces_of_any_text_divide_no_word(words: list[str], most: int) -> None:
    found = list(pieces(" ".join(words), most, ByteTokenizer()))
    assert "".join(found) == " ".join(words)
    assert [word for piece in found for word in piece.split()] == words


@given(TEXTS, st.integers(20, 200))
def test_a_beginning_of_any_text_ends_with_a_word(words: list[str], most: int) -> None:
    kept = shortened(" ".join(words), most, ByteTokenizer())
    assert len(kept.encode()) <= most
    assert kept.split() == words[: len(kept.split())]


@pytest.mark.parametrize(
    ("text", "end", "border"),
    [
        ("one two three", 6, 4),  # inside "two": at the blank before it
        ("one two three", 8, 8),  # after a blank
        ("cost 1,234.50 coins", 9, 5),  # inside a number
        ("你好世界", 3, 3),  # a writing without blanks is cut between characters
        ("Donaudampfschiff", 5, 5),  # one long word and nothing else
    ],
)
def test_borders(text: str, end: int, border: int) -> None:
    assert word_border(text, end) == border


def test_what_may_be_half_a_word_is_left_out() -> None:
    assert whole_words("The mill cost 12") == "The mill cost"
    assert whole_words("Mill") == "Mill"
