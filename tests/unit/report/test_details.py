"""What a mean hides: spread, repeats, gaps by tag, findings, what is worth reading."""

from __future__ import annotations

import random
from typing import Any

import pytest

from nightjar.config.errors import UnknownNameError
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus
from nightjar.pipeline.report.data.compared import PairDifference
from nightjar.pipeline.report.data.extremes import longest, worst
from nightjar.pipeline.report.data.findings import doubts, failures
from nightjar.pipeline.report.data.gaps import find_reference, gaps
from nightjar.pipeline.report.data.run_report import RunReport
from tests import factories


def sequence(at: int, tag: str = "a") -> Sequence:
    expect = [{"check": "includes", "value": "fox"}]
    turns = [{"prompt": "p", "expect": expect}, {"prompt": "q", "expect": expect}]
    return Sequence.model_validate({"id": f"s{at}", "tags": [tag], "turns": turns})


def run_of(about: list[Sequence], shares: dict[str, float], repeats: int = 1, **each: Any) -> RunReport:
    """A run of models that pass about the given share of checks."""
    rows = []
    for model, share in shares.items():
        for one in about:
            for repeat in range(repeats):
                source = random.Random(f"{model} {one.id} {repeat}")
                replies = ["a fox" if source.random() < share else "no" for _ in one.turns]
                rows.append(factories.row(one, replies, model=model, repeat=repeat, **each))
    return factories.report_of(rows, about, repeats=repeats)


def test_repeats_are_reduced_before_sequences() -> None:
    """Two sequences of three repeats: one passes twice of three, one never. A repeat passes when every turn does."""
    about = [sequence(0), sequence(1)]
    texts = {0: [["fox", "fox"], ["fox", "fox"], ["fox", "no"]], 1: [["no", "no"]] * 3}
    rows = [factories.row(about[at], said, repeat=r) for at, found in texts.items() for r, said in enumerate(found)]
    detail = factories.report_of(rows, about, repeats=3).models[0].details["checks"]
    assert detail.repeats is not None
    assert detail.repeats.most == 3
    assert detail.repeats.median.mean == pytest.approx((1.0 + 0.0) / 2)
    assert detail.repeats.best is not None
    assert detail.repeats.best.mean == pytest.approx(0.5)
    assert {k: found.mean for k, found in detail.repeats.pass_at.items()} == {2: 0.5, 3: 0.5}
    assert {k: found.mean for k, found in detail.repeats.pass_all.items()} == {2: pytest.approx(1 / 6), 3: 0.0}
    assert detail.quantiles[0] == 0.0
    assert detail.quantiles[100] == pytest.approx(5 / 6)
    assert detail.median_interval is None  # under ten sequences


def test_incomplete_repeats_do_not_pass() -> None:
    """A repeat that lost a turn is no passed repeat, though the turn it has passed: it is left out."""
    about = [sequence(0)]
    rows = [
        factories.row(about[0], ["fox", "fox"], repeat=0),
        factories.row(about[0], ["fox", "no"], repeat=1),
        factories.row(about[0], ["fox"], repeat=2, status=JobStatus.DEAD),
    ]
    repeats = factories.report_of(rows, about, repeats=3).models[0].details["checks"].repeats
    assert repeats is not None
    assert repeats.most == 2
    assert repeats.pass_at[2].mean == 1.0


def test_one_repeat_has_nothing_to_reduce() -> None:
    """Without repeats there is only the spread over sequences, with a bootstrap interval from ten on."""
    detail = run_of([sequence(at) for at in range(12)], {"m": 0.6}).models[0].details["checks"]
    assert detail.repeats is None
    assert detail.median_interval is not None
    assert detail.median_interval.method == "bootstrap"


def test_gaps_are_paired_and_adjusted() -> None:
    """Against the reference, tag by tag; a clear one is called so, one of few sequences is not."""
    about = [sequence(at, "large") for at in range(14)] + [sequence(at, "small") for at in range(20, 23)]
    report = run_of(about, {"good": 0.97, "bad": 0.05})
    reference = find_reference(report, None)
    assert reference is not None
    found = gaps(report, reference)
    assert found is not None
    assert found.reference == "good"
    assert found.gaps["large", "bad"].verdict is PairDifference.WORSE
    assert (found.gaps["large", "bad"].paired.difference or 0) < -0.7
    assert found.gaps["small", "bad"].verdict is PairDifference.CANNOT_TELL
    assert ("large", "good") not in found.gaps


def test_reference_is_chosen_by_name() -> None:
    """An unknown model is refused with those there are; a run of one model has no reference."""
    report = run_of([sequence(0)], {"good": 0.9, "bad": 0.1})
    chosen = find_reference(report, "bad")
    assert chosen is not None
    assert chosen.name == "bad"
    with pytest.raises(UnknownNameError, match="good"):
        find_reference(report, "gud")
    assert find_reference(run_of([sequence(0)], {"only": 0.5}), None) is None


def test_doubts_say_what_would_settle_them() -> None:
    """Two alike: what was seen, what would be found, how many more sequences."""
    report = run_of([sequence(at) for at in range(12)], {"a": 0.5, "b": 0.6})
    text = next(found.text for found in doubts(report) if found.about == "a against b")
    assert text.startswith("observed difference ")
    assert "would be detected with 80\u202f% power" in text
    assert "more sequences are needed to confirm a difference this large" in text


def test_few_sequences_are_told() -> None:
    """With fewer than five nothing has an interval, and the report says so."""
    told = [found.text for found in doubts(run_of([sequence(0), sequence(1)], {"a": 0.5, "b": 0.6}))]
    assert "2 sequences: too few for a comparison, which needs at least 6" in told
    assert "only 2 sequences: intervals and tests need at least 5" in told


def test_failures_are_counted_by_kind() -> None:
    """Each kind of failure once, with a link; nothing where nothing failed."""
    about = [sequence(0), sequence(1)]
    rows = [
        factories.row(about[0], ["", "fox"], empty="no text"),
        factories.row(about[1], ["fox"], status=JobStatus.DEAD),
    ]
    found = failures(factories.report_of(rows, about))
    assert [one.text for one in found] == [
        "1 of 2 jobs failed",
        "1 of 4 turns are missing",
        "2 empty replies, scored as worst",
    ]
    assert all(one.show for one in found)
    assert failures(run_of(about, {"m": 1.0})) == ()


def test_worth_reading() -> None:
    """The longest by tokens; the worst by the headline, from as many sequences and models as there are."""
    about = [sequence(at) for at in range(3)]
    report = run_of(about, {"a": 0.0, "b": 0.0})
    found = worst(report, 4)
    assert {one.value for one in found} == {0.0}
    assert len({(one.job.model, one.job.sequence) for one in found}) == 4
    assert {one.job.model for one in found} == {"a", "b"}
    lengths = [one.value for one in longest(factories.synthetic_report())]
    assert lengths == sorted(lengths, reverse=True)
    assert worst(run_of(about, {"a": 1.0})) == ()
