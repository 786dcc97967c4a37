"""What a page must not pass over: replies cut off by time, what `reproducible` costs, whose speed, which baseline."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from nightjar.config.errors import NightjarError
from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.compare.baseline import HeldAgainst, changed_since
from nightjar.pipeline.compare.comparison import Side, compare_sides
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.report.data.night import night_of
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.trend import trend
from nightjar.pipeline.report.formats.summary import summary_rows
from nightjar.pipeline.report.page.charts import charts
from nightjar.pipeline.report.page.machine_tables import facts_table, machine_table, speed_table
from nightjar.pipeline.report.page.result_tables import models_table
from nightjar.pipeline.report.page.tables import Table
from nightjar.pipeline.report.page.trend_page import nights_table
from tests import factories
from tests.documents import a_run


def said(page: str, section: str) -> str:
    """The text of a section of the page."""
    (found,) = re.findall(rf'id="{section}">(.*?)</section>', page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", found)).split())


def cut_run(ends: list[str]) -> RunReport:
    """A run of one model whose replies ended so, one a sequence."""
    expect = [{"check": "includes", "value": "fox"}]
    about = [
        Sequence.model_validate({"id": f"s{at}", "turns": [{"prompt": "p", "expect": expect}]})
        for at in range(len(ends))
    ]
    jobs = [
        factories.row(sequence, ["a fox"], model="amber", finish_reason=end)
        for sequence, end in zip(about, ends, strict=True)
    ]
    return factories.report_of(jobs, about)


@pytest.mark.parametrize(
    ("ends", "sentence"),
    [
        (["timeout", "stop", "stop"], "amber: 1 of 3 replies was cut off by the time limit"),
        (["timeout", "timeout", "length"], "amber: 2 of 3 replies were cut off by the time limit"),
        (["length", "context", "stop"], None),
    ],
)
def test_replies_cut_off_by_time_are_told_at_the_head(ends: list[str], sentence: str | None) -> None:
    """Their scores count, and would not be the same on another machine: a warning in every format."""
    report = cut_run(ends)
    told = [notice for notice in report.notices if "time limit" in notice.text]
    assert [notice.level for notice in told] == (["warning"] if sentence else [])
    for form in ("html", "md", "json"):
        assert ("cut off by the time limit (" in render(report, form).replace("\\", "")) is (sentence is not None)
    if sentence is not None:
        assert told[0].text.startswith(sentence)
        assert "time_limit_s" in told[0].text


def test_compare_and_trend_tell_of_replies_cut_off_by_time() -> None:
    """A slower machine would make a difference of its own."""
    whole, cut = cut_run(["stop"] * 3), cut_run(["timeout", "timeout", "stop"])
    base, other = (Side(report=report, model=report.models[0]) for report in (whole, cut))
    (notice,) = compare_sides(base, other).notices
    assert notice.endswith(
        ":amber: the time limit cut off 2 of 3 replies, so a difference may come from the speed of the machine."
    )
    assert compare_sides(base, base).notices == ()
    (row,) = nights_table(trend("s", [night_of(cut)], now=factories.START, version="0"), frozenset()).rows
    assert "2" in [cell.text for cell in row if cell.alert]


def test_the_models_table_counts_all_that_was_cut_off() -> None:
    report = cut_run(["timeout", "timeout", "length", "context", "stop"])
    table = models_table(report)
    at = [column.title for column in table.columns].index("cut off")
    cell = table.rows[0][at]
    assert (cell.text, cell.note) == ("4", "1 by max_tokens, 1 by a full context, 2 by the time limit")


def loaded(**changes: object) -> RunReport:
    """The synthetic report, its first model loaded with these changes."""
    report = factories.synthetic_report()
    first = report.models[0]
    load = first.input.loads[-1].model_copy(update=changes)
    return replace(report, models=(replace(first, input=replace(first.input, loads=(load,))), *report.models[1:]))


def row_of(table: Table, name: str) -> list[tuple[str, str]]:
    return [(cell.text, cell.note) for row in table.rows if row[0].text == name for cell in row[1:]]


def test_what_reproducible_costs_is_on_the_page() -> None:
    """Its cost with the speeds, that it was on with the load; nothing of it where no model was loaded so."""
    report = loaded(reproducible=True, reproducible_alone=True, reproducible_cost=0.38)
    assert row_of(machine_table(report), "Cost of reproducible")[0] == ("38\u202f%", "")
    assert row_of(machine_table(report), "Cost of reproducible")[1] == ("\u2013", "not reproducible")
    assert row_of(facts_table(report), "reproducible") == [
        ("yes, one conversation per decode", ""),
        ("no", ""),
        ("no", ""),
    ]
    assert "Cost of reproducible of the decode speed with all slots busy 38" in said(
        render(report, "html"), "speed-section"
    )
    assert row_of(machine_table(loaded(reproducible=True)), "Cost of reproducible")[0] == ("\u2013", "not measured")
    later = loaded(reproducible=True)
    first = later.models[0]
    probe = first.resources.probe
    assert probe is not None
    resources = replace(first.resources, probe=probe.model_copy(update={"reproducible_cost": 0.2}))
    later = replace(later, models=(replace(first, resources=resources), *later.models[1:]))
    assert row_of(machine_table(later), "Cost of reproducible")[0] == ("20\u202f%", "")
    assert row_of(machine_table(factories.synthetic_report()), "Cost of reproducible") == []


def test_two_speeds_never_have_one_label() -> None:
    """One conversation's and the whole machine's are told apart wherever they stand."""
    report = factories.synthetic_report()
    columns, _ = summary_rows(report)
    titles = [column.title for column in models_table(report).columns]
    assert "tokens/s per conversation" in titles
    assert "tokens/s per conversation>" in columns
    assert "tokens/s" not in {*titles, *(column.removesuffix(">") for column in columns)}
    speeds = {row[0].text: row[0].note for row in speed_table(report).rows}
    assert speeds["Decode"] == "tokens/s per conversation"
    assert speeds["Decode, in total"] == "reply tokens per second of busy time"
    (chart,) = [chart for chart in charts(report) if chart.id == "speed"]
    assert {row[0] for row in chart.rows} == {"probe, one conversation", "probe, 8 in total", "this run, in total"}


async def test_the_page_says_why_it_is_compared_with_no_baseline() -> None:
    """None set; the run itself; one that cannot be read: three different sentences, none of them false."""
    report = factories.synthetic_report()
    run = a_run("r", name="first")

    async def section(base: HeldAgainst) -> str:
        return said(render(await changed_since(report, base), "html"), "changes-section")

    assert "No baseline has been set for this suite." in await section(HeldAgainst())
    itself = await section(HeldAgainst(run=run))
    assert "This run is the baseline itself." in itself
    assert "No baseline" not in itself
    unread = await section(HeldAgainst(problem=NightjarError("There is no run 'gone'.")))
    assert "The baseline could not be read: There is no run 'gone'." in unread
    assert "No baseline" not in unread
    assert "No baseline" not in await section(HeldAgainst(run=run, report=report))
