"""Averages over parts of a suite are metrics like others: in the report, in gates and in comparisons."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from nightjar.jobs.ending import GateKind, GateOutcome
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus
from nightjar.pipeline.collect.aggregates import pack, unpack
from nightjar.pipeline.compare.comparison import compare_sides, sides
from nightjar.pipeline.compare.gates import check_comparison, check_report, parse_gate
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page.result_tables import tags_table
from tests import factories

AVERAGES = ("includes.macro", "includes.large")


def sequence(number: int, part: str) -> Sequence:
    averages = {"includes.macro": part} | ({"includes.large": "all"} if part == "large" else {})
    turns = [{"prompt": f"p{number}", "expect": [{"check": "includes", "value": "fox"}]}]
    return Sequence.model_validate({"id": f"s{number}", "turns": turns, "tags": [part], "averages": averages})


def run(right_of_large: int, right_of_small: int, *, dead: int = 0) -> RunReport:
    """40 questions of one part and 10 of another, of which so many are answered rightly."""
    about = [sequence(number, "large" if number < 40 else "small") for number in range(50)]
    jobs = []
    for number, one in enumerate(about):
        right = number < right_of_large if number < 40 else number - 40 < right_of_small
        status = JobStatus.DEAD if number < dead else JobStatus.DONE
        jobs.append(factories.row(one, [] if number < dead else ["fox" if right else "no"], status=status))
    return factories.report_of(jobs, about)


def test_parts_count_alike_and_questions_within_them() -> None:
    metrics = run(30, 2).models[0].total.metrics

    assert metrics["includes"].mean == 0.64  # of all questions
    assert metrics["includes.macro"].mean == pytest.approx((0.75 + 0.2) / 2)
    assert metrics["includes.large"].mean == 0.75
    macro, micro = metrics["includes.macro"].interval, metrics["includes"].interval
    assert macro is not None
    assert micro is not None
    assert macro.low < 0.475 < macro.high
    assert macro.high - macro.low > micro.high - micro.low  # ten questions are half of it


def test_an_average_stands_in_files_and_is_kept() -> None:
    report = run(30, 2)
    head = json.loads(render(report, "json"))

    assert set(AVERAGES) <= set(head["scales"])
    assert set(AVERAGES) <= set(head["models"][0]["metrics"])
    assert "includes.macro" in render(report, "md")
    assert (
        unpack(pack(report)).models[0].total.metrics["includes.macro"]
        == report.models[0].total.metrics["includes.macro"]
    )


GATES = [
    # (gate, what comes of 30 of 40 and 2 of 10)
    ("includes.macro:0.4", GateOutcome.PASSED),
    ("includes.macro:0.6", GateOutcome.TRIPPED),  # the plain share, 0.64, would pass
    ("includes.large:0.7", GateOutcome.PASSED),
]


@pytest.mark.parametrize(("text", "outcome"), GATES)
def test_a_gate_on_an_average(text: str, outcome: GateOutcome) -> None:
    (result,) = check_report([parse_gate(GateKind.BELOW, text)], run(30, 2))
    assert result.outcome is outcome


def test_what_is_missing_is_not_taken_for_passed() -> None:
    (result,) = check_report([parse_gate(GateKind.BELOW, "includes.macro:0.4")], run(30, 2, dead=12))
    assert result.outcome is GateOutcome.INCONCLUSIVE


def test_a_comparison_is_of_the_averages() -> None:
    """The small part got better, which the plain share hardly shows."""
    ((base,), (other,)) = (sides(run(30, 0), None), sides(run(30, 10), None))
    compared = {metric.metric: metric for metric in compare_sides(base, other).metrics}

    assert compared["includes.macro"].pair.paired.difference == pytest.approx(0.5)
    assert compared["includes"].pair.paired.difference == pytest.approx(0.2)
    assert compared["includes.large"].pair.paired.difference == 0
    assert compared["includes.macro"].pair.paired.interval is not None
    (result,) = check_comparison([parse_gate(GateKind.REGRESSION, "includes.macro:0.05")], compare_sides(other, base))
    assert result.outcome is GateOutcome.TRIPPED


def test_tables_by_part_show_what_the_average_is_of() -> None:
    """A tag has no average over parts of its own: it shows its plain mean."""
    report = run(30, 2)
    led = replace(report, provenance=replace(report.provenance, primary_metric="includes.macro"), ranking=None)
    table = tags_table(led, None)

    assert led.headline == "includes.macro"
    assert [row[1].text for row in table.rows] == ["75\u202f%", "20\u202f%"]
