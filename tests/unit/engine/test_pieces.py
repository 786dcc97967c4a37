"""Where prompts are cut when results must not depend on what else is computed."""

from __future__ import annotations

import pytest

from nightjar.workers.engine.pieces import DRAWN, LAST, Span, marked_ids, piece_around


@pytest.mark.parametrize(
    ("length", "replies", "pieces"),
    [
        (10, (), [(0, 4), (4, 8), (8, 10)]),
        (9, (), [(0, 4), (4, 8), (8, 9)]),  # one id that is left is a piece too: by itself, whatever runs beside
        (4, (), [(0, 4)]),
        (12, ((5, 7),), [(0, 4), (4, 5), (5, 6), (6, 7), (7, 11), (11, 12)]),  # cut anew from where a reply ends
        (6, ((2, 3), (3, 4)), [(0, 2), (2, 3), (3, 4), (4, 6)]),  # nothing between two replies
        (6, ((4, 4),), [(0, 4), (4, 6)]),  # an empty reply ends a stretch all the same
        (3, ((0, 3),), [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_pieces(length: int, replies: tuple[Span, ...], pieces: list[Span]) -> None:
    cut: list[Span] = []
    while not cut or cut[-1][1] < length:
        cut.append(piece_around(cut[-1][1] if cut else 0, length=length, replies=replies, width=4))
    assert cut == pieces
    for start, end in pieces:
        assert {piece_around(at, length=length, replies=replies, width=4) for at in range(start, end)} == {(start, end)}


def test_marks() -> None:
    """Of what was drawn, and of each stretch's last id: prompts with the same ids and other cuts part there."""
    assert marked_ids((1, 2, 3, 4, 5, 6), ((2, 4),)) == (1, 2 | LAST, 3 | DRAWN, 4 | DRAWN, 5, 6 | LAST)
    assert marked_ids((1, 2), ()) == (1, 2 | LAST)
    assert marked_ids((1, 2), ((0, 1),)) == (1 | DRAWN, 2 | LAST)
