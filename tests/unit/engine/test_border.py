"""The border between a context and what is scored after it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.workers.engine.border import Border, split_at_border

PIECES = ["The", " cat", " sat", "at", " ", "t", "a", "c", "s", "T", "h", "e"]


def longest_first(text: str) -> list[int]:
    """A tokenizer that takes the longest known piece each time."""
    ids = []
    while text:
        piece = max((piece for piece in PIECES if text.startswith(piece)), key=len)
        ids.append(PIECES.index(piece))
        text = text[len(piece) :]
    return ids


@pytest.mark.parametrize(
    ("context", "continuation", "bos", "border"),
    [
        # A space at the context's end belongs to the continuation, which has it in its first token.
        ("The cat ", "sat", None, Border(context_ids=(0, 1), continuation_ids=(2,), merged=False)),
        ("The cat", " sat", None, Border(context_ids=(0, 1), continuation_ids=(2,), merged=False)),
        # "T", "h" and "e" become one token: fewer ids than the context has by itself, and still one is scored.
        ("Th", "e cat", None, Border(context_ids=(0,), continuation_ids=(1,), merged=True)),
        ("The", " cat", 99, Border(context_ids=(99, 0), continuation_ids=(1,), merged=False)),  # BOS before both
        ("", "The", 99, Border(context_ids=(99,), continuation_ids=(0,), merged=False)),
        ("", "The", None, Border(context_ids=(), continuation_ids=(0,), merged=False)),  # nothing to follow
        (" ", "sat", 99, Border(context_ids=(99,), continuation_ids=(2,), merged=False)),
        ("The", "", None, Border(context_ids=(0,), continuation_ids=(), merged=False)),  # for the engine to refuse
    ],
)
def test_cases(context: str, continuation: str, bos: int | None, border: Border) -> None:
    assert split_at_border(longest_first, context, continuation, bos=bos) == border


def test_bos_that_the_tokenizer_puts_there_is_not_put_there_twice() -> None:
    border = split_at_border(lambda text: [99, *longest_first(text)], "The", " cat", bos=99)
    assert border == Border(context_ids=(99, 0), continuation_ids=(1,), merged=False)


@given(st.text("Thecats ", max_size=12), st.text("Thecats ", min_size=1, max_size=12))
def test_both_together_are_the_whole_text(context: str, continuation: str) -> None:
    border = split_at_border(longest_first, context, continuation)
    assert [*border.context_ids, *border.continuation_ids] == longest_first(context + continuation)
    assert border.continuation_ids
