"""Where a grammar begins, and when a reasoning block must end."""

from __future__ import annotations

import pytest

from nightjar.workers.engine.guide import Guide, Phase
from nightjar.workers.engine.markers import HARMONY, Markers

MARKS = Markers(open="<think>", close="</think>")


def pushed(guide: Guide, *pieces: str) -> Guide:
    for piece in pieces:
        guide.push(piece.encode())
    return guide


@pytest.mark.parametrize(
    ("opened", "pieces", "phase"),
    [
        (False, [], Phase.UNDECIDED),
        (False, ["\n", " "], Phase.UNDECIDED),  # blanks decide nothing
        (False, ["<", "think"], Phase.UNDECIDED),  # a marker begun
        (False, ["\n<", "think", ">"], Phase.THINKING),  # a marker over several tokens
        (False, ["Hello"], Phase.ANSWER),
        (False, ["<b>"], Phase.ANSWER),  # begins like the marker and is none
        (True, ["so ", "then"], Phase.THINKING),  # the template opened the block
        (True, ["so</th", "ink>"], Phase.ANSWER),
        (False, ["<think>", "</think>", "{"], Phase.ANSWER),
    ],
)
def test_phases(opened: bool, pieces: list[str], phase: Phase) -> None:
    assert pushed(Guide(MARKS, opened=opened, budget=None), *pieces).phase is phase


def test_without_markers_the_answer_begins_at_once() -> None:
    guide = Guide(None, opened=False, budget=None)
    assert guide.phase is Phase.ANSWER
    assert not guide.free(b" ")


@pytest.mark.parametrize(
    ("opened", "pieces", "piece", "free"),
    [
        (True, [], "anything", True),  # thoughts are free
        (False, [], "<thi", True),  # may become the marker
        (False, [], "{", False),  # the answer: the grammar decides
        (False, [], "\n", True),  # a blank before either
        (False, ["\n"] * 4, "\n", False),  # but not forever
        (True, ["x</think>"], "\n\n", True),  # blanks between block and answer
        (True, ["x</think>", "\n\n"], "{", False),
        (True, ["x</think>", "{"], " ", False),  # inside the answer blanks are the grammar's
    ],
)
def test_free(opened: bool, pieces: list[str], piece: str, free: bool) -> None:
    """Whether a token may come without asking the grammar."""
    assert pushed(Guide(MARKS, opened=opened, budget=None), *pieces).free(piece.encode()) is free


@pytest.mark.parametrize(
    ("opened", "budget", "pieces", "rest"),
    [
        (True, 2, ["a"], ""),  # within the budget
        (True, 2, ["a", "b"], "</think>"),  # over it
        (True, 2, ["a", "b</th"], "ink>"),  # over it, with the marker begun
        (True, 0, [], "</think>"),  # no thought at all
        (True, None, ["a"] * 50, ""),  # no budget
        (False, 0, [], ""),  # nothing opened, nothing to close
        (False, None, ["<thi"], "nk>"),  # a marker begun must be finished: it was let past the grammar
    ],
)
def test_rest_of_marker(opened: bool, budget: int | None, pieces: list[str], rest: str) -> None:
    assert pushed(Guide(MARKS, opened=opened, budget=budget), *pieces).rest_of_marker == rest.encode()


def test_thoughts_that_the_model_ends_early_are_closed() -> None:
    """Where the model would end its reply inside the block, the answer is still owed."""
    assert pushed(Guide(MARKS, opened=True, budget=None), "so</th").rest_of_close == b"ink>"


def test_a_token_may_not_end_the_block_and_begin_the_answer() -> None:
    """The grammar would not see that beginning; the marker's rest is put in the token's place."""
    guide = pushed(Guide(MARKS, opened=True, budget=None), "so</th")
    assert guide.runs_over(b'ink>{"') == b"ink>"
    assert guide.runs_over(b"ink>\n") == b""


@pytest.mark.parametrize("header", ["final", "final json", "final <|constrain|>json"])
def test_an_answers_header_may_name_its_content(header: str) -> None:
    """gpt-oss writes a content type where a schema is asked for."""
    guide = Guide(HARMONY, opened=False, budget=None)
    pushed(guide, "<|channel|>", "analysis", "<|message|>", "Hm.", "<|end|>", "<|start|>", "assistant", "<|channel|>")
    assert pushed(guide, header).phase is Phase.THINKING
    assert pushed(guide, "<|message|>").phase is Phase.ANSWER
