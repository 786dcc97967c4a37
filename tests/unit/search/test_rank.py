"""Exact search, fused rankings, near pairs and what of them belongs together; questions, sentences, texts of jobs."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.config.errors import UsageError
from nightjar.jobs.search.rank_fusion import fused
from nightjar.jobs.search.unindexed import IndexableJob
from nightjar.jobs.search.vectors import TextKind
from nightjar.jobs.states import JobKind
from nightjar.pipeline.search import rank
from nightjar.pipeline.search.question import MOST_CHARS, SearchQuestion
from nightjar.pipeline.search.rank import best_matches, near_groups, nearest
from nightjar.pipeline.search.sentences import clipped, sentences, with_phrases
from nightjar.pipeline.search.texts import judges_words, texts_of_job
from nightjar.workers.embedder.client import request_batches


def unit(rows: int, width: int = 8, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float32]]:
    made = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    unit_rows: np.ndarray[Any, np.dtype[np.float32]] = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit_rows


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 9))
def test_the_nearest_are_those_of_a_full_sort(rows: int, most: int, seed: int) -> None:
    matrix, vector = unit(rows, seed=seed), unit(1, seed=100 + seed)[0]
    everything = sorted(range(rows), key=lambda row: -float(matrix[row] @ vector))
    found = nearest(matrix, vector, most)
    assert [row for row, _ in found] == everything[:most]
    some = np.arange(0, rows, 2)
    assert [row for row, _ in nearest(matrix, vector, most, some)] == [r for r in everything if r % 2 == 0][:most]


def test_nothing_is_near_in_nothing() -> None:
    assert nearest(np.zeros((0, 4), np.float32), unit(1, 4)[0], 5) == []
    assert nearest(unit(5, 4), unit(1, 4)[0], 5, np.array([], np.intp)) == []
    assert best_matches(np.zeros((0, 0), np.float32), unit(3, 4), 0.5) == []


def test_what_two_rankings_name_comes_first() -> None:
    assert fused(["a", "b", "c"], ["c", "x"]) == ["c", "a", "b", "x"]
    assert fused([], ["x"]) == ["x"]


@given(st.integers(0, 40), st.floats(-1, 1), st.integers(1, 9), st.integers(1, 9))
def test_near_groups_are_what_all_near_pairs_connect(rows: int, least: float, block: int, wide: int) -> None:
    """In whatever blocks they are compared; the largest first."""
    matrix = unit(rows, 3)
    near = np.triu(matrix @ matrix.T >= least, 1)
    groups = [{at} for at in range(rows)]
    for one, other in np.argwhere(near):
        first, second = (next(group for group in groups if at in group) for at in (one, other))
        if first is not second:
            groups.remove(second)
            first |= second
    expected = sorted((sorted(g) for g in groups if len(g) > 1), key=lambda group: (-len(group), group))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rank, "BLOCK", block)
        patched.setattr(rank, "WIDE", wide)
        assert near_groups(matrix, np.arange(rows), least) == expected
        some = np.arange(0, rows, 2)
        assert near_groups(matrix, some, least) == near_groups(
            np.ascontiguousarray(matrix[::2]), np.arange(len(some)), least
        )


def test_comparing_is_stopped_between_two_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it then; memory is that of blocks, whatever the number of rows."""
    monkeypatch.setattr(rank, "BLOCK", 64)
    monkeypatch.setattr(rank, "WIDE", 64)
    asked: list[bool] = []

    def stopped() -> bool:
        asked.append(True)
        return len(asked) > 3

    same = np.repeat(unit(1), 4_096, axis=0)
    assert near_groups(same, np.arange(len(same)), 0.9, stopped) == []
    assert len(asked) == 4
    tracemalloc.start()
    groups = near_groups(same, np.arange(len(same)), 0.9)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [len(group) for group in groups] == [4_096]
    assert peak < 3_000_000, "all pairs at once would be 67 MB"


