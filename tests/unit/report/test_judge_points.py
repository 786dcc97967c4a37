"""A report with a judge's scores: points instead of passes, reasons beside them."""

from __future__ import annotations

import json

from nightjar.pipeline.exports.write import render
from nightjar.pipeline.report.data.answer import answer
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats.summary import summary_rows
from nightjar.pipeline.report.page.result_tables import criteria_table
from nightjar.pipeline.scores import Direction, Scale, Score, ScoreState
from tests import factories

POINTS = Scale(worst=1.0, best=5.0, direction=Direction.HIGHER, unit="points", least=1.0, most=5.0)


def judged() -> RunReport:
    about = factories.sequences()
    jobs = []
    for model, points in (("a", 4.0), ("b", 1.0)):
        for at, sequence in enumerate(about):
            row = factories.row(sequence, ["one", "two", "three"], model=model)
            value = points + (at % 2) * 0.5
            scores = {
                "judge": Score(value=value),
                "judge.voice": Score(value=value, answer="j: 4", reason=f"<b>{model}</b> wanders off"),
                "judge.plot": Score(value=None, state=ScoreState.UNSCORED, reason="j: no whole JSON"),
            }
            jobs.append(row.scored({turn.index: scores for turn in row.turns}))
    return factories.report_of(jobs, about, scales={"judge": POINTS, "judge.voice": POINTS, "judge.plot": POINTS})


def test_judge_leads() -> None:
    """The composite is the headline, in points; checks stand beside it."""
    report = judged()
    assert report.headline == "judge"
    assert answer(report).startswith("By judge, a (4.25) beats b (1.25)")
    columns, rows = summary_rows(report)
    assert columns[1:3] == ["judge>", "checks>"]
    assert rows[0][1] == "4.25"


def test_criteria_are_a_heat_map() -> None:
    """Model x criterion; a criterion without a verdict shows a dash, not the worst point."""
    table = criteria_table(judged())
    voice, plot = (next(row for row in table.rows if row[0].text == name) for name in ("judge.voice", "judge.plot"))
    assert [(cell.text, cell.heat) for cell in voice[1:]] == [("4.25", 8), ("1.25", 1)]
    assert [(cell.text, cell.heat) for cell in plot[1:]] == [("\u2013", None)] * 2
    assert "j: no whole JSON" in plot[1].note


def test_reasons_stand_beside_the_scores() -> None:
    """The judge's words are in the page as text, in the JSON as they are; only the worst value is marked as bad."""
    report = judged()
    page = render(report, "html")
    assert "&lt;b&gt;a&lt;/b&gt; wanders off" in page
    assert '<li class="bad"><b>judge.voice</b> 1.00' in page
    assert "<li><b>judge.voice</b> 4.00" in page
    turn = json.loads(render(report, "json"))["jobs"][0]["turns"][0]
    assert turn["scores"]["judge.plot"] == {
        "value": None,
        "state": "unscored",
        "answer": None,
        "reason": "j: no whole JSON",
    }
