"""The judges' section: agreement, order effects, checks, win rates, verdicts; in each format."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.compare.comparison import Side, compare_sides
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.judging.checkup import Checkup, Reading, checkup
from nightjar.pipeline.judging.judged import JudgedAt, JudgedJob, JudgedPair
from nightjar.pipeline.judging.pairs import Opinion, PairOutcome, PairResult
from nightjar.pipeline.judging.panel import Panel
from nightjar.pipeline.judging.prompts import JudgedTurn, Verdict
from nightjar.pipeline.judging.results import JudgeResults
from nightjar.pipeline.judging.rubric import Rubric, read_rubric
from nightjar.pipeline.judging.spoilt import Control
from nightjar.pipeline.report.data.judge_findings import unlike, with_judging
from nightjar.pipeline.report.data.judges import JudgingReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.transcripts import JobRow
from tests import factories

ABOUT = [PromptSequence.model_validate({"id": f"s{n}", "turns": [{"prompt": f"Say {n}."}]}) for n in range(8)]
SCHEMA = Draft202012Validator(json.loads((Path(__file__).parents[3] / "docs/report.schema.json").read_text("utf-8")))
REASON = "<b>Because</b> of | it"


def points() -> Rubric:
    return read_rubric({"criteria": [{"name": "plot", "description": "d", "scale": {1: "bad", 2: "fair", 3: "good"}}]})


def pairwise() -> Rubric:
    return read_rubric({"criteria": [{"name": "plot", "description": "d"}], "method": "pairwise"})


def rows(*models: str) -> list[JobRow]:
    return [factories.row(one, [f"A reply by {model}."], model=model) for model in models for one in ABOUT]


def reported(bench: JudgeResults, jobs: Sequence[JobRow]) -> RunReport:
    scored = [job.scored(bench.score(job)) for job in jobs]
    report = factories.report_of(scored, ABOUT, scales=bench.with_scales({}))
    return with_judging(report, bench)


def given(jobs: Sequence[JobRow], **judges: Sequence[int | None]) -> JudgeResults:
    """Results in which each judge gave these points to the jobs, in order."""
    verdicts: dict[JudgedAt, dict[str, list[Verdict]]] = {
        (job.id, 0): {
            judge: [Verdict(criterion="plot", value=values[at], reason=REASON if values[at] else "no whole JSON")]
            for judge, values in judges.items()
        }
        for at, job in enumerate(jobs)
    }
    return JudgeResults(rubric=points(), prompt_digest="p" * 32, panel=Panel(judges=tuple(judges)), verdicts=verdicts)


def judging_of(report: RunReport) -> JudgingReport:
    assert report.judging is not None
    return report.judging


def failed_check(judge: str, digest: str = "p" * 32) -> Checkup:
    readings = [
        Reading(judge=judge, control=control, sequence=f"s{n}", real=2, spoilt=2)
        for control in Control
        for n in range(8)
    ]
    return checkup(judge, digest, readings, smallest=0.4)


def test_what_each_judge_gave_and_could_not() -> None:
    """Texts asked about, verdicts without a value and why; a text that is a failure is nobody's to judge."""
    jobs = rows("amber")
    silent = factories.row(ABOUT[0], [""], model="amber", repeat=1, empty="no text")
    judging = judging_of(
        reported(given(jobs, judge=[3, 2, None, 1, 3, 2, None, 1]), [*jobs, replace(silent, id="silent")])
    )
    (judge,) = judging.judges
    assert (judge.asked, judge.judged, judge.mean) == (8, 6, 2)
    assert judge.missing == {"no whole JSON": 2}
    assert judging.agreement == ()


def test_agreement_of_several_judges() -> None:
    """By each criterion on ordinal alpha, by the composite on interval alpha; units need two verdicts."""
    jobs = rows("amber")
    same = [3, 2, 1, 1, 3, 2, 3, 1]
    judging = judging_of(reported(given(jobs, judge=same, other=same), jobs))
    assert [(one.metric, one.level, one.alpha, one.units) for one in judging.agreement] == [
        ("judge.plot", "ordinal", 1, 8),
        ("judge", "interval", 1, 8),
    ]
    torn = judging_of(reported(given(jobs, judge=same, other=[None, 3, 2, 3, 1, 1, 1, 3]), jobs)).agreement[0]
    assert torn.units == 7
    assert torn.alpha is not None
    assert torn.alpha < 0


