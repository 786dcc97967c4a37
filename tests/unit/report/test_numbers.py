"""How turns become numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nightjar.jobs.parameters import ParameterSource
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.pipeline.report.data.answer import answer
from nightjar.pipeline.report.data.metric import MetricTally
from nightjar.pipeline.report.data.numbers import number, seconds, size
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.safe import slug
from nightjar.pipeline.scores import PASS, Score, ScoreState
from nightjar.pipeline.transcripts import JobRow
from tests import factories

ONE = Sequence.model_validate(
    {"id": "one", "turns": [{"prompt": "a", "expect": [{"check": "includes", "value": "fox"}]}, {"prompt": "b"}]}
)
TWO = Sequence.model_validate(
    {"id": "two", "turns": [{"prompt": "c", "expect": [{"check": "includes", "value": "fox"}]}, {"prompt": "d"}]}
)


row = factories.row


def report_of(*jobs: JobRow, **how: Any) -> RunReport:
    return factories.report_of(jobs, [ONE, TWO], **how)


def test_mean_is_over_sequences() -> None:
    """Three repeats of one sequence weigh as much as one repeat of another: (1/3 + 1) / 2, not 2/4."""
    jobs = [row(ONE, [text, "x"], repeat=r) for r, text in enumerate(["fox", "no", "no"])] + [row(TWO, ["fox", "x"])]
    metric = report_of(*jobs).models[0].total.metrics["includes"]
    assert metric.mean == pytest.approx((1 / 3 + 1) / 2)
    assert (metric.n, metric.values) == (2, 4)


def test_missing_is_counted_and_is_no_number() -> None:
    """A dead job's turns lower no mean; they are counted, with the reason."""
    report = report_of(row(ONE, ["fox", "x"]), row(TWO, [], status=JobStatus.DEAD))
    total = report.models[0].total
    assert total.metrics["includes"].mean == 1.0
    assert (total.metrics["includes"].n, total.metrics["includes"].missing) == (1, 1)
    assert (total.counts.turns, total.counts.turns_expected, total.counts.turns_missing, total.counts.failed) == (
        2,
        4,
        2,
        1,
    )
    assert total.counts.failures == {"DEAD: it broke": 1}


def test_nothing_there_says_why() -> None:
    """With no value at all the mean is None, with the reason of the first missing turn."""
    metric = report_of(row(ONE, [], status=JobStatus.DEAD)).models[0].total.metrics["includes"]
    assert metric.mean is None
    assert metric.reason == "not generated: DEAD: it broke"


def test_model_failure_is_worst() -> None:
    """An empty reply counts 0 for a check and is counted as such."""
    metric = report_of(row(ONE, ["fox"]), row(TWO, [""], empty="no text")).models[0].total.metrics["includes"]
    assert (metric.mean, metric.worst, metric.n) == (0.5, 1, 2)


def test_turns_of_unfinished_jobs_are_not_missing() -> None:
    """A pending job's turns are expected, and not yet missing."""
    counts = report_of(row(ONE, [], status=JobStatus.PENDING), status=RunStatus.ACTIVE).models[0].total.counts
    assert (counts.turns_expected, counts.turns_missing) == (2, 0)


def test_groups_add_up() -> None:
    """Tokens by sequence, turn and repeat add up to the model's own."""
    report = factories.synthetic_report()
    for model in report.models:
        for groups in (model.by_sequence, model.by_turn, model.by_repeat):
            assert sum(group.counts.reply_tokens for group in groups.values()) == model.total.counts.reply_tokens
            assert sum(group.counts.turns_expected for group in groups.values()) == model.total.counts.turns_expected


def notices(*jobs: JobRow, **how: Any) -> list[str]:
    return [notice.text for notice in report_of(*jobs, **how).notices]


def test_unlike_sampling_is_the_first_line() -> None:
    """Even before the notice on a partial run; it names parameter, values and models."""
    lines = notices(
        row(ONE, ["x"], model="a", parameters={"temperature": 0.2}),
        row(ONE, ["x"], model="b", parameters={"temperature": 0.9}),
        row(TWO, [], model="b", status=JobStatus.PENDING),
        status=RunStatus.ACTIVE,
    )
    assert "sampled differently" in lines[0]
    assert "temperature 0.2 (a) / 0.9 (b)" in lines[0]
    assert "1 of 3 jobs are not finished" in lines[1]


