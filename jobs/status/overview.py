"""How everything stands: what `nightjar status` shows. A few queries, all answered from indexes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime

from pymongo.errors import PyMongoError

from nightjar.jobs.answer_names import name_notices
from nightjar.jobs.closers import Right, read_closers, right_of, who_may_close
from nightjar.jobs.ending import Hook
from nightjar.jobs.hindered import Hindrances, hindered
from nightjar.jobs.judgings import OUTLINE, RunJudging
from nightjar.jobs.leases import dispatcher_is_live, live_closers, since_ringing_s
from nightjar.jobs.machines.auto_workers import live_autos
from nightjar.jobs.money.energy import Electricity, electricity_of
from nightjar.jobs.money.spending import answers_named, spending
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.nights.documents import DeliveryState
from nightjar.jobs.reading import parse_each
from nightjar.jobs.remote_models import Spending, usd_text
from nightjar.jobs.states import EVALUATIONS, TERMINAL_RUNS, WORKING_RUNS, JobKind, JobStatus, RunStatus, WorkerStatus
from nightjar.jobs.status import census
from nightjar.jobs.status.eta import etas
from nightjar.jobs.status.views import (
    ChoreView,
    CostView,
    DeadView,
    JobCounts,
    Overview,
    QueueView,
    RunView,
    ServiceState,
    WorkerView,
)
from nightjar.jobs.status.waiting import ModelWait, explain
from nightjar.jobs.status.workers import read_workers
from nightjar.jobs.waves import Waves

RECENT_RUNS = 10
DEAD_ROWS = 5_000
TROUBLES_OF_S = 7 * 86_400
TROUBLES_SHOWN = 20


async def read_overview(database: Database, redis: ServiceState, *, run_id: str | None = None) -> Overview:
    """The overview of the runs at work and the newest others, or of one run. Needs no documents set up."""
    unreadable = Hindrances(quiet=True)
    with unreadable.collecting():
        overview = await _read(database, redis, run_id)
    sentences = [f"{about} is left out: {why}" for about, why in unreadable.now.items()]
    return replace(overview, unreadable=sentences)


async def _read(database: Database, redis: ServiceState, run_id: str | None) -> Overview:
    rows = await _runs(database, run_id)
    retries = await _retries([row["_id"] for row in rows], database)
    counted = await asyncio.gather(*(_counted(row, retries.get(row["_id"], 0), database) for row in rows))
    counts = {view.id: jobs for view, jobs in filter(None, counted)}
    runs = await _with_costs([view for view, _ in filter(None, counted)], database)
    workers = await read_workers(database)
    dispatching = await dispatcher_is_live(database)
    waits = await _waits(rows, runs, counts, dispatching, database)
    waits_s = etas(runs, counts, workers)
    return Overview(
        services={"mongo": await _takes_writes(database), "redis": redis},
        queues=await _queues(runs, counts, workers, redis, dispatching, database),
        workers=workers,
        runs=[replace(run, eta_s=waits_s.get(run.id), wait=waits.get(run.id)) for run in runs],
        dead=await _dead([run for run in runs if counts[run.id].of(JobStatus.DEAD).jobs], database),
        nights=await _night_troubles(database) if run_id is None else [],
        chores=await parse_each("chore", database.raw["chore_failures"].find(_COUNTS).sort(_WORST_FIRST), _chore_view),
    )


_COUNTS: Row = {"$expr": {"$gte": ["$until", "$$NOW"]}}
_WORST_FIRST = [("failing", -1), ("since", 1)]


async def _counted(row: Row, retries: int, database: Database) -> tuple[RunView, JobCounts] | None:
    """The view of a run and what it was counted from; None where its documents cannot be read."""
    with hindered("run_not_shown", run=row.get("name") or row["_id"]):
        jobs = await census.count(row["_id"], database)
        return _run_view(row, jobs, retries), jobs
    return None


async def _with_costs(runs: list[RunView], database: Database) -> list[RunView]:
    ids = [run.id for run in runs]
    spent, electricity = await spending(ids, database), await electricity_of(ids, database)
    done = await census.done_of(spent.keys(), database) if spent else {}
    runs = [_with_cost(run, spent[run.id], done) if run.id in spent else run for run in runs]
    answers = await answers_named(spent.keys(), database) if spent else {}
    runs = [
        replace(run, names=tuple(each.text for each in name_notices(answers[run.id]))) if run.id in answers else run
        for run in runs
    ]
    return [_with_electricity(run, electricity.get(run.id)) for run in runs]


def _with_cost(run: RunView, spent: Sequence[Spending], done: Mapping[tuple[str, str, JobKind], int]) -> RunView:
    known = [each.usd for each in spent if each.usd is not None]
    usd = sum(known) if known else None
    costs = tuple(_cost_view(each, done.get((run.id, each.model, each.kind), 0)) for each in spent)
    return replace(run, cost_usd=usd, cost=usd_text(usd, unpriced=sum(each.unpriced for each in spent)), costs=costs)


def _cost_view(spent: Spending, done: int) -> CostView:
    return CostView(
        model=spent.model,
        role=spent.role,
        usd=spent.usd,
        cost=usd_text(spent.usd, unpriced=spent.unpriced),
        usd_each=spent.each(done),
        done=done,
        requests=spent.requests,
    )


def _with_electricity(run: RunView, used: Electricity | None) -> RunView:
    return run if used is None else replace(run, electricity_usd=used.usd, electricity=used.text)


def _chore_view(row: Row) -> ChoreView:
    return ChoreView(**{field.name: row[field.name] for field in fields(ChoreView)})


async def _takes_writes(database: Database) -> ServiceState:
    """A server that answers reads may still refuse writes, on a full disk say."""
    try:
        await database.leases.update_one({"_id": "write-check"}, [{"$set": {"at": "$$NOW"}}], upsert=True)
    except PyMongoError as error:
        return ServiceState(ok=False, reason=f"MongoDB answers, but refuses writes: {error}")
    return ServiceState(ok=True)


async def _runs(database: Database, run_id: str | None) -> list[Row]:
    names = "name suite_name status status_reason budget_reached priority jobs_total created_at closers waves".split()
    fields = dict.fromkeys([*names, *(f"judging.{field}" for field in OUTLINE)], 1)
    if run_id is not None:
        return [row async for row in database.runs.find({"_id": run_id}, fields)]
    open_ = database.runs.find({"status": {"$nin": sorted(TERMINAL_RUNS)}, **EVALUATIONS}, fields)
    ended = database.runs.find({"status": {"$in": sorted(TERMINAL_RUNS)}, **EVALUATIONS}, fields)
    rows = [row async for row in open_.sort([("priority", -1), ("created_at", 1)])]
    return rows + [row async for row in ended.sort("created_at", -1).limit(RECENT_RUNS)]


def _run_view(row: Row, jobs: JobCounts, retries: int) -> RunView:
    return RunView(
        id=row["_id"],
        name=row["name"],
        suite=row["suite_name"],
        status=RunStatus(row["status"]),
        reason=row.get("status_reason") or row.get("budget_reached"),
        priority=row["priority"],
        jobs_total=row["jobs_total"],
        jobs=jobs.by_status(),
        turns={"committed": jobs.of().committed, "empty": jobs.of().empty},
        retries=retries,
        eta_s=None,
        waves=Waves.model_validate(row["waves"]).sentence() if row.get("waves") else None,
        **RunJudging.model_validate(row.get("judging") or {}).numbers(),
    )


async def _retries(run_ids: Sequence[str], database: Database) -> dict[str, int]:
    failures = {"$add": ["$tries", "$lapses", "$crashes"]}
    groups: list[Row] = [
        {"$match": {"run": {"$in": list(run_ids)}, "fence": {"$gt": 1}}},
        {"$group": {"_id": "$run", "retries": {"$sum": failures}}},
    ]
    return {row["_id"]: row["retries"] async for row in await database.jobs.aggregate(groups, hint="retried")}


async def _waits(
    rows: Sequence[Row],
    runs: Sequence[RunView],
    counts: Mapping[str, JobCounts],
    dispatching: bool,
    database: Database,
) -> dict[str, str]:
    """Run id -> why the run itself goes no further: nobody dispatches, or nobody may close it."""
    unattended = set() if dispatching else await _unattended(runs, counts, database)
    ready = await _ready_to_close(rows, runs, counts, database)
    return dict.fromkeys(unattended, "no dispatcher runs") | ready


async def _ready_to_close(
    rows: Sequence[Row], runs: Sequence[RunView], counts: Mapping[str, JobCounts], database: Database
) -> dict[str, str]:
    """Run id -> who could close the run, of those whose work is done and that nobody who lives may close."""
    planned = {row["_id"]: row for row in rows if (row.get("judging") or {}).get("planned")}
    ready = [
        run.id
        for run in runs
        if run.status is RunStatus.JUDGING
        and run.id in planned
        and not counts[run.id].of(JobStatus.PENDING, JobStatus.RUNNING).jobs
    ]
    closers = await live_closers(database) if ready else None
    if closers is None:
        return {}
    may = {run: read_closers(planned[run]) for run in ready}
    return {
        run: f"ready to close: {who_may_close(may[run])}"
        for run in ready
        if all(right_of(here, may[run]) is Right.NONE for here in closers)
    }


async def _unattended(runs: Sequence[RunView], counts: Mapping[str, JobCounts], database: Database) -> set[str]:
    """Ids of working runs that only a dispatcher can move: nothing of theirs is open, or its worker is lost."""
    working = [run.id for run in runs if run.status in WORKING_RUNS]
    lapsed: Row = {"status": JobStatus.RUNNING, "$expr": {"$lt": ["$lease_until", "$$NOW"]}, "run": {"$in": working}}
    lost = {row["run"] async for row in database.jobs.find(lapsed, {"run": 1}).limit(DEAD_ROWS)}
    return lost | {run for run in working if not counts[run].of(JobStatus.PENDING, JobStatus.RUNNING).jobs}


async def _queues(
    runs: Sequence[RunView],
    counts: Mapping[str, JobCounts],
    workers: Sequence[WorkerView],
    redis: ServiceState,
    dispatching: bool,
    database: Database,
) -> list[QueueView]:
    open_runs = [run for run in runs if run.status not in TERMINAL_RUNS | {RunStatus.REMOVING}]
    autos = await live_autos(database)
    views = []
    for model in sorted(frozenset[str]().union(*(counts[run.id].models for run in open_runs))):
        pending = {run.id: counts[run.id].of(JobStatus.PENDING, model=model).jobs for run in open_runs}
        waiting = [run for run in open_runs if pending[run.id]]
        if not waiting:
            continue
        working = [run.id for run in waiting if run.status in WORKING_RUNS]
        serving = [worker for worker in workers if worker.model == model]
        ready = [worker for worker in serving if worker.state is WorkerStatus.READY]
        wait = ModelWait(
            statuses=frozenset(run.status for run in waiting),
            earliest_due=await _earliest_due(model, working, database),
            now=await database.now(),
            only_suspects=await _only_suspects(model, working, database),
            worker_states={worker.id: (worker.state, worker.reason) for worker in serving},
            free_slots=sum(worker.slots - worker.slots_used for worker in ready),
            redis_reason=redis.reason if not redis.ok else None,
            dispatching=dispatching,
            silent_s=await since_ringing_s(database),
            auto=min((auto.cannot.get(model, "") for auto in autos if auto.only in (None, model)), default=None),
        )
        reason, stalled = explain(wait)
        views.append(QueueView(model=model, waiting=sum(pending.values()), reason=reason, stalled=stalled))
    return views


async def _earliest_due(model: str, run_ids: Sequence[str], database: Database) -> datetime | None:
    moments: list[datetime] = []
    for run_id in run_ids:
        query = {"model": model, "status": JobStatus.PENDING, "run": run_id}
        row = await database.jobs.find_one(query, {"due_at": 1}, sort=[("due_at", 1)], hint="due")
        if row is not None and isinstance(row.get("due_at"), datetime):
            moments.append(row["due_at"])
    return min(moments, default=None)


async def _only_suspects(model: str, run_ids: Sequence[str], database: Database) -> bool:
    """Whether no innocent job waits; nearly always the first one looked at is innocent."""
    query: Row = {"model": model, "status": JobStatus.PENDING, "run": {"$in": list(run_ids)}, "suspect": False}
    return bool(run_ids) and await database.jobs.find_one(query, {"_id": 1}, hint="due") is None


async def _dead(runs: Sequence[RunView], database: Database) -> list[DeadView]:
    """By run, model and the beginning of the reason."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for run in runs:
        cursor = database.jobs.find({"run": run.id, "status": JobStatus.DEAD}, {"model": 1, "reason": 1})
        async for row in cursor.limit(DEAD_ROWS):
            reason = row.get("reason") or "no reason recorded"
            reasons.setdefault((run.name, row["model"], reason.partition(":")[0]), []).append(reason)
    return [
        DeadView(run=run, model=model, kind=kind, count=len(those), example=those[0])
        for (run, model, kind), those in sorted(reasons.items())
    ]


