"""Freezes a run and writes its jobs. Safe to repeat, to race and to kill at any moment."""

from __future__ import annotations

import importlib.metadata
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

import structlog
from beanie.odm.utils.dump import get_dict
from beanie.odm.utils.encoder import Encoder
from pymongo.errors import DuplicateKeyError

from config.errors import RunConflictError, ServiceError, UsageError
from jobs import control
from jobs.database import Database, insert_absent
from jobs.documents import Job, Run, SuiteVersion
from jobs.patience import patiently
from jobs.states import RunStatus
from pipeline.expand import JobSpec, expand
from pipeline.freeze import adjustments, differences, freeze, gate_differences, grown
from pipeline.preflight import check_models, warnings
from pipeline.request import EnqueueRequest
from pipeline.suites.catalogue import take_suite
from pipeline.suites.select import select
from pipeline.verdict import check_ending

BATCH_JOBS = 5_000
RACES = 20
"""How often others may change the run between our look and our write before we give up."""
Progress = Callable[[int, int], None]
"""Called with jobs written and jobs in all."""
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Enqueued:
    """The run as it is now. `created`: False when a run of that name was there; `jobs_added` may be 0 then."""

    run: Run
    created: bool
    jobs_total: int
    jobs_added: int
    suite_imported: bool = False
    """A bundled suite was imported on this first use."""
    warnings: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """What was changed of a run that was there, in words."""


async def enqueue(
    request: EnqueueRequest, database: Database, now: datetime | None = None, *, progress: Progress | None = None
) -> Enqueued:
    """Freezes the run and writes its jobs; a run of the same name and content is left as it is, or grows.

    Raises UnknownNameError, RunConflictError (with the difference), ModelError for a model that cannot do it.
    """
    moment = now or await database.now()
    suite, imported = await take_suite(request.suite, database)
    sequences = select(suite.sequences, request.only, request.limit)
    facts = await check_models(request, sequences, database)
    version = importlib.metadata.version("nightjar")
    wanted = freeze(request, suite, sequences, identity=uuid.uuid4().hex, now=moment, version=version)
    await check_ending(wanted, sequences, database)
    notes = await warnings(wanted, sequences, facts, database)
    for _ in range(RACES):
        done = await _write(wanted, request, database=database, progress=progress)
        if done is not None:
            run, created, before = done
            changed = [] if created else await _adjust(run, wanted, request, database)
            return Enqueued(
                run=run,
                created=created,
                jobs_total=run.jobs_total,
                jobs_added=run.jobs_total - before,
                suite_imported=imported,
                warnings=tuple(notes),
                changed=tuple(changed),
            )
    raise ServiceError(f"Run {wanted.name!r} is being changed by many at once; try again.")


async def finish_expansion(run: Run, database: Database, progress: Progress | None = None) -> int:
    """Writes the jobs of an EXPANDING run that are absent and makes it ACTIVE; returns how many were absent.

    A run that was cancelled meanwhile gets its stragglers cancelled, one that was removed keeps none.
    """
    current = await Run.get(run.id)
    if current is None or current.status is not RunStatus.EXPANDING:
        return 0
    added = await _insert_jobs(current, database, progress)
    # The number of jobs tells one growth from the next: only who wrote all of them may say so.
    expanded = {"_id": run.id, "status": RunStatus.EXPANDING, "jobs_total": current.jobs_total}
    active = {"status": RunStatus.ACTIVE, "status_reason": None, "finished_at": None, "planned": False, "verdict": None}
    await database.runs.update_one(expanded, {"$set": active})
    after = await Run.get(run.id)
    if after is None:
        await database.jobs.delete_many({"run": run.id})
    elif after.status is RunStatus.CANCELLED:
        await control.settle(after, database)
    _log.info("run_expanded", run=run.id, name=run.name, jobs=current.jobs_total, added=added)
    return added


