"""Runs that work or have just ended: deadlines, stalls, partial reports, and whom to notify.

Every step may be done twice and by several dispatchers; none may be left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import quote, urljoin

import structlog

from nightjar.config.settings import Settings
from nightjar.jobs import backlog
from nightjar.jobs.closers import Closer
from nightjar.jobs.documents import Run
from nightjar.jobs.ending import DEADLINE, Event, ended_how
from nightjar.jobs.hindered import hindered
from nightjar.jobs.lanes import Work, work_in_lanes
from nightjar.jobs.leases import closing_lease, hold
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.reading import read_each
from nightjar.jobs.run_outcome import Progress
from nightjar.jobs.runs import control
from nightjar.jobs.runs.judging_moves import cancel_judging
from nightjar.jobs.states import TERMINAL_JOBS, WORKING_RUNS, RunStatus
from nightjar.jobs.status import census
from nightjar.jobs.status.overview import read_overview
from nightjar.jobs.status.views import ServiceState
from nightjar.pipeline.closing.close import close_run
from nightjar.pipeline.notify.deliveries import STALLED_END, end_of, write_deliveries

CLOSING_LEASE_S = 15.0
LANES = 4
"""Runs that have ended and are looked after at the same time."""
UNSCORABLE = "its replies cannot be scored"
"""The beginning of the reason of a run that was put aside at its end."""
_log = structlog.get_logger()


async def stop_late(database: Database) -> None:
    """Stops runs at their deadline. One that somebody resumes after it goes on."""
    now = await database.now()
    late: Row = {"status": {"$in": sorted(WORKING_RUNS)}, "outcome.deadline_met": False}
    late |= {"ending.deadline_at": {"$lte": now}, "outcome.finished_at": None}  # one that is judged again had its end
    for run in await read_each(Run, late, database):
        with hindered("run_not_stopped", run=run.name):
            if not await backlog.has_open_jobs(run.id, database):
                continue  # its work is done; it is about to be closed or judged
            reason = f"{DEADLINE} {run.ending.deadline_at:%Y-%m-%d %H:%M} UTC"
            await control.stop(run, reason, database, also={"outcome.deadline_met": True})
            _log.warning("run_stopped", run=run.id, name=run.name, reason=reason)


async def stop_spent(database: Database) -> None:
    """Stops runs whose budget is used up once nothing else of them is left to do. `retry` or `resume` goes on.

    Of a run that was DONE, only the judging or check that used it up ends: the run is as it was.
    """
    spent: Row = {"status": {"$in": sorted(WORKING_RUNS)}, "budget_reached": {"$type": "string"}}
    for run in await read_each(Run, spent, database):
        with hindered("run_not_stopped", run=run.name):
            if not await backlog.only_waits_for(run.id, run.remote_models, database):
                continue
            if run.judged_again:
                await cancel_judging(run, run.budget_reached or "", database)
                _log.warning("judging_stopped", run=run.id, name=run.name, reason=run.budget_reached)
            else:
                await control.stop(run, run.budget_reached or "", database)
                _log.warning("run_stopped", run=run.id, name=run.name, reason=run.budget_reached)


async def watch_stalls(since: datetime, database: Database) -> None:
    """Records whom to notify of runs that do not move. `since`: when this dispatcher began to look."""
    watched = {
        "status": {"$in": sorted(WORKING_RUNS)},
        "outcome.stalled_at": None,
        "ending.stalled_after_s": {"$ne": None},
        "ending.on_finish.0": {"$exists": True},
    }
    for run in await read_each(Run, watched, database):
        with hindered("run_not_watched", run=run.name):
            await _watch(run, since, database)


async def _watch(run: Run, since: datetime, database: Database) -> None:
    jobs = await census.count(run.id, database)
    now = await database.now()
    seen = Progress(turns=jobs.of().committed, jobs=jobs.of(*TERMINAL_JOBS).jobs, at=now)
    if not moved(run.progress, seen) and run.progress is not None:
        if is_stalled(run.progress, since, now, run.ending.stalled_after_s):
            await _tell_stall(run, jobs.by_status(), database)
    else:
        await database.runs.update_one({"_id": run.id}, {"$set": {"progress": seen.model_dump()}})


def moved(before: Progress | None, now: Progress) -> bool:
    """Whether a turn was committed or a job ended between two looks."""
    return before is None or (before.turns, before.jobs) != (now.turns, now.jobs)


def is_stalled(last: Progress, since: datetime, now: datetime, patience_s: float | None) -> bool:
    """Nothing moved for that long, and this dispatcher looked all the while."""
    return patience_s is not None and now - max(last.at, since) >= timedelta(seconds=patience_s)


async def _tell_stall(run: Run, jobs: dict[str, int], database: Database) -> None:
    overview = await read_overview(database, ServiceState(ok=True), run_id=run.id)
    why = "; ".join(f"{queue.model}: {queue.reason}" for queue in overview.queues if queue.reason)
    await write_deliveries(run, Event.STALLED, STALLED_END, database, jobs=jobs, link=None, why=why or None)
    await database.runs.update_one({"_id": run.id}, [{"$set": {"outcome.stalled_at": "$$NOW"}}])
    _log.warning("run_stalled", run=run.id, name=run.name, why=why)


async def finish_ended(
    owner: str,
    settings: Settings,
    database: Database,
    stop: asyncio.Event | None = None,
    *,
    closer: Closer | None = None,
) -> None:
    """Writes the partial report of runs that were stopped, and for each end whom to notify; a few at a time.

    `closer`: whose runs those must be; None takes all.
    """

    async def take(recent: Collection[str], free: int) -> dict[str, Work]:
        ended: Row = {"outcome.untold": True, "status": {"$in": [RunStatus.DONE, RunStatus.STOPPED]}}
        ended |= {} if closer is None else closer.query("outcome.finished_at")
        runs = await read_each(Run, ended | {"_id": {"$nin": list(recent)}}, database)
        return {run.id: partial(_finish, run, owner, settings, database) for run in runs[:free]}

    await work_in_lanes(LANES, take, stop=stop)


async def _finish(run: Run, owner: str, settings: Settings, database: Database) -> None:
    with hindered("run_not_finished", run=run.name):
        if run.status is RunStatus.DONE:
            await _tell_end(run, settings, database)
            return
        async with hold(closing_lease(run.id), owner, CLOSING_LEASE_S, database) as mine:
            if mine:
                await _partial_report(run, settings, database)
                await _tell_end(run, settings, database)


async def _partial_report(run: Run, settings: Settings, database: Database) -> None:
    if (run.status_reason or "").startswith(UNSCORABLE):
        return  # it would take as long again, for nothing
    with hindered("report_failed", run=run.id, name=run.name):
        await close_run(run, database, settings.reports_dir)


async def _tell_end(seen: Run, settings: Settings, database: Database) -> None:
    run = await Run.get(seen.id)
    if run is None or run.outcome.finished_at is None or run.outcome.finished_at != seen.outcome.finished_at:
        return  # it works again
    event = ended_how(run.status, run.status_reason, run.outcome.verdict)
    if event is not None and run.ending.on_finish:
        jobs = (await census.count(run.id, database)).by_status()
        link = link_to(run.outcome.files, settings.night.reports_url)
        await write_deliveries(run, event, end_of(run.outcome.finished_at), database, jobs=jobs, link=link)
    same: Row = {"_id": run.id, "outcome.finished_at": run.outcome.finished_at}
    await database.runs.update_one(same, {"$set": {"outcome.untold": False}})


def link_to(files: Sequence[str], base: str | None) -> str | None:
    """The web address of the report's first file; None where no base address is set or no file was written."""
    if base is None or not files:
        return None
    return urljoin(base if base.endswith("/") else base + "/", quote(Path(files[0]).name))
