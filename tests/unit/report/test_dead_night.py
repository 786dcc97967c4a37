"""The night in which all twelve jobs died at turn 3, after two easy turns: no page, and no trend, calls it better.

The same night through `compare` and gates is in `test_comparison.py`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest

from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus
from nightjar.pipeline.compare.changes import with_changes
from nightjar.pipeline.compare.comparison import Side, compare_sides
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.report.data.night import Night, night_of
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.trend import Trend, trend
from nightjar.pipeline.report.data.trend_changes import NightChange
from nightjar.pipeline.report.page.trend_page import now_table, render_trend
from nightjar.pipeline.scores import Direction, Scale
from tests import factories

EXPECT = [{"check": "includes", "value": "fox"}]
ABOUT = [
    Sequence.model_validate({"id": f"s{at}", "turns": [{"prompt": f"p{at}", "expect": EXPECT}] * 4}) for at in range(12)
]
WHOLE = dict.fromkeys(range(12), 4)


def run_of(share: float, name: str, committed: Mapping[int, int] = WHOLE, model: str = "m") -> RunReport:
    """A run whose first two turns pass, and the others about so often; jobs not whole died after so many turns."""
    jobs = []
    for at, sequence in enumerate(ABOUT):
        source = random.Random(f"{share} {at}")
        replies = ["fox", "fox", *("fox" if source.random() < share else "no" for _ in range(2))]
        there = committed[at]
        status = JobStatus.DONE if there == 4 else JobStatus.DEAD
        jobs.append(factories.row(sequence, replies[:there], model=model, status=status))
    report = factories.report_of(jobs, ABOUT)
    return replace(report, provenance=replace(report.provenance, id=name * 32, name=name))


def night(at: int, report: RunReport) -> Night:
    run = replace(report.provenance, created_at=factories.START + timedelta(days=at))
    return Night.model_validate_json(night_of(replace(report, provenance=run)).model_dump_json())


def trend_of(*reports: RunReport) -> Trend:
    nights = [night(at, report) for at, report in enumerate(reports)]
    return trend("sample", nights, now=factories.START, version="0")


def change_of(*reports: RunReport) -> NightChange:
    (change,) = trend_of(*reports).changes
    return change


def text(page: str) -> str:
    shown = re.sub(r"<(style|script)>.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(shown).split()).replace("\u202f", " ")


BASE = run_of(0.4, "a")
DEAD = run_of(0.4, "b", dict.fromkeys(range(12), 2))


def test_the_page_calls_it_neither_better_nor_worse() -> None:
    """Its mean of what is left is 100 %: shown with what the missing replies could make of it, and as no change."""
    page = text(render(with_changes(DEAD, BASE), "html"))
    since = page.partition("Since a")[2].partition("What failed")[0]
    assert "no statistically significant change" in since
    assert "12 of 12 shared sequences are incomplete" in since
    assert "can't tell: too few complete sequences (0, and 12 incomplete)" in since
    assert "50\u2060\u2013\u2060100 % depending on the missing replies" in page
    assert "12 of 12 jobs failed" in page
    assert not re.search(r"\b(better|improve)", since)
    assert "No model can be ranked by checks: m (50% missing)." in page


def test_the_trend_calls_it_neither_better_nor_worse() -> None:
    made = trend_of(BASE, DEAD)
    (change,) = made.changes
    assert (change.verdict, change.sequences, change.incomplete) == ("can't tell", 0, 12)
    assert change.difference is None
    assert change.lowest is not None
    assert change.highest is not None
    assert change.lowest < 0 < change.highest
    row = dict(zip((column.title for column in now_table(made).columns), now_table(made).rows[0], strict=True))
    assert row["checks, newest"].text.replace("\u202f", " ") == "100 %"
    assert "50 % to 100 % depending on the missing replies" in row["checks, newest"].note.replace("\u202f", " ")
    assert row["change"].text == "\u2013"
    assert row["verdict"].text.startswith("can't tell: ")
    assert "12" in row["verdict"].text
    assert row["verdict"].mark == ""
    assert row["lowest to highest"].note == "without 1 night with over 5% missing"
    assert "100" not in row["lowest to highest"].text
    page = text(render_trend(made))
    assert "100 % (50 % to 100 % depending on the missing replies)" in page
    assert "better" not in page


@pytest.mark.parametrize(
    ("committed", "share", "verdict"),
    [
        (WHOLE, 0.4, "can't tell"),  # the same night again
        (WHOLE, 1.0, "better"),  # whole, and much better
        ({**WHOLE, 0: 2}, 1.0, "better"),  # one job's end is missing, and could not turn it
        ({at: 2 if at < 9 else 4 for at in range(12)}, 1.0, "can't tell"),  # nine are missing: they could
    ],
)
def test_the_trend_says_what_compare_says(committed: Mapping[int, int], share: float, verdict: str) -> None:
    """Night after night by the rule of `compare`: the same pairs, the same difference, the same bounds and verdict."""
    other = run_of(share, "b", committed)
    change = change_of(BASE, other)
    (checks,) = (
        metric
        for metric in compare_sides(*(Side(report=report, model=report.models[0]) for report in (BASE, other))).metrics
        if metric.metric == "checks"
    )
    assert (change.verdict, change.sequences) == (verdict, checks.pair.paired.n)
    assert checks.pair.verdict.value == verdict
    assert change.difference == checks.pair.paired.difference
    if checks.pair.missing is not None and checks.pair.missing.lowest is not None:
        assert change.lowest == pytest.approx(checks.pair.missing.lowest.difference)


def test_a_model_that_missed_a_night_is_compared_with_its_last_one() -> None:
    """Another model's night lies between; the name says which night it is."""
    between = run_of(0.4, "b", model="other")
    made = trend_of(BASE, between, run_of(1.0, "c"))
    (change,) = made.changes
    assert (change.model, change.before, change.night, change.verdict) == ("m", "a", "c", "better")
    rows = {row[0].text: row[0].note for row in now_table(made).rows}
    assert rows == {"m": "", "other": "newest: b (by hand)"}