async def _write(
    wanted: Run, request: EnqueueRequest, *, database: Database, progress: Progress | None
) -> tuple[Run, bool, int] | None:
    """The run as it is now, whether it is new, and its jobs before; None when somebody else was quicker."""
    named = request.name is not None
    existing = await Run.find_one({"name": wanted.name}) if named else None
    if existing is None:
        try:
            await wanted.insert()
        except DuplicateKeyError:
            if not named:
                raise ServiceError(f"The name {wanted.name!r}, made at random, is taken; try again.") from None
            return None
        await finish_expansion(wanted, database, progress)
        return await _again(wanted), True, 0
    if existing.status is RunStatus.EXPANDING:
        await finish_expansion(existing, database, progress)
        existing = await _again(existing)
    if found := differences(existing, wanted) + gate_differences(existing, wanted, request.model_fields_set):
        raise RunConflictError(
            f"Run {wanted.name!r} exists with other content: {'; '.join(found)}. Give the run another --name, or "
            "leave out what differs."
        )
    before = existing.jobs_total
    larger = grown(existing, wanted)
    if larger is None:
        return existing, False, before
    if not await _grow(existing, larger, database):
        return None
    await finish_expansion(larger, database, progress)
    return await _again(larger), False, before


async def _grow(existing: Run, larger: Run, database: Database) -> bool:
    """Compare-and-set: the run as we saw it becomes EXPANDING with its new models and repeats."""
    seen = {
        "_id": existing.id,
        "status": existing.status,
        "repeats": existing.repeats,
        "models": {"$size": len(existing.models)},
    }
    new_models = [model.model_dump(mode="python") for model in larger.models[len(existing.models) :]]
    change = {
        "status": RunStatus.EXPANDING,
        "repeats": larger.repeats,
        "jobs_total": larger.jobs_total,
        "set_model_parameters": larger.set_model_parameters,
    }
    done = await database.runs.update_one(seen, {"$set": change, "$push": {"models": {"$each": new_models}}})
    return done.matched_count == 1


async def _adjust(run: Run, wanted: Run, request: EnqueueRequest, database: Database) -> list[str]:
    """Applies what may change on a run that is there; what changed, in words."""
    changes = adjustments(run, wanted, request.model_fields_set)
    if not changes:
        return []
    values = {path: Encoder(to_db=True).encode(value) for path, (_, value) in changes.items()}
    if "ending.deadline_at" in values:
        values["deadline_met"] = False
    await database.runs.update_one({"_id": run.id}, {"$set": values})
    _log.info("run_adjusted", run=run.id, name=run.name, changed=sorted(values))
    named = {path: path.rpartition(".")[2].removesuffix("_at").replace("_", " ") for path in changes}
    return [f"its {named[path]} is now {_shown(now)}, was {_shown(was)}" for path, (was, now) in changes.items()]


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:%Y-%m-%d %H:%M} UTC" if isinstance(value, datetime) else str(value)


async def _again(run: Run) -> Run:
    current = await Run.get(run.id)
    if current is None:
        raise UsageError(f"Run {run.name!r} was removed while its jobs were written.")
    return current


async def _insert_jobs(run: Run, database: Database, progress: Progress | None) -> int:
    suite = await SuiteVersion.get(run.suite)
    if suite is None:
        raise ServiceError(f"The suite of run {run.name!r} is gone from MongoDB; the run cannot be written.")
    taken = set(run.sequences)
    sequences = [sequence for sequence in suite.sequences if sequence.id in taken]
    specs = expand(run.id, sequences, [model.name for model in run.models], run.repeats)
    rows = _rows(run, specs, await database.now())
    resumed = await database.jobs.find_one({"run": run.id}, {"_id": 1}) is not None
    expanding = {"_id": run.id, "status": RunStatus.EXPANDING}
    added = written = 0
    while batch := list(islice(rows, BATCH_JOBS)):
        absent = await patiently(partial(_without_present, batch, database)) if resumed else batch
        added += await patiently(partial(insert_absent, database.jobs, absent))
        written += len(batch)
        if progress is not None:
            progress(written, run.jobs_total)
        if written < run.jobs_total and not await database.runs.find_one(expanding, {"_id": 1}):
            break
    return added


async def _without_present(rows: list[dict[str, Any]], database: Database) -> list[dict[str, Any]]:
    """Leaves out what is there already: looking is ten times quicker than inserting a duplicate."""
    cursor = database.jobs.find({"_id": {"$in": [row["_id"] for row in rows]}}, {"_id": 1})
    present = {row["_id"] async for row in cursor}
    return [row for row in rows if row["_id"] not in present]


def _rows(run: Run, specs: Iterator[JobSpec], now: datetime) -> Iterator[dict[str, Any]]:
    """Job documents as MongoDB holds them: one made by the schema, the others its copies, which is far quicker."""
    pattern: dict[str, Any] | None = None
    for spec in specs:
        if pattern is None:
            pattern = get_dict(_job(run, spec, now), to_db=True)
        yield pattern | {
            "_id": spec.id,
            "model": spec.model,
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
        model=spec.model,
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
