"""What the workers do, by their beats: each by itself, and by the model that it serves."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from nightjar.jobs.hindered import hindered
from nightjar.jobs.machines.doing import read_doing
from nightjar.jobs.machines.worker_documents import WorkerState
from nightjar.jobs.machines.workers import ALIVE_S, heard_of, status_now
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.reading import parse_each
from nightjar.jobs.states import WorkerStatus
from nightjar.jobs.status.views import WorkerView

FORGOTTEN_AFTER_S = 3600.0
"""A dead or failed worker is shown for this long."""


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What the workers' beats say of a model."""

    workers: tuple[str, ...] = ()
    """Host and device of those that are alive."""
    failure: str | None = None
    """Why the newest worker failed to load it; None where it did not."""
    last_beat: datetime | None = None


async def read_workers(database: Database) -> list[WorkerView]:
    """Every worker that beat within the last hour, by id."""
    steps: list[Row] = [{"$match": {"age": {"$lt": FORGOTTEN_AFTER_S}}}, {"$sort": {"_id": 1}}]
    return await parse_each("worker", await database.workers.aggregate([_WITH_AGE, *steps]), _worker_view)


async def alive_workers(database: Database) -> list[WorkerState]:
    """The workers that are alive, as their newest beats have them, by id."""
    alive = [status for status in WorkerStatus if status.alive]
    cursor = database.workers.find({"state": {"$in": alive}, **heard_of()}).sort("_id", 1)
    return await parse_each("worker", cursor, WorkerState.model_validate)


async def read_serving(database: Database) -> dict[str, Serving]:
    """By model: the workers that are alive, and the reason of the newest failed load."""
    result: dict[str, Serving] = {}
    async for row in await database.workers.aggregate([_WITH_AGE, {"$sort": {"beat_at": 1}}]):
        with hindered("document_unreadable", level=logging.WARNING, worker=row["_id"]):
            known = result.get(row["model"], Serving())
            status = status_now(WorkerStatus(row["state"]), row["age"])
            where = f"{row['_id'].partition(':')[0]} {row['device']}".strip()
            result[row["model"]] = Serving(
                workers=(*known.workers, where) if status.alive else known.workers,
                failure=row.get("reason") if status is WorkerStatus.FAILED else None,
                last_beat=row["beat_at"],
            )
    return result


_WITH_AGE: Row = {"$set": {"age": {"$divide": [{"$subtract": ["$$NOW", "$beat_at"]}, 1000]}}}
"""Seconds since the last beat, on MongoDB's clock."""


def _worker_view(row: Row) -> WorkerView:
    age = max(0.0, row["age"])
    status = status_now(WorkerStatus(row["state"]), age)
    return WorkerView(
        id=row["_id"],
        host=row["host"],
        device=row["device"],
        model=row["model"],
        state=status,
        reason=row.get("reason") or (f"no beat for {age:.0f} s" if not status.alive and age > ALIVE_S else None),
        slots_used=row["slots_used"] if status.alive else 0,
        slots=row["slots"],
        waiting=row["waiting"] if status.alive else 0,
        tokens_per_s=row["tokens_per_s"] if status.alive else 0.0,
        turns_per_s=row.get("turns_per_s", 0.0) if status.alive else 0.0,
        wasted_tokens=row.get("wasted_tokens", 0),
        beat_age_s=age,
        doing=doing.sentence if status.alive and (doing := read_doing(row.get("doing"))) else None,
        threads=(row.get("threads") or {}).get("used"),
        others_cores=row.get("others_cores") if status.alive else None,
    )
