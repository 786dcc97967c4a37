"""What a run's gates say: known metrics before anything is generated, the verdict when it has ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nightjar.config.errors import NightjarError, UnknownNameError, UsageError
from nightjar.jobs.database import Database
from nightjar.jobs.documents import Run, SequenceDocument, SequenceRef
from nightjar.jobs.ending import Ending, Gate, GateKind, GateOutcome, GateResult, GateVerdict
from nightjar.jobs.lookup import find_run
from nightjar.jobs.nights import Baseline
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.collect.run_scorers import read_run_sheet
from nightjar.pipeline.compare.comparison import compare_sides, pair_up, sides
from nightjar.pipeline.compare.gates import check_comparison, check_metrics, check_report, without_baseline
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.scoring.turn_scorer import metric_of


async def known_metrics(run: Run, sequences: Iterable[SequenceRef], database: Database) -> list[str]:
    """The metrics with a better end that a run of these sequences will have."""
    ids = [sequence.document for sequence in sequences]
    documents = await SequenceDocument.find({"_id": {"$in": ids}}).to_list()
    sheet = await read_run_sheet(run, {found.sequence.id: found.sequence for found in documents}, database)
    names = {metric_of(name) for turns in sheet.line_names().values() for line in turns for name in line}
    return [name for name, scale in sheet.scales().items() if name in names and scale.worst is not None]


async def check_ending(run: Run, sequences: Iterable[SequenceRef], database: Database) -> None:
    """Before anything is generated: raises UsageError for a gate that the run cannot have, or an unknown baseline."""
    gates = run.ending.gates
    if run.ending.baseline is not None:
        await find_run(run.ending.baseline, database)
    if any(gate.metric is not None for gate in gates):
        judged = "" if run.judges else " (without --judge)"
        known = await known_metrics(run, sequences, database)
        check_metrics(gates, known, f"suite {run.suite_name!r}{judged}")


async def find_baseline(run: Run, named: str | None, database: Database) -> Run | None:
    """The run to hold a run against: the one named, else its suite's baseline; None where there is none.

    Raises UnknownNameError for a name that is none.
    """
    if named is not None:
        return await find_run(named, database)
    baseline = await Baseline.get(run.suite_name)
    return await Run.get(baseline.run) if baseline is not None else None


async def reach_verdict(
    report: RunReport, run: Run, ending: Ending, database: Database, *, model: str | None = None
) -> GateVerdict | None:
    """What the gates say of a run's report; None where there are no gates. Raises UsageError for an unknown metric."""
    if not ending.gates:
        return None
    results = check_report(ending.gates, report, model)
    base: Run | None = None
    if any(gate.kind is GateKind.REGRESSION for gate in ending.gates):
        base = await find_baseline(run, ending.baseline, database)
        if base is None:
            why = f"suite {run.suite_name!r} has no baseline; set one: `nightjar baseline set RUN`"
            results += without_baseline(ending.gates, run.name, why)
        elif base.id == run.id:
            results += without_baseline(ending.gates, run.name, "the run is the baseline itself")
        else:
            results += hold_against(ending.gates, await collect(base.id, database), report, model)
    return GateVerdict(
        results=tuple(results),
        strict=ending.strict,
        baseline=base.name if base is not None else None,
        at=report.generated_at,
    )


def hold_against(gates: Sequence[Gate], base: RunReport, report: RunReport, model: str | None) -> list[GateResult]:
    """Regressions of each model against the same model of the base, or against the base's only one."""
    others = sides(report, model)
    try:
        pairs = pair_up(sides(base, None), others)
        results = [result for one, two in pairs for result in check_comparison(gates, compare_sides(one, two))]
    except UsageError as error:  # nothing in common
        return without_baseline(gates, report.provenance.name, str(error).removesuffix("."))
    held = {two.name for _, two in pairs}
    for side in others:
        if side.name not in held:
            results += without_baseline(gates, side.name, f"{base.provenance.name} has no model of that name")
    return results


async def final_verdict(report: RunReport, run: Run, database: Database) -> GateVerdict | None:
    """The verdict of a run's own gates, whatever happens: one that cannot be tried is inconclusive with its reason."""
    try:
        return await reach_verdict(report, run, run.ending, database)
    except NightjarError as error:
        if error.transient:
            raise
        reason = str(error).removesuffix(".")
        results = [
            GateResult(gate=gate, about=run.name, outcome=GateOutcome.INCONCLUSIVE, reason=reason)
            for gate in run.ending.gates
        ]
        return GateVerdict(results=tuple(results), strict=run.ending.strict, at=report.generated_at)


async def set_baseline(run: Run, suite: str | None, database: Database) -> Baseline:
    """Makes a run the baseline of its suite, or of another suite by name. Raises UsageError, UnknownNameError."""
    if run.status is not RunStatus.DONE:
        raise UsageError(f"Run {run.name!r} is {run.status}: only a run that is DONE can be a baseline.")
    if suite is not None and suite not in (known := await database.raw["suites"].distinct("name")):
        raise UnknownNameError("suite", suite, known)
    found = Baseline(id=suite or run.suite_name, run=run.id, run_name=run.name, set_at=await database.now())
    await found.save()
    if await Run.get(run.id) is None:  # somebody removed it in this very moment
        await database.raw["baselines"].delete_one({"_id": found.id, "run": run.id})
        raise UsageError(f"Run {run.name!r} was removed.")
    return found
