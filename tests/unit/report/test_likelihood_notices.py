"""What a report says of how likelihoods came about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.report.data.likelihood_notices import layouts_of, likelihood_notices
from nightjar.pipeline.transcripts import ChoiceRow, JobRow, LikelihoodRow, RowReader, TextRow
from tests import factories

SEQUENCE = Sequence.model_validate({"id": "s", "mode": "completion", "turns": [{"prompt": "Q"}]})
CHOICE = ChoiceRow(logprob=-1.0, tokens=1, characters=1, bytes=1, greedy=False)
MERGED = replace(CHOICE, merged=True)
TEXT = TextRow(logprob=-1.0, tokens=1, left_out=0, windows=1, window=32, score_from=None, bos=True, words=1, bytes=1)


def a_row(model: str, found: LikelihoodRow | None) -> JobRow:
    raw = factories.job(sequence=SEQUENCE, turns=[factories.turn(sequence=SEQUENCE)])
    row = RowReader().job({**raw, "model": model, "reply_tokens": [0]})
    return replace(row, turns=tuple(replace(turn, likelihoods=found) for turn in row.turns))


def of(layout: str = "resumed", **found: Any) -> LikelihoodRow:
    return LikelihoodRow(layout=layout, **found)


CASES = [
    # Nothing was scored.
    ([("a", None)], []),
    # One layout for all.
    ([("a", of()), ("b", of())], [("info", "in the layout 'resumed'.")]),
    # Each has another.
    ([("a", of()), ("b", of("branches"))], [("warning", "a: resumed; b: branches. Compare runs of one layout.")]),
    # A small context had smaller windows.
    (
        [("a", of(text=TEXT)), ("b", of(text=replace(TEXT, window=16)))],
        [("info", "layout"), ("warning", "perplexities don't compare: a: windows of 32, each token once")],
    ),
    # A token reached over the border of one choice.
    ([("a", of(choices=(CHOICE, MERGED)))], [("info", "layout"), ("info", "a: 1 of 2 choices share a token")]),
]


@pytest.mark.parametrize(("rows", "expected"), CASES)
def test_notices_on_likelihoods(rows: list[tuple[str, LikelihoodRow | None]], expected: list[tuple[str, str]]) -> None:
    notices = likelihood_notices([a_row(*row) for row in rows])

    assert [notice.level for notice in notices] == [level for level, _ in expected]
    assert all(part in notice.text for notice, (_, part) in zip(notices, expected, strict=True))


def test_the_layouts_of_one_contestant() -> None:
    jobs = [a_row("a", of()), a_row("a", of("branches")), a_row("b", None)]

    assert layouts_of(jobs, "a") == {"resumed", "branches"}
    assert layouts_of(jobs, "b") == frozenset()
