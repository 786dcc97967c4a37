"""Finishes what others began and left: jobs that a producer did not write, a pause or a cancel that did not settle."""

from __future__ import annotations

import structlog

from nightjar.jobs import leases
from nightjar.jobs.documents import Run
from nightjar.jobs.hindered import hindered
from nightjar.jobs.mongo import Database
from nightjar.jobs.reading import read_each
from nightjar.jobs.runs import control
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.runs.write_jobs import finish_expansion

EXPANSION_GRACE_S = 10.0
"""A run that is EXPANDING and has not grown for this long has probably lost its producer."""
_DAY_MS = 86_400_000
_log = structlog.get_logger()


async def finish_expansions(dispatcher: str, database: Database) -> None:
    """Writes the jobs that are missing of runs whose producer seems to have died."""
    moved = {"$ifNull": ["$expanded_at", "$created_at"]}
    stale = {"$expr": {"$lt": [moved, {"$subtract": ["$$NOW", round(EXPANSION_GRACE_S * 1000)]}]}}
    for run in await read_each(Run, {"status": RunStatus.EXPANDING, **stale}, database):
        if await leases.acquire(f"expand:{run.id}", dispatcher, EXPANSION_GRACE_S, database):
            _log.info("expansion_resumed", run=run.id, name=run.name)
            with hindered("run_not_expanded", run=run.name):
                await finish_expansion(run, database)


async def settle_runs(database: Database) -> None:
    """Makes the jobs of runs that do not work agree with their status, where pausing, stopping or cancelling broke off.

    Cancelled runs are looked at for a day.
    """
    today = {"$expr": {"$gt": ["$outcome.finished_at", {"$subtract": ["$$NOW", _DAY_MS]}]}}
    cancelled = {"status": RunStatus.CANCELLED, **today}
    held = {"status": {"$in": [RunStatus.PAUSED, RunStatus.STOPPED]}}
    for run in await read_each(Run, {"$or": [cancelled, held]}, database):
        with hindered("run_not_settled", run=run.name):
            await control.settle(run, database)
