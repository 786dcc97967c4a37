"""The baseline: the run that others are held against. Set once for a suite, read once for a report."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from nightjar.config.errors import NightjarError, UnknownNameError, UsageError
from nightjar.jobs.documents import Run
from nightjar.jobs.hindered import hindered
from nightjar.jobs.lookup import find_run, get_whole_run, suite_names
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Baseline
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.compare.changes import with_changes
from nightjar.pipeline.report.data.run_report import RunReport


@dataclass(frozen=True, kw_only=True)
class HeldAgainst:
    """What a run is held against: another run with its report, itself, or nothing."""

    run: Run | None = None
    """None where neither the run nor its suite has a baseline."""
    report: RunReport | None = None
    """None also where the run is the baseline itself."""
    problem: NightjarError | None = None
    """Why the baseline could not be read."""


async def find_baseline(run: Run, named: str | None, database: Database) -> Run | None:
    """The run to hold a run against: the one named, else its suite's baseline; None where there is none.

    Raises UnknownNameError where no run has the name.
    """
    if named is not None:
        return await find_run(named, database)
    baseline = await Baseline.get(run.suite_name)
    return await get_whole_run(baseline.run) if baseline is not None else None


async def set_baseline(run: Run, suite: str | None, database: Database) -> Baseline:
    """Makes a run the baseline of its suite, or of another suite by name. Raises UsageError, UnknownNameError."""
    if run.status is not RunStatus.DONE and not run.judged_again:
        raise UsageError(f"Run {run.name!r} is {run.status}: only a run that is DONE can be a baseline.")
    if suite is not None and suite not in (known := await suite_names(database)):
        raise UnknownNameError("suite", suite, known)
    baseline = Baseline(id=suite or run.suite_name, run=run.id, run_name=run.name, set_at=await database.now())
    await baseline.save()
    if await get_whole_run(run.id) is None:  # it was removed at this very moment
        await database.raw["baselines"].delete_one({"_id": baseline.id, "run": run.id})
        raise UsageError(f"Run {run.name!r} was removed.")
    return baseline


async def read_baseline(run: Run, named: str | None, database: Database) -> HeldAgainst:
    """Finds the baseline as `find_baseline` does and collects its report. Raises NightjarError."""
    base = await find_baseline(run, named, database)
    if base is None or base.id == run.id:
        return HeldAgainst(run=base)
    return HeldAgainst(run=base, report=await collect(base.id, database))


async def try_baseline(run: Run, database: Database) -> HeldAgainst:
    """The run's own baseline, else its suite's. One that is gone or cannot be read is logged, and costs no report."""
    with hindered("baseline_not_readable", level=logging.WARNING, run=run.name) as hindrance:
        return await read_baseline(run, run.ending.baseline, database)
    return HeldAgainst(problem=hindrance.error)


async def changed_since(report: RunReport, base: HeldAgainst) -> RunReport:
    """The report with what changed since the baseline, or why it is compared with none; unchanged where none is set."""
    if base.report is not None:
        return await asyncio.to_thread(with_changes, report, base.report)
    if base.problem is not None:
        return replace(report, no_changes=f"The baseline could not be read: {base.problem}")
    return replace(report, no_changes="This run is the baseline itself.") if base.run is not None else report


async def since_baseline(report: RunReport, run: Run, database: Database) -> RunReport:
    """The report with what changed since the run's own baseline, else its suite's; see `changed_since`."""
    return await changed_since(report, await try_baseline(run, database))
