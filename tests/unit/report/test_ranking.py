"""Ranks: which models are significantly better, which cannot be told apart, which get no rank."""

from __future__ import annotations

import random

import pytest

from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus
from nightjar.pipeline.report.data.answer import answer
from nightjar.pipeline.report.data.compared import PairDifference
from nightjar.pipeline.report.data.run_report import RunReport
from tests import factories

SEQUENCES = [
    Sequence.model_validate(
        {"id": f"s{at}", "turns": [{"prompt": "a", "expect": [{"check": "includes", "value": "fox"}]}] * 4}
    )
    for at in range(12)
]


def run_of(shares: dict[str, float], *, dead: dict[str, int] | None = None, count: int = 12) -> RunReport:
    """A run in which each model passes about the given share of checks; `dead`: models whose first jobs failed."""
    return factories.report_of(
        [
            factories.row(sequence, replies(model, share, sequence), model=model, status=JobStatus.DONE)
            if at >= (dead or {}).get(model, 0)
            else factories.row(sequence, [], model=model, status=JobStatus.DEAD)
            for model, share in shares.items()
            for at, sequence in enumerate(SEQUENCES[:count])
        ],
        SEQUENCES[:count],
    )


def replies(model: str, share: float, sequence: Sequence) -> list[str]:
    source = random.Random(f"{model} {sequence.id}")
    return ["fox" if source.random() < share else "no" for _ in range(4)]


GAINED = {0, 2, 4, 6, 8, 10}


def ranks(report: RunReport) -> dict[str, int | None]:
    assert report.ranking is not None
    return {place.model: place.rank for place in report.ranking.places}


def test_clear_difference_makes_a_rank() -> None:
    """A model that passes nearly always against one that hardly does, over twelve sequences."""
    report = run_of({"weak": 0.1, "strong": 0.95})
    assert ranks(report) == {"strong": 1, "weak": 2}
    assert answer(report) == "By checks, strong (94\u202f%) beats weak (8\u202f%)."


def test_doubt_makes_a_group() -> None:
    """Two alike share rank 1, and the answer says what would be found."""
    report = run_of({"a": 0.6, "b": 0.62})
    assert ranks(report) == {"a": 1, "b": 1}
    assert "can't be separated over 12 sequences" in answer(report)
    assert "would be detected with 80\u202f% power" in answer(report)


def test_group_ahead_of_a_third() -> None:
    """Two leaders alike, one behind both."""
    report = run_of({"a": 0.9, "b": 0.92, "c": 0.1})
    assert ranks(report) == {"a": 1, "b": 1, "c": 3}
    assert answer(report).startswith(
        "By checks, b (94\u202f%) and a (90\u202f%) beat c (10\u202f%). b and a can't be separated over 12 sequences."
    )


@pytest.mark.parametrize(
    ("shares", "says", "letters"),
    [
        # the middle one is apart from neither: no gap between it and the others is claimed
        (
            {"a": 0.7, "b": 0.6, "c": 0.2},
            "By checks, a (73 %) beats c (23 %). b (52 %) can't be separated from either over 12 sequences.",
            {"a": "a", "b": "ab", "c": "b"},
        ),
        # all three apart: each gap was tested
        (
            {"a": 0.75, "b": 0.6, "c": 0.2},
            "By checks, a (81 %) beats b (52 %) and c (23 %). b beats c.",
            {"a": "a", "b": "b", "c": "c"},
        ),
        # a chain: neighbours overlap, and only the tested gaps are told
        (
            {"a": 0.95, "b": 0.75, "c": 0.45, "d": 0.2, "e": 0.05},
            "By checks, a (94 %) and b (81 %) beat c (44 %), d (23 %) and e (2 %). c beats e. "
            "Not separated over 12 sequences: a and b; c and d; d and e.",
            {"a": "a", "b": "a", "c": "b", "d": "bc", "e": "c"},
        ),
    ],
)
def test_sentences_follow_from_tested_pairs_alone(shares: dict[str, float], says: str, letters: dict[str, str]) -> None:
    report = run_of(shares)
    assert report.ranking is not None
    assert {place.model: place.letters for place in report.ranking.places} == letters
    assert answer(report).replace("\u202f", " ").startswith(says)


