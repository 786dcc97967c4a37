"""Letters say exactly which pairs are apart."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.pipeline.statistics.letters import compact_letters

NAMES = "pqrstu"


@pytest.mark.parametrize(
    ("names", "apart", "letters"),
    [
        ("", [], {}),
        ("p", [], {"p": "a"}),
        ("pq", [], {"p": "a", "q": "a"}),
        ("pq", [("p", "q")], {"p": "a", "q": "b"}),
        ("pqr", [("r", "p")], {"p": "a", "q": "ab", "r": "b"}),  # the middle is apart from neither
        ("pqr", [("p", "q"), ("p", "r")], {"p": "a", "q": "b", "r": "b"}),
        ("pqr", [("p", "q"), ("q", "r"), ("p", "r")], {"p": "a", "q": "b", "r": "c"}),
    ],
)
def test_letters(names: str, apart: list[tuple[str, str]], letters: dict[str, str]) -> None:
    assert compact_letters(list(names), apart) == letters


@given(st.sets(st.sampled_from(list(combinations(NAMES, 2)))))
def test_two_share_a_letter_exactly_where_they_are_not_apart(apart: set[tuple[str, str]]) -> None:
    letters = compact_letters(list(NAMES), apart)
    for pair in combinations(NAMES, 2):
        one, two = (set(letters[name]) for name in pair)
        assert bool(one & two) is (pair not in apart)


@given(st.sets(st.sampled_from(list(combinations(NAMES, 2)))))
def test_no_letter_is_superfluous(apart: set[tuple[str, str]]) -> None:
    """No letter's models all share another letter: it would say nothing new."""
    letters = compact_letters(list(NAMES), apart)
    groups = [{n for n in NAMES if letter in letters[n]} for letter in sorted(set("".join(letters.values())))]
    assert not any(one <= two for one in groups for two in groups if one is not two)
