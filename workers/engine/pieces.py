"""Where `reproducible` cuts prompts: at the same places, whatever was computed before or runs beside. Pure.

A kernel may round otherwise for one row than for several, so a prompt's cells hold the same bits only if they were
computed in the same pieces. A stretch of a prompt lies between two earlier replies; it is cut every so many ids from
its first one, and earlier replies are computed id by id, as they were when they were drawn. What is left of a stretch
is a piece too, so cells are shared only up to where a piece begins. For the prefix tree, whose paths must part where
the cuts do, ids carry marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

DRAWN, LAST = 1 << 30, 1 << 29
"""Marks on an id: computed by itself, as a reply's; the last one of its stretch. Vocabularies are far smaller."""

Span = tuple[int, int]
"""[start, end) in a prompt."""


def piece_around(at: int, *, length: int, replies: Sequence[Span], width: int) -> Span:
    """The piece that holds position `at` of a prompt of this length, with earlier replies at these places."""
    for start, end in _stretches(length, replies):
        if at < start:  # inside the reply before this stretch
            break
        if at < end:
            first = start + (at - start) // width * width
            return first, min(first + width, end)
    return at, at + 1


def marked_ids(prompt: Sequence[int], replies: Sequence[Span]) -> tuple[int, ...]:
    """The ids of a prompt as slots and tree hold them."""
    marked = list(prompt)
    for start, end in replies:
        marked[start:end] = [token | DRAWN for token in prompt[start:end]]
    for start, end in _stretches(len(prompt), replies):
        if start < end:
            marked[end - 1] |= LAST
    return tuple(marked)


def _stretches(length: int, replies: Sequence[Span]) -> Iterator[Span]:
    start = 0
    for first, end in replies:
        yield start, first
        start = end
    yield start, length
