"""Text as it becomes certain: characters are never split, stop strings never leak."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.workers.engine.text import TextStream


def streamed(pieces: list[bytes], stops: tuple[str, ...] = ()) -> tuple[list[str], str, str | None]:
    stream = TextStream(stops)
    parts = [stream.push(piece) for piece in pieces]
    parts.append(stream.finish())
    return parts, stream.text, stream.stop_string


@pytest.mark.parametrize(
    ("pieces", "stops", "parts", "stop"),
    [
        ([b"a", b"b"], (), ["a", "b", ""], None),  # nothing to hold back
        ([b"\xc3", b"\xbc"], (), ["", "ü", ""], None),  # a character of two tokens
        ([b"\xf0\x9f", b"\x8c\x99!"], (), ["", "\U0001f319!", ""], None),  # four bytes over two tokens
        ([b"ok\xe2\x82"], (), ["ok", "\ufffd"], None),  # the reply ends inside a character
        ([b"\xff", b"a"], (), ["\ufffd", "a", ""], None),  # never UTF-8 at all
        ([b"one EN", b"D two"], ("END",), ["one ", "", ""], "END"),  # a stop string over two tokens
        ([b"one EN", b"S"], ("END",), ["one ", "ENS", ""], None),  # a beginning that came to nothing
        ([b"one EN"], ("END",), ["one ", "EN"], None),  # held back until the reply ended
        ([b"aab"], ("ab", "b"), ["a", ""], "ab"),  # the earliest one wins
        ([b"xabc"], ("ab", "abc"), ["x", ""], "abc"),  # of those that begin there, the longest
        ([b"END"], ("END",), ["", ""], "END"),  # at the very start
        ([b"E", b"\xc3", b"\xbc"], ("Eü",), ["", "", "", ""], "Eü"),  # a stop string that ends in a split character
        ([b"x", b"END", b"more"], ("END",), ["x", "", "", ""], "END"),  # what comes after is dropped
    ],
)
def test_cases(pieces: list[bytes], stops: tuple[str, ...], parts: list[str], stop: str | None) -> None:
    got, text, met = streamed(pieces, stops)
    assert got == parts
    assert text == "".join(parts)
    assert met == stop


@given(
    st.text(alphabet="abEND\u00fc\U0001f319 "),
    st.lists(st.text("END\u00fc", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(1, 5), min_size=1),
)
def test_any_cutting_gives_the_same_text(text: str, stops: list[str], cuts: list[int]) -> None:
    """However the bytes fall into tokens, the text is the whole text up to the earliest stop string.

    Where the tokens let a shorter stop string complete first, that one ends the reply.
    """
    data, pieces, turn = text.encode(), [], 0
    while data:
        size = cuts[turn % len(cuts)]
        pieces.append(data[:size])
        data, turn = data[size:], turn + 1
    parts, got, stop = streamed(pieces, tuple(stops))
    ends = [text.find(s) for s in stops if s in text]
    assert "".join(parts) == got
    if stop is None:
        assert not ends
        assert got == text
    else:
        assert text.startswith(got + stop)
        assert not any(s in got for s in stops)
