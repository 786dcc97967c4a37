"""Holds a report against its baseline's. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nightjar.config.errors import UsageError
from nightjar.pipeline.compare.comparison import Comparison, MetricComparison, Side, compare_sides
from nightjar.pipeline.report.data.answer import verdict_words
from nightjar.pipeline.report.data.changes import Changes, CostChange, Mark, MetricChange, ModelChange
from nightjar.pipeline.report.data.fingerprints import changed, model_marks, run_marks
from nightjar.pipeline.report.data.run_report import RunReport


def with_changes(report: RunReport, base: RunReport) -> RunReport:
    """The report with what changed since the base."""
    return replace(report, changes=changes(base, report))


def changes(base: RunReport, report: RunReport) -> Changes:
    """Model by model of one name; a run with none in common says so."""
    before = {model.name: model for model in base.models}
    after = {model.name: model for model in report.models}
    both = [name for name in after if name in before]
    reason = None if both else "they have no model of one name"
    found = []
    for name in both:
        one, two = Side(report=base, model=before[name]), Side(report=report, model=after[name])
        try:
            marks = changed(model_marks(one.model), model_marks(two.model))
            found.append(_model(name, compare_sides(one, two), marks))
        except UsageError:
            reason = "they share no sequence"
    return Changes(
        baseline=base.provenance.name,
        baseline_id=base.provenance.id,
        models=tuple(found),
        marks=changed(run_marks(base), run_marks(report)),
        new_models=tuple(name for name in after if name not in before),
        gone_models=tuple(name for name in before if name not in after),
        reason=reason,
    )


def _model(name: str, comparison: Comparison, marks: Sequence[Mark]) -> ModelChange:
    costs = [
        CostChange(name=cost.name, before=cost.base, after=cost.other, more_is_better=cost.more_is_better)
        for cost in comparison.costs
        if cost.base is not None and cost.other is not None
    ]
    return ModelChange(
        model=name,
        shared=comparison.shared,
        metrics=tuple(map(_metric, comparison.metrics)),
        costs=tuple(costs),
        marks=tuple(marks),
    )


def _metric(found: MetricComparison) -> MetricChange:
    interval = found.pair.paired.interval
    return MetricChange(
        metric=found.metric,
        before=found.base,
        after=found.other,
        difference=found.pair.paired.difference,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p_adjusted=found.pair.p_adjusted,
        verdict=found.pair.verdict.value,
        words=verdict_words(found.pair),
    )