def test_a_few_missing_replies_forbid_what_they_could_turn() -> None:
    """One dead job of forty is under the limit of a rank, but no verdict stands that it could turn."""
    about = [SEQUENCES[0].model_copy(update={"id": f"t{at}"}) for at in range(40)]
    rows = [
        *(factories.row(one, ["fox" if at % 2 else "no"] * 4, model="plain") for at, one in enumerate(about)),
        *(
            factories.row(one, ["fox" if at % 2 or at in GAINED else "no"] * 4, model="new")
            for at, one in enumerate(about)
        ),
    ]
    whole = factories.report_of(rows, about)
    assert whole.ranking is not None
    assert whole.ranking.pairs[0].verdict is not PairDifference.CANNOT_TELL
    rows[1] = factories.row(about[1], [], model="plain", status=JobStatus.DEAD)
    rows[41] = factories.row(about[1], [], model="new", status=JobStatus.DEAD)
    holed = factories.report_of(rows, about)
    assert holed.ranking is not None
    [pair] = holed.ranking.pairs
    assert (pair.verdict, pair.turned) == (PairDifference.CANNOT_TELL, True)
    assert pair.missing is not None
    assert (pair.missing.sequences, pair.missing.alike) == (1, True)


def test_few_sequences_rank_nobody_apart() -> None:
    """Four sequences: whatever the means, nothing is claimed."""
    report = run_of({"weak": 0.0, "strong": 1.0}, count=4)
    assert set(ranks(report).values()) == {1}
    assert "At least 6 sequences are needed" in answer(report)


def test_much_missing_gets_no_rank() -> None:
    """One job of twelve dead is 8 %: no rank, the reason, and bounds with the missing as worst and as best."""
    report = run_of({"whole": 0.5, "holed": 0.9}, dead={"holed": 1})
    assert ranks(report) == {"whole": 1, "holed": None}
    assert report.ranking is not None
    place = report.ranking.places[-1]
    assert place.reason == "8% missing"
    assert place.to_worst is not None
    assert place.to_best is not None
    assert place.to_best - place.to_worst == pytest.approx(1 / 12)
    assert "Not ranked: holed (8% missing)" in answer(report)


def test_unranked_model_costs_the_others_nothing() -> None:
    """The sequences an unranked model lacks still count for the others."""
    report = run_of({"a": 0.5, "b": 0.6, "holed": 0.9}, dead={"holed": 3})
    assert report.ranking is not None
    assert report.ranking.sequences == 12
    assert len(report.ranking.pairs) == 1


def test_nobody_can_be_ranked() -> None:
    """Everything failed: no rank, said in words."""
    report = run_of({"a": 1.0, "b": 1.0}, dead={"a": 12, "b": 12})
    assert set(ranks(report).values()) == {None}
    assert answer(report).startswith("No model can be ranked by checks: a (")


def test_one_model_has_an_answer() -> None:
    """No comparison to make: its value and its interval."""
    assert "over 12 sequences, 95" in answer(run_of({"only": 0.5}))


def test_pairs_are_adjusted_together() -> None:
    """Three models are three comparisons: no adjusted p below its own."""
    report = run_of({"a": 0.3, "b": 0.5, "c": 0.7})
    assert report.ranking is not None
    assert len(report.ranking.pairs) == 3
    for pair in report.ranking.pairs:
        assert pair.p_adjusted is not None
        assert pair.paired.p is not None
        assert pair.p_adjusted >= pair.paired.p
        assert (pair.needed is None) == (pair.verdict is not PairDifference.CANNOT_TELL)
