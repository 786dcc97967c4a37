"""What a run's gates say: known metrics before anything is generated, the verdict when it has ended."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from nightjar.config.errors import NightjarError, UsageError
from nightjar.jobs.documents import Run, SequenceDocument, SequenceRef
from nightjar.jobs.ending import Ending, Gate, GateKind, GateOutcome, GateResult, GateVerdict
from nightjar.jobs.lookup import find_run
from nightjar.jobs.mongo import Database
from nightjar.pipeline.collect.run_scorers import plan_scorers
from nightjar.pipeline.compare.baseline import HeldAgainst, read_baseline
from nightjar.pipeline.compare.comparison import compare_sides, pair_up, sides
from nightjar.pipeline.compare.gates import (
    check_comparison,
    check_metrics,
    check_report,
    check_values,
    out_of_reach,
    without_baseline,
)
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.scores import Scale


async def check_ending(run: Run, sequences: Collection[SequenceRef], database: Database) -> list[str]:
    """Before anything is generated: raises UsageError for a gate that the run cannot have, or an unknown baseline.

    Returns notes on gates that so few sequences can never pass.
    """
    gates = run.ending.gates
    if run.fidelity is None and (drift := next((gate for gate in gates if gate.kind is GateKind.DRIFT), None)):
        raise UsageError(f"{drift}: the run is held against no model. Name one with --fidelity-to MODEL.")
    if run.ending.baseline is not None:
        await find_run(run.ending.baseline, database)
    if all(gate.metric is None for gate in gates):
        return []
    judged = "" if run.judging.judges else " (without --judge)"
    known = await known_scales(run, sequences)
    check_metrics(gates, list(known), f"suite {run.suite_name!r}{judged}")
    check_values(gates, known)
    return out_of_reach(gates, known, len(sequences))


async def known_scales(run: Run, sequences: Iterable[SequenceRef]) -> dict[str, Scale]:
    """The metrics with a better end that a run of these sequences will have, with their scales."""
    ids = [sequence.document for sequence in sequences]
    documents = await SequenceDocument.find({"_id": {"$in": ids}}).to_list()
    by_id = {document.sequence.id: document.sequence for document in documents}
    planned = plan_scorers(run, by_id)
    scales = planned.scales()
    return {name: scales[name] for name in planned.quality_metrics()}


async def reach_verdict(
    report: RunReport, run: Run, ending: Ending, database: Database, *, model: str | None = None
) -> GateVerdict | None:
    """What the gates say of a run's report; None where there are no gates. Reads a baseline where they need one.

    Raises UsageError for an unknown metric, UnknownNameError for a baseline that is gone.
    """
    regression = any(gate.kind is GateKind.REGRESSION for gate in ending.gates)
    base = await read_baseline(run, ending.baseline, database) if regression else HeldAgainst()
    return gates_verdict(report, run, ending, base, model=model)


def gates_verdict(
    report: RunReport, run: Run, ending: Ending, base: HeldAgainst, *, model: str | None = None
) -> GateVerdict | None:
    """What the gates say of a run's report, held against a baseline; None where there are no gates.

    Raises UsageError for an unknown metric, and the baseline's problem where a gate needs it.
    """
    if not ending.gates:
        return None
    results = check_report(ending.gates, report, model)
    regression = any(gate.kind is GateKind.REGRESSION for gate in ending.gates)
    if regression:
        results += _regressions(ending.gates, run, base, report, model)
    return GateVerdict(
        results=tuple(results),
        strict=ending.strict,
        baseline=base.run.name if regression and base.run is not None else None,
        at=report.generated_at,
    )


def _regressions(
    gates: Sequence[Gate], run: Run, base: HeldAgainst, report: RunReport, model: str | None
) -> list[GateResult]:
    if base.problem is not None:
        raise base.problem
    if base.report is not None:
        return hold_against(gates, base.report, report, model)
    if base.run is not None:
        return without_baseline(gates, run.name, "the run is the baseline itself")
    why = f"no baseline has been set for suite {run.suite_name!r}; set one with `nightjar baseline set RUN`"
    return without_baseline(gates, run.name, why)


def hold_against(gates: Sequence[Gate], base: RunReport, report: RunReport, model: str | None) -> list[GateResult]:
    """Regressions of each model against the same model of the base, or against the base's only one."""
    models = sides(report, model)
    try:
        pairs = pair_up(sides(base, None), models)
        comparisons = [compare_sides(before, after) for before, after in pairs]
        results = [result for comparison in comparisons for result in check_comparison(gates, comparison)]
    except UsageError as error:  # nothing in common
        return without_baseline(gates, report.provenance.name, str(error).removesuffix("."))
    held = {after.name for _, after in pairs}
    for side in models:
        if side.name not in held:
            results += without_baseline(gates, side.name, f"run {base.provenance.name} has no model of that name")
    return results


def final_verdict(report: RunReport, run: Run, base: HeldAgainst) -> GateVerdict | None:
    """The verdict of a run's own gates, whatever happens: one that cannot be tried is inconclusive with its reason."""
    try:
        return gates_verdict(report, run, run.ending, base)
    except NightjarError as error:
        reason = str(error).removesuffix(".")
        results = [
            GateResult(gate=gate, about=run.name, outcome=GateOutcome.INCONCLUSIVE, reason=reason)
            for gate in run.ending.gates
        ]
        return GateVerdict(results=tuple(results), strict=run.ending.strict, at=report.generated_at)
