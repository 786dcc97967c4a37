"""What is waiting, and who is there to take it: what dispatcher and workers ask MongoDB, answered from indexes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from nightjar.jobs.closers import Closers, read_closers
from nightjar.jobs.judgings import OUTLINE, JudgingStatus, RunJudging
from nightjar.jobs.machines.workers import heard_of
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.reading import parse_each
from nightjar.jobs.retry import Counters, RetryLimits
from nightjar.jobs.states import EVALUATIONS, WORKING_RUNS, JobKind, JobStatus, RunStatus, WorkerStatus
from nightjar.jobs.unreadable_jobs import check_jobs

OPEN = [JobStatus.PENDING, JobStatus.RUNNING]
LIMITS = ("max_tries", "max_lapses", "max_crashes")
LOOK_MS = 60_000
"""So long the workers of a run that stops when it is decided wait for what a look says."""
_ASKING = [JudgingStatus.OPEN, JudgingStatus.COMPLETE]
"""Judgings for which jobs may be written yet."""
_DUE = {"$expr": {"$lte": ["$due_at", "$$NOW"]}}


@dataclass(frozen=True, kw_only=True)
class RunInWork:
    """The little of a run that the dispatcher looks at every tick."""

    id: str
    name: str
    status: RunStatus
    priority: int
    models: tuple[str, ...]
    """Those that reply, for themselves or a policy, those that judge, and the one that embeds."""
    jobs_total: int
    planned: bool
    cancelling: bool = False
    """Its judging is being cancelled."""
    fail_on_error: float | None
    closers: Closers | None = None


@dataclass(frozen=True, kw_only=True)
class HeldJob:
    """A job whose lease ran out."""

    id: str
    run: str
    fence: int
    owner: str | None
    counters: Counters


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One model's jobs in working runs."""

    due: int = 0
    running: int = 0


async def runs_in_work(database: Database) -> list[RunInWork]:
    """ACTIVE and JUDGING runs, highest priority first, then oldest; no live ones, whose jobs are pushed to workers."""
    judging = [f"judging.{field}" for field in OUTLINE]
    fields = [*"name status priority models.name models.policy.candidates embed_model".split(), *judging]
    fields += "jobs_total fail_on_error closers".split()
    cursor = database.runs.aggregate(
        [
            {"$match": {"status": {"$in": sorted(WORKING_RUNS)}, **EVALUATIONS}},
            {"$sort": {"priority": -1, "created_at": 1}},
            {"$project": dict.fromkeys(fields, 1)},
        ]
    )
    return await parse_each("run", await cursor, _run_in_work)


async def due(model: str, run: str, limit: int, database: Database) -> list[tuple[str, int]]:
    """(id, fence) of PENDING jobs that may start now, in order; suspects are not among them."""
    query: Row = {"model": model, "status": JobStatus.PENDING, "run": run, "suspect": False, **_DUE}
    cursor = database.jobs.find(query, {"fence": 1}).hint("due").sort([("due_at", 1), ("order", 1)]).limit(limit)
    rows = await cursor.to_list()
    await check_jobs([row["_id"] for row in rows if not isinstance(row.get("fence"), int)], database)
    return [(row["_id"], row["fence"]) for row in rows if isinstance(row.get("fence"), int)]


async def suspects(model: str, runs: Iterable[str], limit: int, database: Database) -> list[tuple[str, str, int]]:
    """(run, id, fence) of PENDING suspects of a model in those runs; those that are none cost nothing."""
    query: Row = {"model": model, "status": JobStatus.PENDING, "run": {"$in": list(runs)}, "suspect": True, **_DUE}
    cursor = database.jobs.find(query, {"run": 1, "fence": 1}).hint("suspects").limit(limit)
    return [(row["run"], row["_id"], row.get("fence", 0)) async for row in cursor]


async def lapsed(limit: int, database: Database) -> list[HeldJob]:
    """RUNNING jobs whose lease is over on MongoDB's clock."""
    query: Row = {"status": JobStatus.RUNNING, "$expr": {"$lt": ["$lease_until", "$$NOW"]}}
    return [_lapsed(row) async for row in database.jobs.find(query, _LAPSED_FIELDS).limit(limit)]


