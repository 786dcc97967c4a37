"""What changed between a baseline's report and another. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nightjar.config.errors import UsageError
from nightjar.pipeline.compare.comparison import Comparison, MetricComparison, Side, compare_sides
from nightjar.pipeline.report.data.answer import verdict_words
from nightjar.pipeline.report.data.changes import Changes, CostChange, Fingerprint, MetricChange, ModelChange
from nightjar.pipeline.report.data.fidelity import FidelityResult
from nightjar.pipeline.report.data.fidelity_words import nats
from nightjar.pipeline.report.data.fingerprints import changed, model_marks, run_marks
from nightjar.pipeline.report.data.notice import Notice
from nightjar.pipeline.report.data.run_report import RunReport


def with_changes(report: RunReport, base: RunReport) -> RunReport:
    """The report with what changed since the base."""
    return replace(report, changes=changes(base, report), fidelity=_fidelity_since(base, report))


def _fidelity_since(base: RunReport, report: RunReport) -> FidelityResult | None:
    """With what another build of llama.cpp than the base's makes of each model's divergence."""
    now, before = report.fidelity, base.fidelity
    if now is None or before is None or now.reference.label != before.reference.label:
        return now
    builds = [result.reference.side.load.llama_cpp_build for result in (before, now)]
    if builds[0] == builds[1]:
        return now
    earlier = {row.label: row.numbers for row in before.candidates}
    said = [
        f"{row.label} was {nats(old.kld.value)} nats away and is {nats(row.numbers.kld.value)}"
        for row in now.candidates
        if row.numbers is not None and (old := earlier.get(row.label)) is not None
    ]
    other = "" if now.material.digest == before.material.digest else " (on other replies)"
    text = f"llama.cpp is {builds[1]}, and was {builds[0]} in {base.provenance.name}{other}: {'; '.join(said)}."
    return replace(now, notices=(*now.notices, Notice(level="info", text=text))) if said else now


def changes(base: RunReport, report: RunReport) -> Changes:
    """The changes of every model that both reports have by name; `reason` says why there are none."""
    base_models = {model.name: model for model in base.models}
    models_now = {model.name: model for model in report.models}
    both = [name for name in models_now if name in base_models]
    reason = None if both else "they have no model name in common"
    models = []
    for name in both:
        before, after = Side(report=base, model=base_models[name]), Side(report=report, model=models_now[name])
        try:
            marks = changed(model_marks(before.model, base), model_marks(after.model, report))
            models.append(_model(name, compare_sides(before, after), marks))
        except UsageError:
            reason = "they share no sequence"
    return Changes(
        baseline=base.provenance.name,
        baseline_id=base.provenance.id,
        models=tuple(models),
        marks=changed(run_marks(base), run_marks(report)),
        new_models=tuple(name for name in models_now if name not in base_models),
        gone_models=tuple(name for name in base_models if name not in models_now),
        reason=reason,
    )


def _model(name: str, comparison: Comparison, marks: Sequence[Fingerprint]) -> ModelChange:
    costs = [
        CostChange(name=cost.name, before=cost.base, after=cost.other, more_is_better=cost.more_is_better)
        for cost in comparison.costs
        if cost.base is not None and cost.other is not None
    ]
    return ModelChange(
        model=name,
        shared=comparison.shared,
        incomplete=comparison.incomplete,
        metrics=tuple(map(_metric, comparison.metrics)),
        costs=tuple(costs),
        marks=tuple(marks),
    )


def _metric(comparison: MetricComparison) -> MetricChange:
    interval = comparison.pair.paired.interval
    return MetricChange(
        metric=comparison.metric,
        before=comparison.base,
        after=comparison.other,
        difference=comparison.pair.paired.difference,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p_adjusted=comparison.pair.p_adjusted,
        verdict=comparison.pair.verdict.value,
        words=verdict_words(comparison.pair),
    )
