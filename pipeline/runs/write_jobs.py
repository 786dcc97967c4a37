"""Writes the jobs of a run, and goes on where another process was killed. Safe to repeat, to race and to kill.

A run's `expanded` says how many of its jobs, in the order of `expand`, are in the journal. It is moved only after
they were written, and only by a process that began there, so jobs before it need not be looked at again; jobs after it
may be there or not, and are written under the same ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

import structlog
from beanie.odm.utils.dump import get_dict

from nightjar.config.errors import ServiceError
from nightjar.jobs.documents import Job, Run, SequenceRef, SuiteVersion
from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.mongo import Database, Row, insert_absent
from nightjar.jobs.patience import patiently
from nightjar.jobs.runs import control
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.runs.expand import JobSpec, expand, expand_waves
from nightjar.pipeline.runs.routed_models import job_routes, read_routes

BATCH_JOBS = 5_000
ExpansionProgress = Callable[[int, int], None]
"""Called with the number of jobs written and of all jobs."""
_log = structlog.get_logger()


async def finish_expansion(run: Run, database: Database, progress: ExpansionProgress | None = None) -> int:
    """Writes the jobs of an EXPANDING run that are absent and makes it ACTIVE; returns how many were absent.

    Where the run was cancelled meanwhile the new jobs are cancelled; where it was removed they are deleted.
    """
    current = await Run.get(run.id)
    if current is None or current.status is not RunStatus.EXPANDING:
        return 0
    added = await _write_jobs(current, database, progress)
    again = {"judging.planned": False, "outcome.finished_at": None, "outcome.verdict": None}
    active = {"status": RunStatus.ACTIVE, "status_reason": None, **again}
    whole = {**_as_seen(current), "expanded": current.jobs_total}
    await database.runs.update_one(whole, {"$set": active})
    database.events.say(Moved(kind=EventKind.RUN, run=run.id))
    after = await Run.get(run.id)
    if after is None:
        await database.jobs.delete_many({"run": run.id})
    elif after.status is RunStatus.CANCELLED:
        await control.settle(after, database)
    _log.info("run_expanded", run=run.id, name=run.name, jobs=current.jobs_total, added=added)
    return added


async def _write_jobs(run: Run, database: Database, progress: ExpansionProgress | None) -> int:
    """Writes jobs from the mark on, while the run is EXPANDING in this shape; returns how many were absent.

    The next batch is made while MongoDB stores the one before.
    """
    rows = await _rows_left(run, database)
    look = await database.jobs.find_one({"run": run.id}, {"_id": 1}) is not None
    added, written = 0, run.expanded
    batch = list(islice(rows, BATCH_JOBS))
    while batch:
        storing = asyncio.create_task(_store(batch, database, look=look))
        await asyncio.sleep(0)  # let it start
        following = list(islice(rows, BATCH_JOBS))
        absent = await storing
        look = look and absent < len(batch)  # nothing lies beyond what others wrote
        added += absent
        written += len(batch)
        if not await _mark(run, written, database):
            break
        if progress is not None:
            progress(written, run.jobs_total)
        batch = following
    return added


async def _rows_left(run: Run, database: Database) -> Iterator[Row]:
    suite = await SuiteVersion.get(run.suite)
    if suite is None:
        raise ServiceError(f"The suite of run {run.name!r} is gone from MongoDB; the run cannot be written.")
    taken = set(run.sequences)
    sequences = [sequence for sequence in suite.sequences if sequence.id in taken]
    specs, now = _specs(run, sequences), await database.now()
    return _rows(run, specs, now, job_routes(run, await read_routes(run, sequences), now))


def _specs(run: Run, sequences: Sequence[SequenceRef]) -> Iterator[JobSpec]:
    """The run's jobs from `expanded` on. A wave's are those behind the jobs of the waves before."""
    if run.waves is None:
        return expand(run.id, sequences, run.contestants, run.repeats, start=run.expanded)
    of = dict(zip(run.sequences, run.waves.plan.numbers, strict=True))
    waves = [[ref for ref in sequences if of[ref.id] == wave] for wave in range(run.waves.opened)]
    positions = {ref.id: at for at, ref in enumerate(sequences)}
    return expand_waves(run.id, waves, run.contestants, run.repeats, positions=positions, start=run.expanded)


async def _store(rows: list[Row], database: Database, *, look: bool) -> int:
    absent = await patiently(partial(_without_present, rows, database)) if look else rows
    return await patiently(partial(insert_absent, database.jobs, absent))


async def _without_present(rows: list[Row], database: Database) -> list[Row]:
    """Leaves out what is there already: looking is ten times quicker than inserting a duplicate."""
    cursor = database.jobs.find({"_id": {"$in": [row["_id"] for row in rows]}}, {"_id": 1})
    present = {row["_id"] async for row in cursor}
    return [row for row in rows if row["_id"] not in present]


async def _mark(run: Run, written: int, database: Database) -> bool:
    """Records how far the run is written; False where it is no longer EXPANDING, or has grown."""
    change: Row = {"$max": {"expanded": written}, "$currentDate": {"expanded_at": True}}
    done = await patiently(lambda: database.runs.update_one(_as_seen(run), change))
    return done.matched_count == 1


def _as_seen(run: Run) -> Row:
    """The run as we saw it. Its number of jobs tells one growth from the next: only a process that knows of all of them
    may mark or finish it.
    """
    return {"_id": run.id, "status": RunStatus.EXPANDING, "jobs_total": run.jobs_total}


def _rows(run: Run, specs: Iterator[JobSpec], now: datetime, routes: Mapping[str, Mapping[str, Row]]) -> Iterator[Row]:
    """Job documents as MongoDB holds them: one made by the schema, the others its copies, which is far quicker.

    `routes`: policy -> sequence -> `Job.routed`.
    """
    pattern: dict[str, Any] | None = None
    for spec in specs:
        if pattern is None:
            pattern = get_dict(_job(run, spec, now), to_db=True)
        routed = routes[spec.contestant.model][spec.sequence.id] if spec.contestant.model in routes else None
        yield pattern | {
            "_id": spec.id,
            "model": spec.contestant.model if routed is None else routed["order"][0],
            "routed": routed,
            "variant": spec.contestant.variant,
            "sequence": spec.sequence.id,
            "sequence_digest": spec.sequence.digest,
            "sequence_document": spec.sequence.document,
            "repeat": spec.repeat,
            "tags": list(spec.sequence.tags),
            "order": spec.order,
            "turns_total": spec.sequence.turns,
        }


def _job(run: Run, spec: JobSpec, now: datetime) -> Job:
    return Job(
        id=spec.id,
        run=run.id,
        model=spec.contestant.model,
        variant=spec.contestant.variant,
        sequence=spec.sequence.id,
        sequence_digest=spec.sequence.digest,
        sequence_document=spec.sequence.document,
        repeat=spec.repeat,
        order=spec.order,
        priority=run.priority,
        due_at=now,
        turns_total=spec.sequence.turns,
        created_at=now,
    )
