"""Nights side by side: what is kept of a run, what changed between nights, the page and its JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from nightjar.config.errors import UsageError
from nightjar.jobs.models import ProbeKind
from nightjar.pipeline.report.data.night import Night, NightModel, night_of
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.trend import Trend, trend
from nightjar.pipeline.report.formats.trend_write import check_trend_formats, write_trend
from nightjar.pipeline.report.page.trend_charts import trend_charts
from nightjar.pipeline.report.page.trend_page import render_trend, render_trend_json
from tests import factories

ROOT = Path(__file__).parents[3]


def night(at: int, report: RunReport | None = None) -> Night:
    report = report or factories.synthetic_report()
    name = f"nightly-{at:02d}"
    run = replace(report.provenance, id=f"{at:032d}", name=name, created_at=factories.START + timedelta(days=at))
    return night_of(replace(report, provenance=run))


def changed(report: RunReport) -> RunReport:
    """The same run with another build of llama.cpp and driver for its first model, which is a new file."""
    first = report.models[0]
    load = first.input.loads[-1].model_copy(update={"llama_cpp_build": "b8000 (def5678)", "driver": "NVIDIA 560.1"})
    digest = "f" * 64
    return replace(
        report, models=(replace(first, input=replace(first.input, loads=(load,), digest=digest)), *report.models[1:])
    )


def of(*nights: Night) -> Trend:
    return trend("sample", nights, now=factories.START, version="0")


def test_night_survives_its_json() -> None:
    """What is stored is read back equal."""
    kept = night(1)
    assert Night.model_validate_json(kept.model_dump_json()) == kept
    assert kept.headline == "checks"
    assert kept.models[0].metrics["checks"].mean is not None


def test_same_nights_have_no_marks() -> None:
    """Nothing changed, nothing is marked."""
    assert of(night(1), night(2), night(3)).marks == []


def test_other_grammars_are_marked_also_against_nights_that_knew_no_mark_for_them() -> None:
    """One seed's replies under a schema change once."""
    report = factories.synthetic_report()
    first = report.models[0]
    load = first.input.loads[-1].model_copy(update={"grammar_engine": "llguidance 1.9.1"})
    newer = replace(report, models=(replace(first, input=replace(first.input, loads=(load,))), *report.models[1:]))
    older = night(1)
    stripped = [replace_marks(model) for model in older.models]
    for before in (older, older.model_copy(update={"models": stripped})):
        found = of(before, night(2, newer)).marks
        assert [mark.words for mark in found] == ["amber-1b: grammars: llama.cpp \u2192 llguidance 1.9.1"]


def replace_marks(model: NightModel) -> NightModel:
    return model.model_copy(update={"marks": {what: mark for what, mark in model.marks.items() if what != "grammars"}})


def test_changes_are_marked_where_they_begin() -> None:
    """The night on which model file and build change: one number, one line each; the driver was not known before."""
    found = of(night(1), night(2), night(3, changed(factories.synthetic_report())), night(4)).marks
    assert [(mark.number, mark.night, mark.what) for mark in found] == [
        (1, "nightly-03", "model file"),
        (1, "nightly-03", "llama.cpp"),
        (2, "nightly-04", "model file"),  # and back again
        (2, "nightly-04", "llama.cpp"),
    ]
    assert {mark.model for mark in found} == {"amber-1b"}
    assert found[1].words == "amber-1b: llama.cpp: b7000 (abc1234) \u2192 b8000 (def5678)"


def test_suite_and_judge_are_marked_for_the_whole_run() -> None:
    """Another suite version, and judging that begins."""
    report = factories.synthetic_report()
    run = replace(report.provenance, suite_version=4, judges=("critic",), rubric={"name": "stories"})
    found = of(night(1), night(2, replace(report, provenance=run))).marks
    assert [(mark.what, mark.model) for mark in found] == [("suite", None), ("judge", None), ("rubric", None)]
    assert found[1].words == "judge: none \u2192 critic"


def test_a_model_is_held_against_its_own_last_night() -> None:
    """A model that missed a night is compared with the night before that; a new model has nothing to differ from."""
    report = factories.synthetic_report()
    without = replace(report, models=report.models[1:])
    found = of(night(1), night(2, without), night(3, changed(report))).marks
    assert {(mark.night, mark.what) for mark in found} == {("nightly-03", "model file"), ("nightly-03", "llama.cpp")}


