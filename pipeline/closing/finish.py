"""Runs whose work is done are closed and become DONE: a few at a time, so that a slow one holds up no other.

Any number of dispatchers may do so: closing is guarded by a lease and may be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import partial
from pathlib import Path

import structlog

from nightjar.config.errors import ScoringError, ServiceError
from nightjar.jobs import backlog
from nightjar.jobs.closers import Closer, Right
from nightjar.jobs.documents import Run
from nightjar.jobs.hindered import hindered, in_words
from nightjar.jobs.lanes import LaneWork, work_in_lanes
from nightjar.jobs.leases import closing_lease, hold
from nightjar.jobs.mongo import Database
from nightjar.jobs.records import cut
from nightjar.jobs.runs import control
from nightjar.jobs.runs.judging_moves import complete_judging, fail_judging
from nightjar.jobs.states import JobKind, JobStatus, RunStatus
from nightjar.pipeline.closing.close import close_run
from nightjar.pipeline.closing.endings import CLOSING_LEASE_S, UNSCORABLE
from nightjar.pipeline.closing.look import goes_on
from nightjar.pipeline.judging.read_counts import silent_judges

LANES = 4
"""Runs that are closed at the same time."""
_log = structlog.get_logger()


async def close_finished(
    owner: str,
    reports_dir: Path,
    database: Database,
    stop: asyncio.Event | None = None,
    *,
    closer: Closer | None = None,
) -> int:
    """Closes the runs whose jobs have all ended; returns how many were tried. `closer`: who does it; None may all."""

    async def take(recent: Collection[str], free: int) -> dict[str, LaneWork]:
        ready: dict[str, LaneWork] = {}
        for run in await backlog.runs_in_work(database):
            if len(ready) == free:
                break
            done = run.status is RunStatus.JUDGING and run.planned and run.id not in recent
            if not done or await backlog.has_open_jobs(run.id, database):
                continue
            if closer is None or closer.turn(run.id, run.closers):
                ready[run.id] = partial(_close, run.id, run.name, owner, reports_dir, database)
        return ready

    return await work_in_lanes(LANES, take, stop=stop)


async def close_now(run: Run, owner: str, reports_dir: Path, database: Database, *, closer: Closer) -> Run:
    """Closes this run if its work is done and it may be closed here; the run as it is then."""
    ready = (
        run.status is RunStatus.JUDGING and run.judging.planned and not await backlog.has_open_jobs(run.id, database)
    )
    if ready and closer.right(run.closers) is not Right.NONE:
        await _close(run.id, run.name, owner, reports_dir, database)
    return await Run.get(run.id) or run


async def _close(run_id: str, name: str, owner: str, reports_dir: Path, database: Database) -> None:
    with hindered("run_not_closed", run=name):
        async with hold(closing_lease(run_id), owner, CLOSING_LEASE_S, database) as mine:
            run = await Run.get(run_id) if mine else None
            if run is not None and run.status is RunStatus.JUDGING:  # else another dispatcher was quicker
                await _close_mine(run, reports_dir, database)


async def _close_mine(run: Run, reports_dir: Path, database: Database) -> None:
    try:
        if await goes_on(run, database):
            return
    except ScoringError as error:  # without scores nothing is ever decided
        await _stop_unscorable(run, cut(f"{UNSCORABLE}: {error}"), database)
        return
    if run.judging.again and (reason := await _silence(run, database)) is not None:
        failed = await fail_judging(run, len(run.judging.passes), reason, database)
        _log.error("judging_failed", run=run.id, name=run.name, reason=reason)
        if failed.status is RunStatus.DONE:
            return
        run = failed
    await _close_by(await complete_judging(run, database), reports_dir, database)


async def _stop_unscorable(run: Run, reason: str, database: Database) -> None:
    await control.stop(run, reason, database)
    _log.error("run_stopped", run=run.id, name=run.name, reason=reason)


async def _silence(run: Run, database: Database) -> str | None:
    """Why the judging that is under way shows nothing; None where each judge has given a verdict, or was not asked."""
    judging = run.judging.under_way
    if judging is None or judging.rubric is None:
        return None
    silent = await silent_judges(run, judging.rubric, judging.judges, database)
    if not silent:
        return None
    dead = {"run": run.id, "model": silent[0], "kind": JobKind.JUDGE, "status": JobStatus.DEAD}
    example = await database.jobs.find_one(dead, {"reason": 1}) or {}
    return cut(f"no verdict came from {', '.join(silent)}: {example.get('reason') or 'its jobs were not done'}")


async def _close_by(run: Run, reports_dir: Path, database: Database) -> None:
    """Closes the run by the judging that counts."""
    reason = None
    try:
        await close_run(run.id, database, reports_dir)
    except ServiceError:
        raise
    except ScoringError as error:
        # Without scores it has no result: it is put aside, and its gates have not passed.
        reason = cut(f"{UNSCORABLE}: {error}")
        if run.only_checked:
            _log.error("report_failed", run=run.id, name=run.name, reason=reason)
            await control.move(run, RunStatus.DONE, database, reason=reason, same_end=True)
            return
        if run.judged_again and run.judging.shown is not None:
            await fail_judging(run, run.judging.shown, reason, database)
            _log.error("judging_failed", run=run.id, name=run.name, reason=reason)
            return
        await _stop_unscorable(run, reason, database)
        return
    except Exception as error:
        # The run's work is done whatever becomes of its report, and `nightjar report` can write it again.
        _log.exception("report_failed", run=run.id, name=run.name)
        reason = cut(f"its report could not be written: {in_words(error)}")
    done = await control.move(run, RunStatus.DONE, database, reason=reason, same_end=run.only_checked)
    if await backlog.has_open_jobs(run.id, database):  # a job was retried at this very moment
        await control.move(done, RunStatus.ACTIVE, database)
    elif not done.judging.planned:  # a check of the judges was asked for at this very moment
        await control.move(done, RunStatus.JUDGING, database)
    else:
        _log.info("run_done", run=run.id, name=run.name)
