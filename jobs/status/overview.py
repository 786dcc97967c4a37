"""How everything stands: what `nightjar status` shows. A few queries, all answered from indexes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo.errors import PyMongoError

from nightjar.jobs.database import Database, Row
from nightjar.jobs.dispatchers import dispatcher_is_live
from nightjar.jobs.states import TERMINAL_RUNS, WORKING_RUNS, JobStatus, RunStatus
from nightjar.jobs.status.census import census
from nightjar.jobs.status.eta import Counts, etas
from nightjar.jobs.status.troubles import night_troubles
from nightjar.jobs.status.views import DeadView, Overview, QueueView, RunView, ServiceState, WorkerView
from nightjar.jobs.status.waiting import ModelWait, explain

STALLED_AFTER_S = 15.0
DEAD_AFTER_S = 60.0
FORGOTTEN_AFTER_S = 3600.0
"""A dead or failed worker is shown for this long."""
RECENT_RUNS = 10
DEAD_ROWS = 5_000


async def read_overview(database: Database, redis: ServiceState, *, run_id: str | None = None) -> Overview:
    """The overview of the runs at work and the newest others, or of one run."""
    runs = await _runs(database, run_id)
    ids = [row["_id"] for row in runs]
    counts = dict(zip(ids, await asyncio.gather(*(census(run, database) for run in ids)), strict=True))
    workers = await _workers(database)
    retries = await _retries(ids, database)
    dispatching = await dispatcher_is_live(database)
    queues = await _queues(runs, counts, workers, redis, dispatching, database)
    unattended = set() if dispatching else await _unattended(runs, counts, database)
    waits_s = etas(runs, counts, workers)
    return Overview(
        services={"mongo": await _takes_writes(database), "redis": redis},
        queues=queues,
        workers=workers,
        runs=[_run_view(row, counts, retries.get(row["_id"], 0), waits_s.get(row["_id"]), unattended) for row in runs],
        dead=await _dead([run for run in runs if _count(counts, run["_id"], JobStatus.DEAD)], database),
        nights=await night_troubles(database) if run_id is None else [],
    )


async def _takes_writes(database: Database) -> ServiceState:
    """A server that answers reads may still refuse writes, on a full disk say."""
    try:
        await database.leases.update_one({"_id": "write-check"}, [{"$set": {"at": "$$NOW"}}], upsert=True)
    except PyMongoError as error:
        return ServiceState(ok=False, reason=f"MongoDB answers, but refuses writes: {error}")
    return ServiceState(ok=True)


async def _runs(database: Database, run_id: str | None) -> list[Row]:
    fields = dict.fromkeys(("name", "suite_name", "status", "status_reason", "priority", "jobs_total", "created_at"), 1)
    if run_id is not None:
        return [row async for row in database.runs.find({"_id": run_id}, fields)]
    open_ = database.runs.find({"status": {"$nin": sorted(TERMINAL_RUNS)}}, fields)
    ended = database.runs.find({"status": {"$in": sorted(TERMINAL_RUNS)}}, fields)
    found = [row async for row in open_.sort([("priority", -1), ("created_at", 1)])]
    return found + [row async for row in ended.sort("created_at", -1).limit(RECENT_RUNS)]


async def _workers(database: Database) -> list[WorkerView]:
    age = {"$divide": [{"$subtract": ["$$NOW", "$beat_at"]}, 1000]}
    steps: list[Row] = [{"$set": {"age": age}}, {"$match": {"age": {"$lt": FORGOTTEN_AFTER_S}}}, {"$sort": {"_id": 1}}]
    return [_worker_view(row) async for row in await database.workers.aggregate(steps)]


def _worker_view(row: Row) -> WorkerView:
    age, state = max(0.0, row["age"]), row["state"]
    if state not in ("failed", "dead"):
        state = "dead" if age > DEAD_AFTER_S else "stalled" if age > STALLED_AFTER_S else state
    quiet = state in ("dead", "stalled", "failed")
    return WorkerView(
        id=row["_id"],
        host=row["host"],
        device=row["device"],
        model=row["model"],
        state=state,
        reason=row.get("reason") or (f"no beat for {age:.0f} s" if quiet and age > STALLED_AFTER_S else None),
        slots_used=0 if quiet else row["slots_used"],
        slots=row["slots"],
        waiting=0 if quiet else row["waiting"],
        tokens_per_s=0.0 if quiet else row["tokens_per_s"],
        turns_per_s=0.0 if quiet else row.get("turns_per_s", 0.0),
        wasted_tokens=row.get("wasted_tokens", 0),
        beat_age_s=age,
    )


async def _retries(run_ids: Sequence[str], database: Database) -> dict[str, int]:
    failures = {"$add": ["$tries", "$lapses", "$crashes"]}
    groups: list[Row] = [
        {"$match": {"run": {"$in": list(run_ids)}, "fence": {"$gt": 1}}},
        {"$group": {"_id": "$run", "retries": {"$sum": failures}}},
    ]
    return {row["_id"]: row["retries"] async for row in await database.jobs.aggregate(groups, hint="retried")}


async def _unattended(runs: Sequence[Row], counts: Counts, database: Database) -> set[str]:
    """Ids of working runs that only a dispatcher can move: nothing of theirs is open, or its worker is lost."""
    working = [run["_id"] for run in runs if run["status"] in WORKING_RUNS]
    lapsed: Row = {"status": JobStatus.RUNNING, "$expr": {"$lt": ["$lease_until", "$$NOW"]}, "run": {"$in": working}}
    lost = {row["run"] async for row in database.jobs.find(lapsed, {"run": 1}).limit(DEAD_ROWS)}
    open_ = (JobStatus.PENDING, JobStatus.RUNNING)
    return lost | {run for run in working if not any(_count(counts, run, status) for status in open_)}


async def _queues(
    runs: Sequence[Row],
    counts: Counts,
    workers: Sequence[WorkerView],
    redis: ServiceState,
    dispatching: bool,
    database: Database,
) -> list[QueueView]:
    open_runs = [run for run in runs if run["status"] not in TERMINAL_RUNS]
    waiting: dict[str, dict[str, int]] = defaultdict(dict)
    for run in open_runs:
        for (status, model), group in counts.get(run["_id"], {}).items():
            if status == JobStatus.PENDING:
                waiting[model][run["_id"]] = group.jobs
    if not waiting:
        return []
    status_of = {run["_id"]: RunStatus(run["status"]) for run in open_runs}
    views = []
    for model, by_run in sorted(waiting.items()):
        working = [run_id for run_id in by_run if status_of[run_id] in WORKING_RUNS]
        wait = ModelWait(
            statuses=frozenset(status_of[run_id] for run_id in by_run),
            earliest_due=await _earliest_due(model, working, database),
            now=await database.now(),
            only_suspects=await _only_suspects(model, working, database),
            worker_states={worker.id: (worker.state, worker.reason) for worker in workers if worker.model == model},
            free_slots=sum(w.slots - w.slots_used for w in workers if w.model == model and w.state == "ready"),
            redis_reason=redis.reason if not redis.ok else None,
            dispatching=dispatching,
        )
        reason, stalled = explain(wait)
        views.append(QueueView(model=model, waiting=sum(by_run.values()), reason=reason, stalled=stalled))
    return views


async def _earliest_due(model: str, run_ids: Sequence[str], database: Database) -> datetime | None:
    moments: list[datetime] = []
    for run_id in run_ids:
        query = {"model": model, "status": JobStatus.PENDING, "run": run_id}
        row = await database.jobs.find_one(query, {"due_at": 1}, sort=[("due_at", 1)], hint="due")
        if row is not None:
            moments.append(row["due_at"])
    return min(moments, default=None)


async def _only_suspects(model: str, run_ids: Sequence[str], database: Database) -> bool:
    """Whether no innocent job waits; nearly always the first one looked at is innocent."""
    query: Row = {"model": model, "status": JobStatus.PENDING, "run": {"$in": list(run_ids)}, "suspect": False}
    return bool(run_ids) and await database.jobs.find_one(query, {"_id": 1}, hint="due") is None


def _run_view(row: Row, counts: Counts, retries: int, eta_s: float | None, unattended: set[str]) -> RunView:
    groups = counts.get(row["_id"], {}).values()
    return RunView(
        id=row["_id"],
        name=row["name"],
        suite=row["suite_name"],
        status=RunStatus(row["status"]),
        reason=row.get("status_reason"),
        priority=row["priority"],
        jobs_total=row["jobs_total"],
        jobs={str(status): _count(counts, row["_id"], status) for status in JobStatus},
        turns={"committed": sum(g.committed for g in groups), "empty": sum(g.empty for g in groups)},
        retries=retries,
        eta_s=eta_s,
        wait="no dispatcher runs" if row["_id"] in unattended else None,
    )


def _count(counts: Counts, run_id: str, status: JobStatus) -> int:
    return sum(group.jobs for key, group in counts.get(run_id, {}).items() if key[0] == status)


async def _dead(runs: Sequence[Row], database: Database) -> list[DeadView]:
    views: dict[tuple[str, str, str], list[Any]] = {}
    for run in runs:
        cursor = database.jobs.find({"run": run["_id"], "status": JobStatus.DEAD}, {"model": 1, "reason": 1})
        async for row in cursor.limit(DEAD_ROWS):
            reason = row["reason"] or "no reason recorded"
            entry = views.setdefault((run["name"], row["model"], reason.partition(":")[0]), [0, reason])
            entry[0] += 1
    return [
        DeadView(run=run, model=model, kind=kind, count=count, example=example)
        for (run, model, kind), (count, example) in sorted(views.items())
    ]
