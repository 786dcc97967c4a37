"""The jobs of a run that failed or were tried again, with what each attempt came to; no texts are read."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.reading import parse_each
from nightjar.jobs.records import Attempt
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.jobs.variants import contestant_name

_FIELDS = "kind sequence model variant routed.asked_as repeat status reason attempts".split()


@dataclass(frozen=True, kw_only=True)
class TroubledJob:
    """A job that is DEAD, or that somebody had before it was whole. `repeat` counts from 0."""

    id: str
    kind: JobKind
    sequence: str
    contestant: str
    repeat: int
    status: JobStatus
    reason: str | None
    """Why DEAD or CANCELLED."""
    attempts: tuple[Attempt, ...]


async def troubled_jobs(run: str, limit: int, database: Database) -> list[TroubledJob]:
    """Of a run (its id), at most so many: those that are DEAD first, then in the run's order."""
    fields = dict.fromkeys(_FIELDS, 1)
    dead: Row = {"run": run, "status": JobStatus.DEAD}
    again: Row = {"run": run, "fence": {"$gt": 1}, "status": {"$ne": JobStatus.DEAD}}
    jobs = await parse_each("job", database.jobs.find(dead, fields).sort("order", 1).limit(limit), _troubled)
    if (left := limit - len(jobs)) > 0:
        rows = database.jobs.find(again, fields).hint("retried").sort("order", 1).limit(left)
        jobs += await parse_each("job", rows, _troubled)
    return jobs


def _troubled(row: Row) -> TroubledJob:
    asked_as = (row.get("routed") or {}).get("asked_as")
    return TroubledJob(
        id=row["_id"],
        kind=JobKind(row["kind"]),
        sequence=row["sequence"],
        contestant=contestant_name(asked_as or row["model"], row.get("variant")),
        repeat=row["repeat"],
        status=JobStatus(row["status"]),
        reason=row.get("reason"),
        attempts=tuple(Attempt.model_validate(attempt) for attempt in row.get("attempts") or ()),
    )
