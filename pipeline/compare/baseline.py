"""Holds a run's report against its baseline, where there is one."""

from __future__ import annotations

import asyncio

import structlog

from nightjar.config.errors import NightjarError
from nightjar.jobs.database import Database
from nightjar.jobs.documents import Run
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.compare.changes import with_changes
from nightjar.pipeline.compare.verdict import find_baseline
from nightjar.pipeline.report.data.run_report import RunReport

_log = structlog.get_logger()


async def since_baseline(report: RunReport, run: Run, database: Database) -> RunReport:
    """The report with what changed since the run's own baseline, else its suite's; unchanged without one.

    A baseline that is gone or cannot be read costs no report.
    """
    try:
        base = await find_baseline(run, run.ending.baseline, database)
        if base is None or base.id == run.id:
            return report
        return await asyncio.to_thread(with_changes, report, await collect(base.id, database))
    except NightjarError as error:
        if error.transient:
            raise
        _log.warning("baseline_not_readable", run=run.id, error=str(error))
        return report
