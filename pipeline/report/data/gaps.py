"""How far each model is from a reference model, tag by tag. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nightjar.config.errors import UnknownNameError
from nightjar.pipeline.report.data.compared import PairDifference, adjusted_tests, compare_series, judged
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.series import series_of
from nightjar.pipeline.statistics.paired import Paired


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A model minus the reference over a tag's sequences that are complete for both; positive is better."""

    tag: str
    model: str
    paired: Paired
    p_adjusted: float | None
    """Adjusted over all gaps of the report (Holm)."""
    verdict: PairDifference


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """Every model's gap to one reference model, by the headline metric."""

    reference: str
    metric: str
    gaps: Mapping[tuple[str, str], Gap]
    """(tag, model) -> gap; the reference itself has none."""


def find_reference(report: RunReport, name: str | None) -> ModelReport | None:
    """The model of that name, or the run's first if no name is given; None in a run of one model.

    Raises UnknownNameError.
    """
    if name is not None:
        for model in report.models:
            if model.name == name:
                return model
        where = f"model in run {report.provenance.name!r}"
        raise UnknownNameError(where, name, [model.name for model in report.models])
    return report.models[0] if len(report.models) > 1 else None


def gaps(report: RunReport, reference: ModelReport) -> Gaps | None:
    """The gaps by the headline metric; None if it has no better end or the suite has no tags."""
    metric = report.headline_of_parts
    if metric is None or not report.tags:
        return None
    series = {model.name: series_of(model, metric, report.scales[metric]) for model in report.models}
    of_tag = {tag: {s.id for s in report.sequences if tag in s.tags} for tag in report.tags}
    compared = {
        (tag, model.name): compare_series(series[model.name], series[reference.name], ids)
        for tag, ids in of_tag.items()
        for model in report.models
        if model.name != reference.name
    }
    adjusted = adjusted_tests(compared)
    return Gaps(
        reference=reference.name,
        metric=metric,
        gaps={
            (tag, model): Gap(
                tag=tag,
                model=model,
                paired=one.paired,
                p_adjusted=adjusted[tag, model][0],
                verdict=judged(model, reference.name, one, adjusted[tag, model], len(adjusted)).verdict,
            )
            for (tag, model), one in compared.items()
        },
    )