async def owned(worker: str, database: Database) -> list[HeldJob]:
    """RUNNING jobs that a worker, now gone, still holds."""
    query: Row = {"status": JobStatus.RUNNING, "lease_until": {"$type": "date"}, "owner": worker}
    return [_lapsed(row) async for row in database.jobs.find(query, _LAPSED_FIELDS)]


async def limits(run: str, database: Database) -> RetryLimits:
    """How often each of a run's jobs may fail."""
    row = await database.runs.find_one({"_id": run}, dict.fromkeys(LIMITS, 1)) or {}
    return RetryLimits(
        max_tries=row.get("max_tries", 3), max_lapses=row.get("max_lapses", 20), max_crashes=row.get("max_crashes", 2)
    )


async def run_states(runs: Iterable[str], database: Database) -> dict[str, Row]:
    """What may change of runs while workers serve them, by run id: status and limits. A removed run is left out."""
    fields = dict.fromkeys(("status", "status_reason", "budget", "budget_reached", *LIMITS), 1)
    return {row["_id"]: row async for row in database.runs.find({"_id": {"$in": list(runs)}}, fields)}


async def has_open_jobs(
    run: str, database: Database, *, model: str | None = None, kinds: Iterable[JobKind] | None = None
) -> bool:
    """True while a job of the run, or of one of its models, or of some kinds, is PENDING or RUNNING."""
    query: Row = {"run": run, "status": {"$in": OPEN}} | ({} if model is None else {"model": model})
    query |= {} if kinds is None else {"kind": {"$in": list(kinds)}}
    return await database.jobs.find_one(query, {"_id": 1}) is not None


async def only_waits_for(run: str, models: Iterable[str], database: Database) -> bool:
    """Whether the run has waiting jobs, all of them of these models, and none that runs."""
    waiting: Row = {"run": run, "status": JobStatus.PENDING, "model": {"$in": list(models)}}
    others: Row = {"run": run, "$or": [{"status": JobStatus.RUNNING}, {**waiting, "model": {"$nin": list(models)}}]}
    if await database.jobs.find_one(waiting, {"_id": 1}) is None:
        return False
    return await database.jobs.find_one(others, {"_id": 1}) is None


async def has_dead_jobs(run: str, reason: str, database: Database) -> bool:
    """True if a job of the run is DEAD for a reason that begins so."""
    query: Row = {"run": run, "status": JobStatus.DEAD, "reason": {"$regex": f"^{re.escape(reason)}"}}
    return await database.jobs.find_one(query, {"_id": 1}) is not None


async def dead_jobs(run: str, database: Database) -> int:
    """Reply jobs that failed for good. A judge that fails is named in the report and stops no run."""
    return await database.jobs.count_documents({"run": run, "status": JobStatus.DEAD, "kind": JobKind.REPLY})


async def model_has_work(model: str, database: Database, *, without: Iterable[str] = ()) -> bool:
    """True while a run that is being written or worked on has a job for the model, now, after a backoff, or soon.

    `without`: runs that the asking worker may not serve.
    """
    judged = {"judging.passes": {"$elemMatch": {"judges": model, "status": {"$in": _ASKING}}}}
    compared: Row = {"models.name": model, "fidelity.reference": {"$type": "string"}}
    helping: list[Row] = [judged, {"judging.check.judges": model}, {"embed_model": model}, compared]
    replying: list[Row] = [{"models.name": model}, {"models.policy.candidates": model}]
    wanted: Row = {"_id": {"$nin": list(without)}, "$or": [*replying, *helping], **EVALUATIONS}
    writing = {**wanted, "status": RunStatus.EXPANDING}
    if await database.runs.find_one(writing, {"_id": 1}) is not None:
        return True
    cursor = database.runs.find({**wanted, "status": {"$in": sorted(WORKING_RUNS)}}, {"_id": 1})
    runs = [row["_id"] async for row in cursor]
    query: Row = {"model": model, "status": {"$in": OPEN}, "run": {"$in": runs}}
    if await database.jobs.find_one(query, {"_id": 1}) is not None:
        return True
    to_plan: Row = {"_id": {"$in": runs}, "judging.planned": False, "$or": helping}
    planning = [row["_id"] async for row in database.runs.find(to_plan, {"_id": 1})]
    looking: Row = {"_id": {"$in": runs}, "waves.over": False}
    waves = [row["_id"] async for row in database.runs.find(looking, {"_id": 1})]
    return any([not await has_open_jobs(run, database) for run in planning]) or any(
        [not await has_open_jobs(run, database) and await _just_ended(run, database) for run in waves]
    )