def test_each_has_one_match() -> None:
    """The nearest pair takes both; the rest get what is left."""
    ours = np.array([[1, 0], [0.9, 0.435889894]], np.float32)
    theirs = np.array([[0.95, 0.3122499], [1, 0]], np.float32)
    assert [(a, b) for a, b, _ in best_matches(ours, theirs, 0.5)] == [(0, 1), (1, 0)]
    assert best_matches(ours, theirs, 0.9999) == [(0, 1, 1.0)]


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (SearchQuestion(), "Say what to look for"),  # nothing
        (SearchQuestion(text="  "), "Say what to look for"),  # blank
        (SearchQuestion(text="a", like=("j", 0)), "Say what to look for"),  # both
        (SearchQuestion(text="word " * 10_000), "10,000 words"),  # far too long to be near to anything
        (SearchQuestion(text="a", most=0), "from 1 to"),
        (SearchQuestion(text="a", most=10_000), "from 1 to"),
    ],
)
def test_what_cannot_be_asked(question: SearchQuestion, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        question.check()


def test_what_can_be_asked() -> None:
    SearchQuestion(text="x" * MOST_CHARS).check()
    SearchQuestion(like=("job", 0)).check()


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("red fox", ("red", "fox")),
        ('the "red fox" ran', ("the", "red fox", "ran")),
        ('say "" - !', ("say",)),  # what has no letter holds nowhere
        ('an "open end', ("an", "open", "end")),
        ("naïve 你好", ("naïve", "你好")),
    ],
)
def test_phrases(text: str, phrases: tuple[str, ...]) -> None:
    assert SearchQuestion(text=text).phrases == phrases


def test_sentences() -> None:
    assert sentences('One. Two! "Three?" Four\n\nFive。') == ["One.", "Two!", '"Three?', "Four", "Five。"]
    assert sentences(" \n ") == []
    assert with_phrases("A cat. A red fox here. Foxes.", ["RED", "fox"]) == "A red fox here."
    long = "word " * 100 + "needle " + "word " * 100
    assert "needle" in clipped(long, ["needle"])
    assert len(clipped(long)) < 310
    assert clipped("a\n b") == "a b"


def row(**changes: Any) -> dict[str, Any]:
    turn = {"index": 0, "prompt": " Tell. ", "draws": [{"reply": "Told."}]}
    return {"_id": "j", "run": "r", "kind": "reply", "model": "m", "variant": None, "turns": [turn]} | changes


def test_texts_of_a_reply() -> None:
    """Prompt, reply and documents; nothing of an empty reply; a variant is its contestant's; a live one its user's."""
    found = list(texts_of_job(IndexableJob(row=row(variant="v", live={"user": "u"}), documents=("Long.",))))
    assert [(place.part, text) for place, text in found] == [
        (TextKind.DOCUMENT, "Long."),
        (TextKind.PROMPT, "Tell."),
        (TextKind.REPLY, "Told."),
    ]
    assert {(place.job, place.model, place.user) for place, _ in found} == {("j", "m+v", "u")}
    empty = row(turns=[{"index": 0, "prompt": "Tell.", "draws": [{"reply": " "}]}])
    assert [place.part for place, _ in texts_of_job(IndexableJob(row=empty, documents=()))] == [TextKind.PROMPT]


def test_texts_of_a_judge() -> None:
    """His reasons, at the turn that he judged; his prompt, which holds the judged reply, is no text of its own."""
    turn = {"index": 0, "prompt": "Judge.", "draws": [{"reply": '{"plot": {"reason": "Thin.", "score": 2}}'}]}
    judge = row(kind=JobKind.JUDGE, turns=[turn], payload={"job": "judged", "turn": 1})
    [(place, text)] = texts_of_job(IndexableJob(row=judge, documents=()))
    assert (place.job, place.turn, place.part, place.source, text) == ("judged", 1, TextKind.REASON, "j", "Thin.")
    assert list(texts_of_job(IndexableJob(row=judge | {"payload": {"first": "a"}}, documents=()))) == []
    assert judges_words("no JSON") == "no JSON"
    assert judges_words('[["a", {"b": "c"}], 1, null]') == "a\nc"


@pytest.mark.parametrize(
    ("lengths", "requests"),
    [
        ([], []),
        ([1] * 65, [64, 1]),  # as many texts as one request takes
        ([600_000, 400_000, 1], [2, 1]),  # as many characters
        ([1, 2_000_000, 1], [1, 1, 1]),  # a long text goes alone
    ],
)
def test_requests_to_the_small_embedder(lengths: list[int], requests: list[int]) -> None:
    texts = ["x" * length for length in lengths]
    batches = list(request_batches(texts))
    assert [len(batch) for batch in batches] == requests
    assert [text for batch in batches for text in batch] == texts
