"""Which words of two replies differ, and which turns of two runs belong beside each other."""

from __future__ import annotations

import pytest

from nightjar.jobs.documents import RunModel
from nightjar.jobs.status.replies import ConversationMark
from nightjar.pipeline.compare.changed_turns import pair_turns
from nightjar.pipeline.compare.word_diff import MOST_WORDS, DiffPiece, diff_words
from tests.documents import a_run


def marked(pieces: tuple[DiffPiece, ...]) -> str:
    return "".join(f"[{piece.text}]" if piece.changed else piece.text for piece in pieces)


@pytest.mark.parametrize(
    ("before", "after", "marked_before", "marked_after"),
    [
        ("", "", "", ""),
        ("A red fox.", "A red fox.", "A red fox.", "A red fox."),
        ("A red fox.", "A blue fox!", "A[ red] fox[.]", "A[ blue] fox[!]"),
        ("A fox", "A quick fox", "A fox", "A[ quick] fox"),
        ("", "A fox", "", "[A fox]"),
        ("one two", "one  two", "one[ two]", "one[  two]"),  # a space is part of the text, too
        ("a\n", "a", "a[\n]", "a"),
        ("今日は雨だ", "今日は晴だ", "今日は[雨]だ", "今日は[晴]だ"),  # no spaces between words
        ("don't", "dont", "[don't]", "[dont]"),
        ("x y z", "y x z", "[x y] z", "[y x] z"),
    ],
)
def test_words_that_differ_are_marked(before: str, after: str, marked_before: str, marked_after: str) -> None:
    found = diff_words(before, after)
    assert (marked(found.before), marked(found.after)) == (marked_before, marked_after)


@pytest.mark.parametrize("text", ["\x00\u202e<b> \n\t\u00a0é\u0301 _\u3042\U0001f600", "word " * 5_000, "\n" * 9_000])
def test_nothing_is_lost(text: str) -> None:
    """Put together the pieces are the texts, whatever they hold and however long they are."""
    for other in ("", "x", text[:-1], f"x{text}", text[::-1]):
        found = diff_words(text, other)
        assert "".join(piece.text for piece in found.before) == text
        assert "".join(piece.text for piece in found.after) == other


def test_what_is_too_long_to_be_compared_is_marked_whole() -> None:
    """All but the beginning and the end that both have."""
    old, new = (" ".join([name] * (MOST_WORDS + 1)) for name in ("old", "new"))
    found = diff_words(f"Once {old} end", f"Once {new} end")
    assert [piece.changed for piece in found.before] == [False, True, False]


def mark(job: str, *replies: bytes) -> ConversationMark:
    return ConversationMark(job=job, replies=replies)


def test_turns_are_paired_by_what_was_asked() -> None:
    """By content and repeat; sequences of one run only are left out, a missing reply is a change."""
    base, other = a_run("base"), a_run("other", models=[RunModel(name="n")])
    before = {
        "m": {
            ("d1", 0, 0): mark("b1", b"same", b"old"),
            ("d1", 0, 1): mark("b2", b"same"),
            ("d2", 0, 0): mark("b3"),
            ("d3", 0, 0): mark("b4", b"alone"),
        }
    }
    after = {
        "n": {
            ("d2", 0, 0): mark("o3", b"late"),
            ("d1", 0, 0): mark("o1", b"same", b"new"),
            ("d4", 0, 0): mark("o4", b"x"),
        }
    }
    found = [(pair.jobs, pair.repeat, pair.turn, pair.changed) for pair in pair_turns(base, other, before, after)]
    assert found == [
        (("b1", "o1"), 0, 0, False),
        (("b1", "o1"), 0, 1, True),
        (("b2", None), 1, 0, True),  # the other run has no such repeat
        (("b3", "o3"), 0, 0, True),  # no reply came in the base
    ]


@pytest.mark.parametrize(
    ("base", "other", "pairs"),
    [
        ("m", "n", [("m", "n")]),  # the only two
        ("m", "mn", [("m", "m"), ("m", "n")]),
        ("mn", "nk", [("n", "n")]),
        ("mn", "k", []),
    ],
)
def test_whose_turns(base: str, other: str, pairs: list[tuple[str, str]]) -> None:
    one, two = (a_run(names, models=[RunModel(name=name) for name in names]) for names in (base, other))
    marks = {name: {("d", 0, 0): mark(name, b"x")} for name in "mnk"}
    assert [pair.names for pair in pair_turns(one, two, marks, marks)] == pairs
