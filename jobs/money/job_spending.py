"""What a run's jobs cost, each by itself: which conversation a paid request was for, or about."""

from __future__ import annotations

from collections.abc import Collection

from nightjar.jobs.money.spending import LEDGER_COUNTS
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.remote_models import JobSpending
from nightjar.jobs.states import JobKind


async def job_spending(run: str, database: Database, *, about: Collection[str] | None = None) -> list[JobSpending]:
    """What each job of the run cost so far that was paid for: all of them, or those about some conversations."""
    found: Row = {"run": run, "kind": {"$ne": JobKind.REPLY}}
    match: Row = {"run": run}
    if about is not None:
        found["payload.job"] = {"$in": sorted(about)}
    else:  # most runs have nothing at an endpoint
        if await database.raw["expenses"].find_one({"run": run, "kind": found["kind"]}, {"_id": 1}) is None:
            found["_id"] = {"$in": []}
    rows = database.jobs.find(found, {"payload.job": 1})
    subjects = {row["_id"]: row["payload"]["job"] async for row in rows if "job" in (row.get("payload") or {})}
    if about is not None:
        match["job"] = {"$in": sorted({*about, *subjects})}
    model = {"$ifNull": ["$asked_as", "$model"]}
    group = {"_id": {"job": "$job", "model": model, "kind": "$kind"}, **LEDGER_COUNTS}
    steps: list[Row] = [{"$match": match}, {"$group": group}, {"$sort": {"_id": 1}}]
    spent = []
    async for row in await database.raw["expenses"].aggregate(steps):
        identity = row.pop("_id")
        if row["unpriced"] == row["requests"]:
            row["usd"] = None
        job = identity["job"]
        spent.append(
            JobSpending(
                job=job,
                about=subjects.get(job, job),
                model=identity["model"],
                kind=JobKind(identity["kind"]),
                **row,
            )
        )
    return spent