async def _night_troubles(database: Database) -> list[str]:
    """Sentences: ticks that made no run or wait, and calls that failed or are unsure, of the last week."""
    troubles = []
    async for row in database.raw["schedules"].find({}).sort("_id", 1):
        if row.get("last_error"):
            troubles.append(f"Schedule {row['_id']} could not start its newest run: {row['last_error']}")
        if row.get("waiting_for"):
            troubles.append(f"Schedule {row['_id']} waits for run {row['waiting_for']} to end.")
    recent = {"$expr": {"$gt": ["$created_at", {"$subtract": ["$$NOW", TROUBLES_OF_S * 1000]}]}}
    query: Row = {"state": {"$in": [DeliveryState.FAILED, DeliveryState.UNSURE]}, **recent}
    failed = database.raw["deliveries"].find(query).sort("created_at", -1).limit(TROUBLES_SHOWN)
    return troubles + await parse_each("delivery", failed, _not_delivered)


def _not_delivered(row: Row) -> str:
    hook = Hook.model_validate(row["hook"])
    how = "could not be told" if row["state"] == DeliveryState.FAILED else "may have been told or not"
    return (
        f"{hook} {how} that run {row['run_name']} is {row['event']}: {row.get('outcome')}. "
        f"`nightjar run notify {row['run_name']}` calls again."
    )
