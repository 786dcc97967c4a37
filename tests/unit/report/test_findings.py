"""The findings beside the ranking: nothing missing is passed over in silence."""

from __future__ import annotations

from dataclasses import replace

from nightjar.pipeline.report.data.findings import doubts, failures
from nightjar.pipeline.report.data.run_report import RunReport
from tests import factories


def with_unscored(report: RunReport, count: int) -> RunReport:
    """The report, with so many replies of its first model without a value of the metric it is ranked by."""
    first, *others = report.models
    assert report.headline is not None
    metrics = dict(first.total.metrics)
    metrics[report.headline] = replace(metrics[report.headline], unscored=count)
    first = replace(first, total=replace(first.total, metrics=metrics))
    return replace(report, models=(first, *others))


def test_replies_without_a_score_are_told_among_what_failed() -> None:
    """A judge that could not read them is no reason to say that nothing failed."""
    report = factories.synthetic_report()
    told = [found.text for found in failures(with_unscored(report, 3)) if found.about == report.models[0].name]
    assert f"3 replies have no {report.headline} score" in told
    assert all(f"no {report.headline} score" not in found.text for found in failures(with_unscored(report, 0)))


def test_a_single_model_without_a_rank_is_told_of_when_too_much_is_missing() -> None:
    report = factories.synthetic_report()
    assert report.ranking is not None
    place = replace(report.ranking.places[0], rank=None, reason="19% missing")
    alone = replace(report, models=report.models[:1], ranking=replace(report.ranking, places=(place,), pairs=()))
    assert [found.text for found in doubts(alone) if found.about == place.model] == [
        "not ranked: 19% missing (over 5%)"
    ]