async def _just_ended(run: str, database: Database) -> bool:
    """Whether a job of the run ended so lately that a look at its waves may be about to make more."""
    late = {"$expr": {"$gt": ["$finished_at", {"$subtract": ["$$NOW", LOOK_MS]}]}}
    return await database.jobs.find_one({"run": run, **late}, {"_id": 1}) is not None


async def live_slots(database: Database) -> dict[str, int]:
    """Slots of the workers of each model that are alive and ready."""
    ready: Row = {"state": WorkerStatus.READY, **heard_of()}
    groups = [{"$match": ready}, {"$group": {"_id": "$model", "slots": {"$sum": "$slots"}}}]
    return {row["_id"]: row["slots"] async for row in await database.workers.aggregate(groups)}


async def live_workers(database: Database) -> dict[str, int]:
    """How many workers of each model are alive and serve it or load it."""
    serving: Row = {"state": {"$in": [WorkerStatus.LOADING, WorkerStatus.READY]}, **heard_of()}
    groups = [{"$match": serving}, {"$group": {"_id": "$model", "workers": {"$sum": 1}}}]
    return {row["_id"]: row["workers"] async for row in await database.workers.aggregate(groups)}


async def waiting_jobs(database: Database) -> dict[str, Waiting]:
    """The jobs of working runs by model: due now, and running. Live ones are not among them."""
    working: Row = {"status": {"$in": sorted(WORKING_RUNS)}, **EVALUATIONS}
    runs = [row["_id"] async for row in database.runs.find(working, {"_id": 1})]
    due: Row = {"status": JobStatus.PENDING, **_DUE}
    jobs: Row = {"run": {"$in": runs}, "$or": [due, {"status": JobStatus.RUNNING}]}
    running = {"$cond": [{"$eq": ["$status", JobStatus.RUNNING]}, 1, 0]}
    groups = [{"$match": jobs}, {"$group": {"_id": "$model", "jobs": {"$sum": 1}, "running": {"$sum": running}}}]
    return {
        row["_id"]: Waiting(due=row["jobs"] - row["running"], running=row["running"])
        async for row in await database.jobs.aggregate(groups)
    }


_COUNTED = ("tries", "lapses", "crashes")
_LAPSED_FIELDS = dict.fromkeys(("run", "fence", "owner", *_COUNTED), 1)


def _lapsed(row: Row) -> HeldJob:
    """Whatever the document holds: a job that is damaged must be taken back to be ended."""
    counters = Counters(**{name: row[name] for name in _COUNTED if isinstance(row.get(name), int)})
    return HeldJob(
        id=row["_id"], run=str(row.get("run")), fence=row.get("fence", 0), owner=row.get("owner"), counters=counters
    )


def _run_in_work(row: Row) -> RunInWork:
    judging = RunJudging.model_validate(row["judging"])
    policies = [model["policy"] for model in row["models"] if model.get("policy")]
    models = [model["name"] for model in row["models"] if not model.get("policy")] + judging.at_work
    models += [name for policy in policies for name in policy["candidates"]]
    models += [row["embed_model"]] if row.get("embed_model") else []
    return RunInWork(
        id=row["_id"],
        name=row["name"],
        status=RunStatus(row["status"]),
        priority=row["priority"],
        models=tuple(dict.fromkeys(models)),
        jobs_total=row["jobs_total"],
        planned=judging.planned,
        cancelling=judging.cancelling,
        fail_on_error=row.get("fail_on_error"),
        closers=read_closers(row),
    )
