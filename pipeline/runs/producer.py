"""Freezes a run and has its jobs written. Safe to repeat, to race and to kill at any moment."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from beanie.odm.utils.encoder import Encoder

from nightjar.config.errors import RunConflictError, ServiceError, UsageError
from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.closers import Closers
from nightjar.jobs.documents import Run, SequenceRef
from nightjar.jobs.mongo import Database, DuplicateKeyError
from nightjar.jobs.search.text_embedder import EmbedderOpener
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.compare.verdict import check_ending, known_scales
from nightjar.pipeline.judging.start import check_judging
from nightjar.pipeline.runs.electricity import electricity_notes
from nightjar.pipeline.runs.freeze import adjustments, freeze, gate_differences, grown, run_differences
from nightjar.pipeline.runs.preflight import (
    Enforceable,
    check_endpoints,
    check_held_to,
    check_memories,
    check_models,
    warnings,
)
from nightjar.pipeline.runs.request import EnqueueRequest
from nightjar.pipeline.runs.routed_models import freeze_policies
from nightjar.pipeline.runs.waves import check_waves
from nightjar.pipeline.runs.write_jobs import ExpansionProgress, finish_expansion
from nightjar.pipeline.suites.catalogue import take_suite
from nightjar.pipeline.suites.select import select

RACES = 20
"""How often others may change the run between our read and our write before we give up."""
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Enqueued:
    """The run as it is now. `created`: False when a run of that name existed; `jobs_added` may be 0 then."""

    run: Run
    created: bool
    jobs_total: int
    jobs_added: int
    suite_imported: bool = False
    """A bundled suite was imported on this first use."""
    warnings: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """What was changed of a run that existed, in words."""


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A run that could be made: it is checked, and nothing of it is written."""

    run: Run
    notes: tuple[str, ...]
    """What is allowed but probably not intended."""
    sequences: Sequence[SequenceRef]
    suite_imported: bool

    @property
    def turns(self) -> int:
        """Of one contestant, once."""
        return sum(sequence.turns for sequence in self.sequences)


async def plan_run(
    request: EnqueueRequest,
    database: Database,
    now: datetime | None = None,
    *,
    enforceable: Enforceable | None = None,
    embedder: EmbedderOpener | None = None,
    usd_per_kwh: float | None = None,
) -> PlannedRun:
    """Freezes and checks what `enqueue` would write; a bundled suite is imported on this first use.

    Raises what `enqueue` raises, but for a conflict with a run that exists.
    """
    moment = now or await database.now()
    suite, imported = await take_suite(request.suite, database)
    sequences = select(suite.sequences, request.only, request.limit)
    policies = await freeze_policies(request, sequences, database, embedder)
    facts = await check_models(request, policies, sequences, database)
    fresh = uuid.uuid4().hex
    run = freeze(request, suite, sequences, identity=fresh, now=moment, version=NIGHTJAR_VERSION, policies=policies)
    notes = await check_ending(run, sequences, database)
    if run.waves is not None:
        notes += check_waves(run, await known_scales(run, sequences))
    await check_judging(run, database)
    await check_memories(run, sequences, database)
    if enforceable is not None:
        await check_held_to(run, sequences, database, enforceable)
    notes += await warnings(run, sequences, facts, database)
    notes += await check_endpoints(run, request, sequences, database)
    notes += await electricity_notes(run, sequences, facts, database, usd_per_kwh)
    return PlannedRun(run=run, notes=tuple(notes), sequences=sequences, suite_imported=imported)


async def enqueue(
    request: EnqueueRequest,
    database: Database,
    now: datetime | None = None,
    *,
    closers: Closers | None = None,
    progress: ExpansionProgress | None = None,
    enforceable: Enforceable | None = None,
    embedder: EmbedderOpener | None = None,
    usd_per_kwh: float | None = None,
) -> Enqueued:
    """Freezes the run and writes its jobs; a run of the same name and content stays as it is, or grows.

    `closers`: who may close a new run, or an old one that names nobody, besides dispatchers.
    `enforceable` says which schemas and grammars a reply can be held to; without it the worker finds out. `embedder`:
    of this host, for policies by nearest prompts, which are refused without one. `usd_per_kwh`: what electricity costs
    here, for the expected cost.
    Raises ParameterError, UnknownNameError, RunConflictError (with the difference), ModelError for a model that cannot
    do this.
    """
    planned = await plan_run(
        request, database, now, enforceable=enforceable, embedder=embedder, usd_per_kwh=usd_per_kwh
    )
    wanted = planned.run
    wanted.closers = closers
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
                suite_imported=planned.suite_imported,
                warnings=planned.notes,
                changed=tuple(changed),
            )
    raise ServiceError(f"Run {wanted.name!r} is being changed by many at once; try again.")


async def _write(
    wanted: Run, request: EnqueueRequest, *, database: Database, progress: ExpansionProgress | None
) -> tuple[Run, bool, int] | None:
    """The run as it is now, whether it is new, and its jobs before; None when another process was quicker."""
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
    existing.check_not_removing()
    if existing.status is RunStatus.EXPANDING:
        await finish_expansion(existing, database, progress)
        existing = await _again(existing)
    if conflicts := run_differences(existing, wanted) + gate_differences(existing, wanted, request.model_fields_set):
        raise RunConflictError(
            f"Run {wanted.name!r} exists with other content: {'; '.join(conflicts)}. Give the run another --name, or "
            "leave out what differs."
        )
    await _adopt(existing, wanted, database)
    before = existing.jobs_total
    larger = grown(existing, wanted)
    if larger is None:
        return existing, False, before
    if not await _grow(existing, larger, database):
        return None
    await finish_expansion(larger, database, progress)
    return await _again(larger), False, before


async def _adopt(existing: Run, wanted: Run, database: Database) -> None:
    """A run from before runs recorded who may close them is closed by the home that enqueues it again."""
    if existing.closers is None and wanted.closers is not None:
        set_now = {"$set": {"closers": wanted.closers.model_dump()}}
        await database.runs.update_one({"_id": existing.id, "closers": None}, set_now)


async def _grow(existing: Run, larger: Run, database: Database) -> bool:
    """Compare-and-set: the run as we saw it becomes EXPANDING with its new models and repeats."""
    seen = {
        "_id": existing.id,
        "status": existing.status,
        "repeats": existing.repeats,
        "models": {"$size": len(existing.models)},
        "transcripts_dropped_at": None,
    }
    new_models = [model.model_dump(mode="python") for model in larger.models[len(existing.models) :]]
    change = {
        "status": RunStatus.EXPANDING,
        "repeats": larger.repeats,
        "jobs_total": larger.jobs_total,
        "set_model_parameters": larger.set_model_parameters,
        "expanded": 0,
    }
    pushed = {"models": {"$each": new_models}}
    update = {"$set": change, "$push": pushed, "$currentDate": {"expanded_at": True}}
    done = await database.runs.update_one(seen, update)
    return done.matched_count == 1


async def _adjust(run: Run, wanted: Run, request: EnqueueRequest, database: Database) -> list[str]:
    """Applies what may change of a run that exists; returns what changed, in words."""
    changes = adjustments(run, wanted, request.model_fields_set)
    if not changes:
        return []
    values = {path: Encoder(to_db=True).encode(value) for path, (_, value) in changes.items()}
    if "budget" in values:
        values["budget_reached"] = None
    if "ending.deadline_at" in values:
        values["outcome.deadline_met"] = False
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
