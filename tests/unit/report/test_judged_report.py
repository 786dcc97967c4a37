"""What judges said, as each format shows it."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

from nightjar.pipeline.exports.write import render
from nightjar.pipeline.judging.prompts import Verdict
from nightjar.pipeline.judging.rubric import read_rubric
from nightjar.pipeline.judging.verdicts import Verdicts, judge_scales, score_verdicts
from nightjar.pipeline.report.data.run_report import RunReport
from tests import factories

RUBRIC = read_rubric(
    {"criteria": [{"name": "plot", "description": "d", "scale": {str(n): f"x{n}" for n in range(1, 6)}}]}
)
REASON = "=cmd() <b>Things</b> happen."


def judged_report() -> RunReport:
    """The synthetic run with a good, a worst and a missing verdict on the first job's turns."""
    report = factories.synthetic_report()
    first = report.jobs[0]
    given: dict[int | None, Verdicts] = {
        0: {"judge": [Verdict(criterion="plot", value=4, reason=REASON)]},
        1: {"judge": [Verdict(criterion="plot", value=1, reason="Nothing happens.")]},
    }
    judged = first.scored(score_verdicts(RUBRIC, first, given, ["judge"]))
    return replace(report, jobs=(judged, *report.jobs[1:]), scales={**judge_scales(RUBRIC), **report.scales})


def text_of(form: str) -> str:
    rendered = render(judged_report(), form)
    return rendered if isinstance(rendered, str) else rendered.decode()


def line(page: str, text: str) -> str:
    """The list item of a score that holds a text."""
    found: list[str] = [item for item in re.findall(r"<li[^>]*><b>judge\.plot</b>.*?</li>", page) if text in item]
    assert len(found) == 1
    return found[0]


def test_the_page_shows_each_verdict_with_its_reason() -> None:
    """Escaped; only the worst value stands out, not every score that has a reason."""
    page = text_of("html")
    good = line(page, "Things")
    assert "&lt;b&gt;Things&lt;/b&gt;" in good
    assert 'class="bad"' not in good
    assert 'class="bad"' in line(page, "Nothing happens.")
    assert 'class="none"' in line(page, "not judged")


def test_json_holds_value_answer_and_reason() -> None:
    document = json.loads(render(judged_report(), "json"))
    assert document["jobs"][0]["turns"][0]["scores"]["judge.plot"] == {
        "value": 4.0,
        "state": "scored",
        "answer": "judge: 4",
        "reason": REASON,
    }


def test_csv_has_a_column_of_reasons() -> None:
    """As text that no spreadsheet takes for a formula; rows stay as wide as the header."""
    rows = list(csv.reader(io.StringIO(text_of("csv").removeprefix("\ufeff"))))
    assert {len(row) for row in rows} == {len(rows[0])}
    said = [row[rows[0].index("reason.judge.plot")] for row in rows[1:4]]
    assert said == ["'" + REASON, "Nothing happens.", "judge: not judged"]