def test_a_judge_that_failed_its_check_ranks_nothing() -> None:
    """It is named before everything else; ranks and verdicts on pairs are replaced by the reason."""
    jobs = rows("amber", "basalt")
    bench = given(jobs, judge=[3] * 8 + [1] * 8)
    ranked = reported(bench, rows("amber", "basalt"))
    assert ranked.ranking is not None
    assert [place.rank for place in ranked.ranking.places] == [1, 2]

    barred = reported(replace(bench, checkups=(failed_check("judge"),)), jobs)
    assert barred.ranking is not None
    assert [place.rank for place in barred.ranking.places] == [None, None]
    assert "can't tell real replies from shuffled" in (barred.ranking.places[0].reason or "")
    assert barred.ranking.pairs == ()
    assert barred.notices[0].level == "warning"
    assert "rank nothing" in barred.notices[0].text


@pytest.mark.parametrize(
    "checked",
    [
        # of another rubric, or of a judge that is not this run's
        failed_check("judge", "q" * 32),
        failed_check("stranger"),
        # on too few sequences
        checkup(
            "judge",
            "p" * 32,
            [Reading(judge="judge", control=Control.SHUFFLED, sequence="s", real=1, spoilt=1)],
            smallest=0.4,
        ),
    ],
)
def test_a_check_that_says_nothing_of_these_scores_bars_nothing(checked: Checkup) -> None:
    jobs = rows("amber", "basalt")
    report = reported(replace(given(jobs, judge=[3] * 8 + [1] * 8), checkups=(checked,)), jobs)
    assert report.ranking is not None
    assert [place.rank for place in report.ranking.places] == [1, 2]


def compared(jobs: Sequence[JobRow], outcomes: Sequence[tuple[PairOutcome | None, PairOutcome | None]]) -> JudgeResults:
    """Results in which amber's replies (the first eight) were compared with basalt's, sequence by sequence."""
    results = []
    for at, orders in enumerate(outcomes):
        first, second = (_judged(job) for job in (jobs[at], jobs[at + len(ABOUT)]))
        opinion = Opinion(
            criterion="plot",
            orders=orders,
            reasons=(REASON, "no whole JSON" if None in orders else REASON),
            first_shown=(orders[0] is PairOutcome.WON, orders[1] is PairOutcome.LOST),
        )
        pair = JudgedPair(first=first, second=second, turn=0)
        results.append(PairResult(pair=pair, names=("amber", "basalt"), opinions={"judge": [opinion]}))
    pairs_of: dict[str, dict[int | None, list[PairResult]]] = {}
    for result in results:
        for job in (result.pair.first, result.pair.second):
            pairs_of[job.id] = {0: [result]}
    panel = Panel(judges=("judge",))
    return JudgeResults(rubric=pairwise(), prompt_digest="p", panel=panel, pairs=tuple(results), pairs_of=pairs_of)


def _judged(job: JobRow) -> JudgedJob:
    turn = JudgedTurn(index=0, prompt="", reply="", chain=job.id)
    return JudgedJob(id=job.id, model=job.model, sequence=job.sequence, repeat=0, tags=(), turns=(turn,))


WON, TIED, LOST = PairOutcome.WON, PairOutcome.TIED, PairOutcome.LOST


def pairwise_report() -> RunReport:
    jobs = rows("amber", "basalt")
    outcomes = [(WON, WON)] * 4 + [(WON, LOST), (LOST, WON), (TIED, TIED), (WON, None)]
    return reported(compared(jobs, outcomes), jobs)


def test_flips_and_win_rates() -> None:
    """Order effects by judge; a flipped pair is a tie; one without an outcome is no part of the win rate."""
    judging = judging_of(pairwise_report())
    (judge,) = judging.judges
    assert judge.flips is not None
    assert (judge.flips.compared, judge.flips.flipped, judge.flips.rate) == (7, 2, 2 / 7)
    assert (judge.asked, judge.judged, judge.missing) == (8, 7, {"no whole JSON": 1})
    (rate,) = judging.rates
    assert (rate.first, rate.second, rate.n, rate.share) == ("amber", "basalt", 7, 5.5 / 7)
    assert [one.model for one in judging.strengths] == ["amber", "basalt"]


def text_of(report: RunReport, form: str) -> str:
    return render(report, form)