def test_a_newest_night_without_a_value_is_not_passed_over() -> None:
    """Not a single reply: the newest value is none, not that of the night before."""
    made = trend_of(BASE, run_of(0.4, "b", dict.fromkeys(range(12), 0)))
    row = dict(zip((column.title for column in now_table(made).columns), now_table(made).rows[0], strict=True))
    assert (row["checks, newest"].text, row["checks, newest"].note) == ("\u2013", "no value")
    assert row["night before"].text != "\u2013"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"headline": "includes"}, "not compared: the nights lead with different metrics"),
        ({"marks": {"scorers": "choice 1"}}, "not compared: other versions of the scorers"),
        (
            {"scales": {"checks": {"direction": "higher", "unit": "share", "worst": 0.0, "best": 2.0}}},
            "not compared: the scale of checks changed",
        ),
    ],
)
def test_nights_that_measured_different_things_are_not_compared(change: dict[str, object], words: str) -> None:
    before = night(0, BASE)
    changed = Night.model_validate(before.model_dump() | change)
    (found,) = trend("s", [changed, night(1, run_of(1.0, "b"))], now=factories.START, version="0").changes
    assert (found.words, found.verdict, found.difference) == (words, None, None)
    made = trend("s", [changed, night(1, run_of(1.0, "b"))], now=factories.START, version="0")
    cells = dict(zip((column.title for column in now_table(made).columns), now_table(made).rows[0], strict=True))
    assert (cells["change"].text, cells["change"].note, cells["verdict"].text) == ("\u2013", "", words)


def test_judges_scores_are_compared_only_under_one_rubric_and_judge() -> None:
    """Another judge; and shares of comparisons won, which are among a run's own replies."""

    def judged(at: int, share: float, judge: str, unit: str) -> Night:
        raw = night(at, run_of(share, "ab"[at])).model_dump()
        raw["headline"] = "judge"
        raw["scales"] = {"judge": {"direction": "higher", "unit": unit, "worst": 0.0, "best": 1.0}}
        raw["marks"] |= {"judge": judge, "rubric": "r"}
        return Night.model_validate(raw)

    def words(before: Night, after: Night) -> str:
        (change,) = trend("s", [before, after], now=factories.START, version="0").changes
        return change.words

    assert words(judged(0, 0.4, "critic", "points"), judged(1, 1.0, "critic", "points")) == "better"
    other = words(judged(0, 0.4, "critic", "points"), judged(1, 1.0, "reader", "points"))
    assert other == "not compared: another judge"
    won = words(judged(0, 0.4, "critic", "share won"), judged(1, 1.0, "critic", "share won"))
    assert won == "not compared: shares of comparisons won are among a run's own replies"


def test_a_scale_without_ends_has_no_bounds_and_no_verdict_where_something_is_missing() -> None:
    report = run_of(1.0, "b", {**WHOLE, 3: 2})
    endless = Scale(worst=0.0, best=None, direction=Direction.HIGHER)
    reports = [replace(each, scales={**each.scales, "checks": endless}) for each in (BASE, report)]
    change = change_of(*reports)
    assert (change.verdict, change.lowest) == ("can't tell", None)
    assert "this scale has no limits" in change.words
