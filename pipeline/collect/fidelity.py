"""The measurements of a run's models against its reference, summed up for its report. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.pipeline.fidelity.read_results import RunMeasurements
from nightjar.pipeline.report.data.fidelity import FidelityResult, FidelityRow, Material
from nightjar.pipeline.report.data.fidelity_costs import load_costs
from nightjar.pipeline.report.data.fidelity_numbers import fidelity_numbers
from nightjar.pipeline.report.data.fidelity_rows import ranked_rows, reading_notices
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.notice import Notice
from nightjar.pipeline.report.data.run_report import RunReport

SEED = 1
"""Of what workers draw where two loads do not fit together (`workers.process.comparing`)."""


def with_fidelity(report: RunReport, measured: RunMeasurements | None) -> RunReport:
    """The report with how far its models are from the reference, and a notice where some are not measured."""
    if measured is None:
        return report
    result = _result(report, measured) if measured.models else None
    notices = [_missing(name, why, measured.reference) for name, why in measured.missing.items()]
    return replace(report, fidelity=result, notices=(*report.notices, *notices))


def _missing(name: str, why: str, reference: str) -> Notice:
    return Notice(level="warning", text=f"Fidelity of {name} to {reference} is not, or not wholly, known: {why}.")


def _result(report: RunReport, measured: RunMeasurements) -> FidelityResult:
    of_run = {model.input.name: model for model in report.models if model.input.variant is None}
    first = next(iter(measured.models.values()))
    reference = FidelityRow(
        side=first.reference, numbers=None, costs=load_costs(first.reference, of_run.get(measured.reference))
    )
    rows, front_of = ranked_rows([reference, *_candidates(measured, of_run)])
    exact = all(row.numbers is None or row.numbers.exact for row in rows)
    material = Material(
        name=report.provenance.name,
        kind="run",
        digest=first.digest,
        layout="conversations",
        window=None,
        bos=None,
        score_from=None,
        replies_of=measured.replies_of,
        left_out=first.left_out,
    )
    apart = [model.not_together for model in measured.models.values() if model.not_together is not None]
    return FidelityResult(
        generated_by=f"Nightjar {NIGHTJAR_VERSION}",
        generated_at=report.generated_at,
        material=material,
        reference=rows[0],
        candidates=tuple(rows[1:]),
        costs_from=report.provenance.name,
        front_of=front_of,
        notices=(*(Notice(level="info", text=text) for text in apart), *reading_notices(material, rows)),
        seed=None if exact else SEED,
    )


def _candidates(measured: RunMeasurements, of_run: Mapping[str, ModelReport]) -> Sequence[FidelityRow]:
    return [
        FidelityRow(
            side=model.side,
            numbers=fidelity_numbers(model.deviations, model.places, "sequence"),
            costs=load_costs(model.side, of_run.get(name)),
        )
        for name, model in measured.models.items()
    ]
