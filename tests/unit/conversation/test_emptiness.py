"""Empty and degenerate replies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.workers.conversation.emptiness import NEVER_CLOSED, NO_TEXT, degenerate, empty, repeats_previous
from tests.documents import a_turn


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", NO_TEXT),
        (" \n\t\r\u00a0\u3000", NO_TEXT),  # whitespace of several scripts
        ("\u200b\u200c\u200d\ufeff\u2060", NO_TEXT),  # zero-width characters
        ("\x00\x1b\x7f", NO_TEXT),  # controls
        ("\ufe0f\u2800\u3164\u00ad", NO_TEXT),  # variation selector, empty Braille cell, filler, soft hyphen
        ("\U000e0041", NO_TEXT),  # an invisible tag character
        (".", None),
        ("\u200b你", None),
        ("\ufffd", None),  # broken UTF-8 shows
        ("🙂", None),
    ],
)
def test_empty(reply: str, reason: str | None) -> None:
    assert empty(reply, unclosed=False) == reason


def test_a_block_never_closed_is_named_as_the_reason() -> None:
    assert empty("", unclosed=True) == NEVER_CLOSED
    assert empty("text", unclosed=True) is None


SPAN = list(range(20))


@pytest.mark.parametrize(
    ("ids", "reasoning", "least", "reason"),
    [
        ([], 0, 1, "0 tokens, min_tokens is 1"),
        ([], 0, 0, None),  # a minimum of none
        ([7], 0, 1, None),
        ([7], 0, 2, "1 token, min_tokens is 2"),
        ([7] * 9, 5, 5, "4 tokens, min_tokens is 5"),  # thoughts do not count
        (SPAN * 5, 0, 1, "20-token span 5 times running"),
        ([99, *SPAN * 5, 98], 0, 1, "20-token span 5 times running"),  # anywhere
        (SPAN * 5 + [1], 0, 1, "20-token span 5 times running"),
        ((SPAN * 5)[:-1], 0, 1, None),  # one token short
        (SPAN * 4, 0, 1, None),
        (SPAN * 2 + [99] + SPAN * 3, 0, 1, None),  # interrupted
        ([7] * 100, 0, 1, "20-token span 5 times running"),
        ([7] * 99, 0, 1, None),
        (list(range(21)) * 5, 0, 1, None),  # another period
    ],
)
def test_degenerate(ids: list[int], reasoning: int, least: int, reason: str | None) -> None:
    assert degenerate(ids, reasoning_tokens=reasoning, min_tokens=least) == reason


@given(
    st.lists(st.integers(0, 2), max_size=30), st.lists(st.integers(0, 2), min_size=20, max_size=20), st.integers(3, 6)
)
def test_repetition_is_found_as_by_looking_at_every_place(before: list[int], span: list[int], times: int) -> None:
    """The linear search agrees with the definition."""
    ids = before + span * times
    naive = any(
        all(ids[at + 20 * k : at + 20 * (k + 1)] == ids[at : at + 20] for k in range(5)) for at in range(len(ids) - 99)
    )
    assert (degenerate(ids, reasoning_tokens=0, min_tokens=0) is not None) == naive


LONG = " ".join(f"word{number}" for number in range(20))


@pytest.mark.parametrize(
    ("reply", "tokens", "reasoning", "prompt", "again"),
    [
        (LONG, 20, 0, "Go on.", True),
        (LONG.upper().replace(" ", "\n\n") + "\n", 20, 0, "Go on.", True),  # case and white space do not count
        (LONG, 19, 0, "Go on.", False),  # a short answer may be right twice
        (LONG, 39, 20, "Go on.", False),  # thoughts do not count
        (LONG + " more", 21, 0, "Go on.", False),
        (LONG, 20, 0, "tell  me", False),  # the same was asked again
    ],
)
def test_a_reply_that_is_its_predecessor_again(
    reply: str, tokens: int, reasoning: int, prompt: str, again: bool
) -> None:
    before = a_turn(2, prompt="Tell me", reply=LONG)
    draw = a_turn(3, reply=reply, reply_ids=tuple(range(tokens)), reasoning_tokens=reasoning).draw
    assert repeats_previous(draw, prompt, before) == ("the reply of turn 3 again" if again else None)
