"""Removing a run: a state of its own, so that a removal that was cut in half leaves no run that lacks its replies.

REMOVING is written first, by one compare-and-set. From then on the run is not reported, compared or taken as a
baseline, and whoever comes by finishes its removal: the command that began it, the next `nightjar run rm`, `nightjar
cleanup`, any dispatcher. Its documents go in batches, the run itself last.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial

import structlog

from nightjar.config.errors import UsageError
from nightjar.jobs.documents import Run
from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.leases import closing_lease, hold
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.patience import patiently
from nightjar.jobs.runs.control import pinned_runs
from nightjar.jobs.search.vectors import drop_vectors
from nightjar.jobs.states import TERMINAL_RUNS, RunStatus

RemovalProgress = Callable[[int, int], None]
"""Called with the documents that are gone and those there were."""
BATCH = 1_000
"""Documents deleted by one write, so that no write takes longer than an operation may."""
LEASE_S = 15.0
WAIT_S = 0.2
"""How often one that waits for another's removal, or for a report that is being written, looks."""
_PARTS = ("deliveries", "scores", "indexed_runs", "facts", "run_summaries", "run_energy", "jobs")
_log = structlog.get_logger()


def _nobody(done: int, total: int) -> None:
    """Progress that nobody watches."""


async def remove_run(run: Run, database: Database, progress: RemovalProgress = _nobody) -> int:
    """Deletes a run that has ended, with its jobs and scores, or what another removal left of it.

    Returns the number of jobs that were there. Raises UsageError for a run that works, or that is a baseline.
    """
    await _begin(run, database)
    jobs = await database.jobs.count_documents({"run": run.id})
    await finish_removal(run.id, database, progress)
    return jobs


async def finish_removal(run: str, database: Database, progress: RemovalProgress = _nobody) -> None:
    """Finishes the removal of a run, or waits for whoever is at it; a killed one holds it until its lease has ended."""
    while not await _finish(run, f"removal-{random.getrandbits(48):x}", database, progress):
        if await database.runs.find_one({"_id": run}, {"_id": 1}) is None:
            break
        await asyncio.sleep(WAIT_S)


async def finish_removals(owner: str, database: Database) -> list[str]:
    """Finishes the removals that nobody is at; the names of the runs that are gone now."""
    gone = []
    for run_id, name in (await interrupted_removals(database)).items():
        if await _finish(run_id, owner, database, _nobody):
            _log.info("removal_finished", run=run_id, name=name)
            gone.append(name)
    return gone


async def interrupted_removals(database: Database) -> dict[str, str]:
    """Id -> name of the runs that are being removed, whether or not anybody is at it."""
    cursor = database.runs.find({"status": RunStatus.REMOVING}, {"name": 1})
    return {row["_id"]: row["name"] async for row in cursor}


async def _begin(run: Run, database: Database) -> None:
    if run.status is RunStatus.REMOVING:
        return
    if run.status not in TERMINAL_RUNS:
        raise UsageError(f"Run {run.name!r} is {run.status}. Cancel it first: `nightjar run cancel {run.name}`.")
    await _check_not_pinned(run, database)
    seen: Row = {"_id": run.id, "status": run.status}
    removing: Row = {"status": RunStatus.REMOVING, "status_reason": f"it was {run.status} when it was removed"}
    if not (await database.runs.update_one(seen, {"$set": removing})).matched_count:
        await _check_is_going(run, database)
    try:
        await _check_not_pinned(run, database)
    except UsageError:  # it became a baseline at this very moment, and nothing of it is gone yet
        as_before = {"status": run.status, "status_reason": run.status_reason}
        await database.runs.update_one({"_id": run.id, "status": RunStatus.REMOVING}, {"$set": as_before})
        raise


async def _check_not_pinned(run: Run, database: Database) -> None:
    if run.id in await pinned_runs(database):
        raise UsageError(
            f"Run {run.name!r} is a baseline and cannot be removed. Set another one (`nightjar baseline set RUN`) or "
            f"clear it (`nightjar baseline clear {run.suite_name}`); a schedule that names it holds it, too."
        )


async def _check_is_going(run: Run, database: Database) -> None:
    now = await database.runs.find_one({"_id": run.id}, {"status": 1})
    if now is not None and now["status"] != RunStatus.REMOVING:
        raise UsageError(f"Run {run.name!r} is {now['status']} now. Look at it again: `nightjar run show {run.name}`.")


async def _finish(run: str, owner: str, database: Database, progress: RemovalProgress) -> bool:
    """Deletes what there is of the run; False where somebody else removes it, or still writes its report."""
    async with hold(closing_lease(run), owner, LEASE_S, database) as mine:
        if not mine:
            return False
        total = sum([await database.raw[name].count_documents({"run": run}) for name in _PARTS])
        done = 0
        await patiently(lambda: drop_vectors({"run": run}, database))
        for name in _PARTS:
            while batch := await patiently(partial(_delete_batch, name, run, database)):
                done += batch
                progress(done, total)
        for name in ("aggregates", "nights"):
            await database.raw[name].delete_one({"_id": run})
        await database.runs.delete_one({"_id": run, "status": RunStatus.REMOVING})
        database.events.say(Moved(kind=EventKind.RUN, run=run))
        return True


async def _delete_batch(name: str, run: str, database: Database) -> int:
    collection = database.raw[name]
    ids = [row["_id"] async for row in collection.find({"run": run}, {"_id": 1}).limit(BATCH)]
    if ids:
        await collection.delete_many({"_id": {"$in": ids}})
    return len(ids)
