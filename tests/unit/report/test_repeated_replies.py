"""A reply that is the one before it again: worst in every scale, counted apart, and told wherever empty ones are."""

from __future__ import annotations

import csv
import io
import json

from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.report.data.findings import failures
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats.summary import summary_rows
from nightjar.pipeline.scoring.turn_scorer import score_job, turn_lines
from tests import factories

STORY = "The fox went home. " * 6
AGAIN = "the reply of turn 1 again"
ABOUT = Sequence.model_validate(
    {"id": "fox", "turns": [{"prompt": "Begin.", "expect": [{"check": "includes", "value": "fox"}]}] * 2}
)


def report(again: str | None = AGAIN) -> RunReport:
    turns = [
        factories.turn(sequence=ABOUT, reply=STORY),
        factories.turn(sequence=ABOUT, index=1, reply=STORY, repeats_previous=again),
    ]
    raw = factories.job(sequence=ABOUT, model="amber", turns=turns)
    row = factories.READER.job({**raw, "reply_tokens": [24, 24]})
    return factories.report_of([row.scored(score_job(turn_lines(ABOUT), ABOUT, row))], [ABOUT])


def test_it_passes_no_check() -> None:
    """Its text would: the same one did in turn 1."""
    [job] = report().jobs
    assert [turn.scores["checks"].value for turn in job.turns] == [1.0, 0.0]
    assert job.turns[1].scores["checks"].reason == f"repeated reply: {AGAIN}"
    [job] = report(None).jobs
    assert [turn.scores["checks"].value for turn in job.turns] == [1.0, 1.0]


def test_it_is_counted_and_named() -> None:
    [model] = report().models
    counts = model.total.counts
    assert (counts.empty, counts.degenerate, counts.repeats_previous, counts.unusable) == (0, 0, 1, 1)
    assert any("amber: 1 repeated of 2 replies" in notice.text for notice in report().notices)
    assert [finding.text for finding in failures(report())] == ["1 reply that is the one before again, scored as worst"]
    document = json.loads(str(render(report(), "json")))
    assert document["models"][0]["repeats_previous"] == 1
    assert [turn["repeats_previous"] for turn in document["jobs"][0]["turns"]] == [None, AGAIN]
    rows = list(csv.DictReader(io.StringIO(str(render(report(), "csv")).removeprefix("\ufeff"))))
    assert [row["repeats_previous"] for row in rows] == ["", AGAIN]
    page = str(render(report(), "html"))
    assert "1 repeated" in page
    assert f"repeated reply: {AGAIN}" in page


def test_the_terminal_has_a_column_for_each_kind_that_occurs() -> None:
    """`empty` counts empty replies alone; the others have columns where there are any."""
    columns, [row] = summary_rows(report())
    assert (row[columns.index("empty>")], row[columns.index("repeated>")]) == ("0", "1")
    assert "degenerate>" not in columns
    columns, _ = summary_rows(report(None))
    assert "repeated>" not in columns
    assert "tokens/s per conversation>" in columns
