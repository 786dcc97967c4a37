"""Names made of file names: what may not be in a name never makes two of them one."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.jobs.names import made_name
from nightjar.pipeline.suites.content import NAME_PATTERN

TEXTS = st.text(st.characters(codec=None), max_size=300)


def name(text: str) -> str:
    return made_name(text, marks="._-", longest=100, otherwise="suite")


@given(TEXTS)
def test_it_is_always_a_name(text: str) -> None:
    assert re.fullmatch(NAME_PATTERN, name(text)), name(text)


@given(TEXTS, TEXTS)
def test_texts_that_differ_in_letters_keep_two_names(one: str, other: str) -> None:
    """Letters of any script; blanks, brackets and the marks in front may be the only difference."""
    same = [unicodedata.normalize("NFC", text).casefold() for text in (one, other)]
    letters = [[char for char in text if char.isalnum()] for text in same]
    if letters[0] != letters[1] and name(one).casefold() == name(other).casefold():
        raise AssertionError((one, other, name(one)))


PAIRS = [("写作", "数学"), ("a写作", "a数学"), ("c++", "c#"), ("🦊", "🐻"), ("é" * 90, "é" * 91)]


@pytest.mark.parametrize("pair", PAIRS)
def test_these_are_two(pair: tuple[str, str]) -> None:
    assert len({name(text) for text in pair}) == 2


@pytest.mark.parametrize(
    ("text", "kept"),
    [("story-starters", "story-starters"), ("my suite v2", "my-suite-v2"), ("questions (1)", "questions-1-")],
)
def test_usual_names_stay_as_they_were(text: str, kept: str) -> None:
    assert name(text) == kept


def test_what_can_be_read_is_kept_beside_the_digest() -> None:
    assert name("café").startswith("cafe-")
    assert name("写作-v2").startswith("v2-")
    assert name("写作").startswith("suite-")