def test_equal_sampling_is_no_notice() -> None:
    """The same value from another layer is the same sampling."""
    lines = notices(
        row(ONE, ["x", "y"], model="a", parameters={"temperature": 0.2}),
        row(ONE, ["x", "y"], model="b", parameters={"temperature": 0.2}, source=ParameterSource.SET),
    )
    assert lines == []


@pytest.mark.parametrize(
    ("jobs", "told"),
    [
        ([row(ONE, ["fox"]), row(TWO, [], status=JobStatus.DEAD)], "so it is not ranked"),  # half is missing
        ([row(ONE, [], status=JobStatus.DEAD)], "1 of 1 job failed"),
        ([row(ONE, [""], empty="no text")], "1 empty of 1 reply"),
    ],
)
def test_notice(jobs: list[JobRow], told: str) -> None:
    """What must not be missed is said before any number."""
    assert any(told in line for line in notices(*jobs))


def test_turns_beside_live_requests_count_in_no_speed() -> None:
    """Their times say less about the model; their replies are scored as all are. A notice says how many."""
    alone, beside = row(ONE, ["fox", "fox"]), row(TWO, ["fox", "fox"])
    beside = replace(beside, turns=tuple(replace(turn, shared=True, decode_s=1000.0) for turn in beside.turns))
    both, one = report_of(alone, beside).models[0], report_of(alone).models[0]
    assert both.total.speed == one.total.speed
    assert both.total.counts.shared == 2
    assert both.total.metrics["includes"].n == 2
    assert any("beside 2 of 4 turns a live request used the device" in line for line in notices(alone, beside))
    assert not any("live request" in line for line in notices(alone))


def test_greedy_repeats_are_told() -> None:
    """Repeats at temperature 0 add nothing; the notice says how many turns that concerns."""
    jobs = [
        row(ONE, ["x", "y"], parameters={"temperature": 0.0}),
        row(TWO, ["x", "y"], parameters={"temperature": 0.7}),
    ]
    assert notices(*jobs, repeats=2) == [
        "2 of 4 turns of m were generated at temperature 0, so their 2 repeats give the same reply."
    ]
    assert notices(*jobs, repeats=1) == []


def test_suite_without_checks_has_an_answer() -> None:
    """What was written, and that nothing says how good it is; the tables show the measures."""
    plain = Sequence.model_validate({"id": "plain", "turns": [{"prompt": "a"}]})
    report = factories.report_of([row(plain, ["three words here"])], [plain])
    told = answer(report)
    assert told.startswith("m wrote 1 of 1 replies (none empty), 3.00 words on average.")
    assert "no checks" in told
    assert report.ranking is None
    assert report.leading_metrics(2) == ("words", "distinct_1")


def test_unscored_and_failed_are_counted_apart() -> None:
    """Neither is a number."""
    tally = MetricTally("m")
    tally.add(("s", 0), Score(value=None, state=ScoreState.UNSCORED, reason="slow"))
    tally.add(("s", 0), Score(value=None, state=ScoreState.FAILED, reason="boom"))
    metric = tally.metric(PASS)
    assert (metric.mean, metric.unscored, metric.failed, metric.n) == (None, 1, 1, 0)
    assert metric.reason == "not scored: slow"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0004, "<1\u202fms"),
        (0.0, "0\u202fms"),
        (0.0571, "57\u202fms"),
        (0.9996, "1.00\u202fs"),
        (1.239, "1.24\u202fs"),
        (185, "3\u202fmin\u202f05\u202fs"),
        (7260, "2\u202fh\u202f01\u202fmin"),
        (None, "\u2013"),
    ],
)
def test_seconds(value: float | None, shown: str) -> None:
    """Few digits, the right unit."""
    assert seconds(value) == shown


def test_numbers() -> None:
    """Three digits or so; bytes in powers of 1024."""
    assert [number(v) for v in (0, 0.12345, 1.234, 12.34, 1234.5, None)] == [
        "0",
        "0.123",
        "1.23",
        "12.3",
        "1\u202f234",
        "\u2013",
    ]
    assert [size(v) for v in (12, 2048, 3 * 1024**3, None)] == ["12\u202fB", "2.00\u202fKiB", "3.00\u202fGiB", "\u2013"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nightly-2026-11-20", "nightly-2026-11-20"),
        ("../../etc/passwd", "etc-passwd-01234567"),  # never out of the folder
        ("a/b c", "a-b-c-01234567"),
        ("\u65e5\u672c", "run-01234567"),
        ("..", "run-01234567"),
    ],
)
def test_slug(name: str, expected: str) -> None:
    """A safe name is kept; any other is cleaned and made unique by the run's id."""
    assert slug(name, "0123456789") == expected