def test_page_draws_a_line_per_model_and_links_nights() -> None:
    """Every chart has a text, marks are listed, nights link to reports that lie beside, and nothing else is loaded."""
    found = of(night(1), night(2), night(3, changed(factories.synthetic_report())))
    page = render_trend(found, {"nightly-02.html"})
    assert page.count('role="img"') >= 6
    assert 'href="nightly-02.html"' in page
    assert 'href="nightly-01.html"' not in page
    assert "b7000 (abc1234) \u2192 b8000 (def5678)" in page
    assert 'id="mark-1"' in page
    assert "<script" not in page
    assert not re.search(r"https?://(?!www\.w3\.org)", page)


def test_one_night_is_a_trend() -> None:
    """A single night has a page; nothing has changed."""
    page = render_trend(of(night(1)))
    assert "are the same on all nights" in page


def test_nights_are_told_from_runs_by_hand() -> None:
    """A run by hand between two nights is in the table, and neither compared nor marked nor in a chart."""
    nights = [night(at).model_copy(update={"series": "nightly"}) for at in (1, 2, 4)]
    by_hand = night(3, changed(factories.synthetic_report()))
    mixed = of(nights[0], nights[1], by_hand, nights[2])
    assert mixed.marks == []
    assert {(change.night, change.before) for change in mixed.changes} == {("nightly-04", "nightly-02")}
    assert mixed.changes == of(*nights).changes
    assert [chart.points for chart in trend_charts(mixed)] == [chart.points for chart in trend_charts(of(*nights))]
    page = render_trend(mixed)
    assert "3 nights, from nightly-01 to nightly-04. 1 run by hand" in page
    assert "by hand" in page.partition("nightly-03")[2].partition("nightly-02")[0]
    assert "2 runs by hand, from nightly-01 to nightly-03; no night yet." in render_trend(of(night(1), by_hand))


def test_a_night_is_compared_within_its_series() -> None:
    """Two schedules of one suite: each has its own night before."""
    rows = [night(at).model_copy(update={"series": series}) for at, series in ((1, "a"), (2, "b"), (3, "a"))]
    assert {(change.night, change.before) for change in of(*rows).changes} == {("nightly-03", "nightly-01")}


def test_hostile_names_are_text() -> None:
    """A suite's and a run's name are shown as they are."""
    kept = night(1).model_copy(update={"name": "<script>x</script>"})
    page = render_trend(of(kept))
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page


def test_json_follows_its_schema() -> None:
    """docs/trend.schema.json is what the code writes."""
    schema = json.loads((ROOT / "docs/trend.schema.json").read_text(encoding="utf-8"))
    assert schema == Trend.model_json_schema(mode="serialization")
    document = json.loads(render_trend_json(of(night(1), night(2))))
    assert list(Draft202012Validator(schema).iter_errors(document)) == []


def test_files_are_named_by_the_suite(tmp_path: Path) -> None:
    """One file a format; an unknown format is refused with the nearest."""
    paths = write_trend(of(night(1)), ["html", "json"], tmp_path)
    assert [path.name for path in paths] == ["trend-sample.html", "trend-sample.json"]
    with pytest.raises(UsageError, match="html"):
        check_trend_formats(["htm"])


def test_only_probes_of_the_newest_kind_share_a_line() -> None:
    """Nights from before the probe changed measured something else; their other values stay."""
    first, second, third = night(0), night(1), night(2)

    def probed_by_time(night: Night) -> Night:
        models = [model.model_copy(update={"probe_kind": ProbeKind.TIME}) for model in night.models]
        return night.model_copy(update={"models": models})

    charts = {chart.id: chart for chart in trend_charts(of(first, probed_by_time(second), probed_by_time(third)))}
    assert {point.x for point in charts["trend-decode"].points} == {1, 2}
    assert "left out" in charts["trend-decode"].note
    assert {point.x for point in charts["trend-memory"].points} == {0, 1, 2}
    alike = {chart.id: chart for chart in trend_charts(of(first, second))}
    assert {point.x for point in alike["trend-decode"].points} == {0, 1}
    assert "left out" not in alike["trend-decode"].note
