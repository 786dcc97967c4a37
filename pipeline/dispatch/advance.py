"""Moves runs on whose jobs have all ended: to judging and through its planning. `closing.finish` makes them DONE.

Any number of dispatchers may do so: every move is a compare-and-set, and planning inserts what is absent.
"""

from __future__ import annotations

import structlog

from nightjar.config.counting import how_many
from nightjar.config.errors import ServiceError
from nightjar.jobs import backlog
from nightjar.jobs.backlog import RunInWork
from nightjar.jobs.documents import Run
from nightjar.jobs.hindered import hindered
from nightjar.jobs.mongo import Database
from nightjar.jobs.runs import control
from nightjar.jobs.runs.judging_moves import finish_cancelling
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.embedding.write_jobs import write_embedding
from nightjar.pipeline.fidelity.write_jobs import write_fidelity_jobs
from nightjar.pipeline.judging.write_jobs import mark_planned, write_judging

_log = structlog.get_logger()


async def advance_runs(database: Database) -> bool:
    """Moves runs on, and stops those with too many failures. True where a run has got new jobs.

    One run's trouble holds up no other.
    """
    planned = False
    for run in await backlog.runs_in_work(database):
        with hindered("run_not_advanced", run=run.name):
            planned |= await _advance(run, database)
    return planned


async def _advance(run: RunInWork, database: Database) -> bool:
    if run.cancelling:
        await finish_cancelling(await _document(run), database)
        return False
    if run.fail_on_error is not None and (reason := await _over_limit(run, run.fail_on_error, database)):
        await control.stop(await _document(run), reason, database)
        _log.warning("run_stopped", run=run.id, name=run.name, reason=reason)
        return False
    if await backlog.has_open_jobs(run.id, database):
        return False
    if run.status is RunStatus.ACTIVE:
        await control.move(await _document(run), RunStatus.JUDGING, database)
        _log.info("run_judging", run=run.id, name=run.name)
        return False
    if not run.planned:
        await _plan(await _document(run), database)
        return True
    return False


async def _over_limit(run: RunInWork, limit: float, database: Database) -> str | None:
    """Why the run is to be stopped. `limit`: failed jobs, or below 1 their share of the run's jobs."""
    dead = await backlog.dead_jobs(run.id, database)
    allowed = limit if limit >= 1 else limit * run.jobs_total
    if dead == 0 or dead < allowed:
        return None
    return f"{dead} of {how_many(run.jobs_total, 'job')} failed (fail_on_error is {limit:g})"


async def _plan(run: Run, database: Database) -> None:
    """Writes the jobs of the judges, of the model that embeds and of models that are held against a reference."""
    await write_judging(run, database)
    await write_embedding(run, database)
    await write_fidelity_jobs(run, database)
    await mark_planned(run, database)


async def _document(run: RunInWork) -> Run:
    document = await Run.get(run.id)
    if document is None:
        raise ServiceError(f"Run {run.name!r} was removed while it worked.")
    return document