def test_the_page_has_each_verdict_one_click_from_its_number() -> None:
    """Escaped, lowest first, linked to its transcript; the number links to the list."""
    jobs = rows("amber")
    page = text_of(reported(given(jobs, judge=[3, 2, None, 1, 3, 2, 3, 1]), jobs), "html")
    assert '<a href="#verdicts-0-0">' in page
    shown = page[page.index('id="verdicts-0-0"') :]
    shown = shown[: shown.index("</ul>")]
    assert "&lt;b&gt;Because&lt;/b&gt;" in shown
    assert [float(value) for value in re.findall("<b>([0-9])</b>", shown)] == [1, 1, 2, 2, 3, 3, 3]
    assert shown.count('<a href="#job-') == 8
    assert "Not checked against spoilt replies: judge" in page


def test_json_holds_digests_judges_and_verdicts() -> None:
    jobs = rows("amber", "basalt")
    bench = replace(given(jobs, judge=[3] * 8 + [1] * 8), checkups=(failed_check("judge"),))
    document = json.loads(text_of(reported(bench, jobs), "json"))
    SCHEMA.validate(document)
    judging = document["judging"]
    assert judging["prompt_digest"] == "p" * 32
    assert judging["scoring_digest"] == points().scoring_digest
    assert judging["judges"][0]["check"]["ability"] == "can't tell them apart"
    assert len(judging["verdicts"]) == 16
    assert judging["verdicts"][0]["reason"] == REASON
    document = json.loads(text_of(pairwise_report(), "json"))
    SCHEMA.validate(document)
    pairs = document["judging"]
    assert pairs["judges"][0]["flips"]["rate"] == 2 / 7
    assert {row["flipped"] for row in pairs["verdicts"]} == {True, False, None}


def test_markdown_and_csv() -> None:
    """Tables of the section; a column with each opponent's or judge's part."""
    text = text_of(pairwise_report(), "md")
    assert "## Judges" in text
    assert "29% \\(2 of 7\\)" in text
    assert "| amber | basalt | 79%" in text
    table = list(csv.DictReader(io.StringIO(text_of(pairwise_report(), "csv").removeprefix("\ufeff"))))
    assert table[0]["answer.judge.plot"] == "basalt: 1"
    assert {len(row) for row in csv.reader(io.StringIO(text_of(pairwise_report(), "csv")))} == {len(table[0])}


def night(bench: JudgeResults, jobs: Sequence[JobRow], run: str = "another") -> RunReport:
    report = reported(bench, jobs)
    return replace(report, provenance=replace(report.provenance, id=run, name=run))


def test_only_alike_judging_is_compared() -> None:
    """Another rubric or another judge is another yardstick, and shares won are among a run's own replies."""
    jobs = rows("amber")
    bench = given(jobs, judge=[3, 2, 1, 1, 3, 2, 1, 2])
    cases = [
        (bench, None),
        (replace(bench, prompt_digest="q" * 32), "different rubrics"),
        (given(jobs, other=[3] * 8), "different judges"),
        (replace(bench, files={"judge": "f" * 64}), "different judges"),
        (JudgeResults(), None),
    ]
    for other, why in cases:
        one, two = night(bench, rows("amber"), "one"), night(other, rows("amber"), "two")
        told = unlike(one, two)
        assert (told is None) if why is None else (told is not None and why in told)
        comparison = compare_sides(*(Side(report=report, model=report.models[0]) for report in (one, two)))
        assert ("judge" in {found.metric for found in comparison.metrics}) is (why is None and other.rubric is not None)
        assert (why or "") in " ".join(comparison.notices)
    pairs = pairwise_report()
    again = replace(pairs, provenance=replace(pairs.provenance, id="x"), judging=replace(judging_of(pairs)))
    assert "--against" in (unlike(pairs, again) or "")
    assert unlike(pairs, pairs) is None


def test_a_comparison_names_a_judge_that_failed_its_check() -> None:
    jobs = rows("amber")
    bench = replace(given(jobs, judge=[3, 2, 1, 1, 3, 2, 1, 2]), checkups=(failed_check("judge"),))
    one, two = night(bench, rows("amber"), "one"), night(bench, rows("amber"), "two")
    comparison = compare_sides(*(Side(report=report, model=report.models[0]) for report in (one, two)))
    assert sum("can't tell real replies" in notice for notice in comparison.notices) == 1


@pytest.mark.parametrize("form", ["html", "json", "csv", "md"])
def test_a_run_without_judges_says_nothing_of_them(form: str) -> None:
    report = factories.report_of(rows("amber"), ABOUT)
    assert with_judging(report, JudgeResults()) is report
    text: Any = text_of(report, form)
    assert "Krippendorff" not in text
    assert "## Judges" not in text
