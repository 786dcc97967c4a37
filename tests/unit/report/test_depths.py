"""Score and speed by the length of the context, for suites that ask the same at growing lengths."""

from __future__ import annotations

import pytest

from nightjar.jobs.sequences import Expectation, Sequence, TurnSpec
from nightjar.pipeline.report.data.depths import COLUMNS, depth_rows, depth_steps
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats.json_ import head_of
from nightjar.pipeline.report.formats.markdown import render_markdown
from nightjar.pipeline.report.page.depth_table import depths_table
from nightjar.pipeline.report.page.html import render_html
from tests.factories import report_of, row

Tags = tuple[str, ...]


def asked(name: str, tags: Tags) -> Sequence:
    turn = TurnSpec(prompt="Where?", expect=(Expectation(check="includes", value="here"),))
    return Sequence(id=name, turns=(turn,), tags=tags)


def a_report(*tags: Tags) -> RunReport:
    sequences = [asked(f"s{number}", each) for number, each in enumerate(tags)]
    jobs = [
        row(sequence, ["It is here." if "1k" in sequence.tags or model == "far" else "It is lost."], model=model)
        for sequence in sequences
        for model in ("near", "far")
    ]
    return report_of(jobs, sequences)


LADDER: tuple[Tags, ...] = (("1k", "depth 0"), ("1k", "depth 25"), ("16k", "depth 0"), ("2k",))


def test_each_length_has_score_and_speeds_beside_each_other() -> None:
    """The shortest first, by number; a model that fails at length shows it."""
    report = a_report(*LADDER)
    steps = depth_steps(report)
    assert [(step.length, step.model, step.sequences) for step in steps] == [
        ("1k", "near", 2),
        ("1k", "far", 2),
        ("2k", "near", 1),
        ("2k", "far", 1),
        ("16k", "near", 1),
        ("16k", "far", 1),
    ]
    assert {step.metric for step in steps} == {"checks"}
    assert [step.mean for step in steps] == [1, 1, 0, 1, 0, 1]
    assert all(step.prefill_tokens_per_s and step.decode_tokens_per_s and step.prompt_tokens for step in steps)


def test_it_is_shown_wherever_a_report_is() -> None:
    report = a_report(*LADDER)
    table = depths_table(report)
    assert table is not None
    assert len(table.rows) == len(depth_rows(report)) == len(head_of(report)["depths"]) == 6
    assert "By length of the context" in "".join(render_html(report))
    assert "| 16k | near |" in "".join(render_markdown(report))
    assert {len(cells) for cells in depth_rows(report)} == {len(COLUMNS)}


@pytest.mark.parametrize(
    "tags",
    [
        (("1k",), ("1k",)),  # one length is no ladder
        (("1k",), ("2k", "3k")),
        (("1k",), ("story",)),
        (("01k",), ("2k",)),
    ],
)
def test_no_other_suite_has_such_a_table(tags: tuple[Tags, ...]) -> None:
    assert depth_steps(a_report(*tags)) == ()
    assert depths_table(a_report(*tags)) is None
