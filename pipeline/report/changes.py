"""What changed since the baseline: verdicts, and what else is not the same. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from config.errors import UsageError
from pipeline.comparison import Comparison, Side, compare_sides
from pipeline.report.data import RunReport
from pipeline.report.marks import Change, changed, model_marks, run_marks


@dataclass(frozen=True, kw_only=True)
class Changes:
    """A run held against its baseline, model by model of one name."""

    baseline: str
    """Name of the run."""
    baseline_id: str
    comparisons: tuple[Comparison, ...]
    marks: tuple[Change, ...]
    """Of the run: suite, prompts, judge, rubric."""
    model_marks: dict[str, tuple[Change, ...]]
    new_models: tuple[str, ...]
    gone_models: tuple[str, ...]
    reason: str | None = None
    """Why nothing can be compared; None where something can."""


def changes(base: RunReport, report: RunReport) -> Changes:
    """The report against the baseline's."""
    before = {model.name: model for model in base.models}
    after = {model.name: model for model in report.models}
    both = [name for name in after if name in before]
    comparisons, reason = [], None if both else "they have no model of one name"
    for name in both:
        one, two = Side(report=base, model=before[name]), Side(report=report, model=after[name])
        try:
            comparisons.append(compare_sides(one, two))
        except UsageError:
            reason = "they share no sequence"
    return Changes(
        baseline=base.provenance.name,
        baseline_id=base.provenance.id,
        comparisons=tuple(comparisons),
        marks=changed(run_marks(base), run_marks(report)),
        model_marks={name: changed(model_marks(before[name]), model_marks(after[name])) for name in both},
        new_models=tuple(name for name in after if name not in before),
        gone_models=tuple(name for name in before if name not in after),
        reason=reason,
    )
