"""How many jobs of a run are in which state, and how many turns they have committed.

The status index holds a run's jobs by status, model, turns committed and turns empty. Its distinct keys are few,
however many the jobs: each is found by one seek behind the one before, and its jobs are counted by MongoDB without
being handed out, which is several times quicker than grouping them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from bson import MaxKey

from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.routing.routed import ASKED_AS, asked_query
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.jobs.status.views import JobCount, JobCounts

Groups = dict[tuple[JobStatus, str], JobCount]
_KEY = ("status", "model", "turns_committed", "turns_empty")
FEW_JOBS = 2_000
"""Up to so many, grouping a run's keys together with those of other runs is quicker than a seek for each of its own."""


async def count(
    run: str, database: Database, *, model: str | None = None, kind: Collection[JobKind] | None = None
) -> JobCounts:
    """The jobs of a run (its id): all of them, those of one model, those of some kinds.

    Answered by the status index alone, unless kinds are asked for. Jobs that change meanwhile may be seen in either
    state.
    """
    groups: Groups = {}
    async for key, jobs in _indexed(run, model, database) if kind is None else _grouped(run, model, kind, database):
        _add(groups, key, jobs)
    return JobCounts(groups=groups)


async def count_each(runs: Mapping[str, int], database: Database) -> dict[str, JobCounts]:
    """The jobs of many runs, given by id with about how many jobs each has: small runs in one question."""
    few = sorted(run for run, jobs in runs.items() if jobs <= FEW_JOBS)
    groups: dict[str, Groups] = {run: {} for run in few}
    key = {field: f"${field}" for field in ("run", *_KEY)}
    steps: list[Row] = [{"$match": {"run": {"$in": few}}}, {"$group": {"_id": key, "jobs": {"$sum": 1}}}]
    async for row in await database.jobs.aggregate(steps, hint="status"):
        _add(groups[row["_id"]["run"]], row["_id"], row["jobs"])
    large = [run for run in runs if run not in groups]
    counts = await asyncio.gather(*(count(run, database) for run in large))
    return {run: JobCounts(groups=found) for run, found in groups.items()} | dict(zip(large, counts, strict=True))


async def count_asked(run: str, database: Database) -> JobCounts:
    """The jobs of a run (its id) by what it was asked with: those of a policy count there, and not as their model's."""
    key: Row = {**{field: f"${field}" for field in _KEY}, "model": ASKED_AS}
    groups: Groups = {}
    steps: list[Row] = [{"$match": {"run": run}}, {"$group": {"_id": key, "jobs": {"$sum": 1}}}]
    async for row in await database.jobs.aggregate(steps):
        _add(groups, row["_id"], row["jobs"])
    return JobCounts(groups=groups)


def _add(groups: Groups, key: Row, jobs: int) -> None:
    name = (JobStatus(key["status"]), key["model"])
    groups[name] = groups.get(name, JobCount()) + JobCount(
        jobs=jobs, committed=jobs * key["turns_committed"], empty=jobs * key["turns_empty"]
    )


async def done_as_asked(run: str, asked: str, kind: JobKind, database: Database) -> int:
    """How many jobs of a kind are DONE that a model did for itself, or candidates for a policy."""
    return await database.jobs.count_documents(
        {"run": run, "kind": kind, "status": JobStatus.DONE, **asked_query(asked)}
    )


async def done_of(runs: Collection[str], database: Database) -> dict[tuple[str, str, JobKind], int]:
    """(run, model, kind) -> jobs that are DONE; those of a policy are the policy's, whoever did them."""
    key = {"run": "$run", "model": {"$ifNull": ["$routed.asked_as", "$model"]}, "kind": "$kind"}
    done: Row = {"run": {"$in": list(runs)}, "status": JobStatus.DONE}
    rows = await database.jobs.aggregate([{"$match": done}, {"$group": {"_id": key, "jobs": {"$sum": 1}}}])
    return {(row["_id"]["run"], row["_id"]["model"], JobKind(row["_id"]["kind"])): row["jobs"] async for row in rows}


async def done_among(jobs: Collection[str], database: Database) -> set[str]:
    """Those of these jobs (ids) that are DONE."""
    done: Row = {"_id": {"$in": list(jobs)}, "status": JobStatus.DONE}
    return {row["_id"] async for row in database.jobs.find(done, {"_id": 1})}


async def count_answered(run: str, database: Database) -> dict[str, dict[str, int]]:
    """Policy -> candidate -> how many of its reply jobs are that candidate's now."""
    steps: list[Row] = [
        {"$match": {"run": run, "routed.asked_as": {"$exists": True}}},
        {"$group": {"_id": {"policy": "$routed.asked_as", "model": "$model"}, "jobs": {"$sum": 1}}},
        {"$sort": {"_id": 1}},
    ]
    answered: dict[str, dict[str, int]] = {}
    async for row in await database.jobs.aggregate(steps):
        answered.setdefault(row["_id"]["policy"], {})[row["_id"]["model"]] = row["jobs"]
    return answered


async def planned_turns(run: str, model: str, kind: Collection[JobKind], database: Database) -> int:
    """How many turns the jobs of a model will have committed when all are done."""
    total = {"$group": {"_id": None, "turns": {"$sum": "$turns_total"}}}
    rows = await (await database.jobs.aggregate([_match(run, model, kind), total])).to_list(1)
    return int(rows[0]["turns"]) if rows else 0


async def _grouped(
    run: str, model: str | None, kind: Collection[JobKind], database: Database
) -> AsyncIterator[tuple[Row, int]]:
    key = {field: f"${field}" for field in _KEY}
    async for row in await database.jobs.aggregate(
        [_match(run, model, kind), {"$group": {"_id": key, "jobs": {"$sum": 1}}}]
    ):
        yield row["_id"], row["jobs"]


def _match(run: str, model: str | None, kind: Collection[JobKind]) -> Row:
    of_model: Row = {} if model is None else {"model": model}
    return {"$match": {"run": run, "kind": {"$in": sorted(kind)}, **of_model}}


async def _indexed(run: str, model: str | None, database: Database) -> AsyncIterator[tuple[Row, int]]:
    async for key in _distinct(run, database):
        if model in (None, key["model"]):
            yield key, await database.jobs.count_documents({"run": run, **key}, hint="status")


async def _distinct(run: str, database: Database) -> AsyncIterator[Row]:
    """The distinct keys of a run in the status index, in order."""
    end: list[Any] = [("run", run), *((field, MaxKey()) for field in _KEY)]
    fields = {"_id": 0, **dict.fromkeys(_KEY, 1)}
    cursor = database.jobs.find({"run": run}, fields).hint("status").limit(1)
    while rows := await cursor.to_list(1):
        key = rows[0]
        yield key
        after: list[Any] = [("run", run), *((field, key[field]) for field in _KEY)]
        after[-1] = ("turns_empty", key["turns_empty"] + 1)
        cursor = database.jobs.find({"run": run}, fields).hint("status").min(after).max(end).limit(1)
