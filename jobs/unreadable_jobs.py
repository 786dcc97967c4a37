"""What becomes of a PENDING or RUNNING job whose document cannot be read: it is left to newer workers, or it is DEAD.

A fleet of mixed versions has documents with fields that its older workers do not know. While a newer worker of the
model is alive such a job is only put off; otherwise it ends with its reason, and `nightjar run retry` starts it again
when there are workers that can read it. A document that is damaged is kept as it was (`PutAside`) and made readable,
so that reports can name the job.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import structlog
from pydantic import ValidationError
from pymongo.errors import DocumentTooLarge, OperationFailure

from nightjar.jobs.documents import Job
from nightjar.jobs.machines.workers import newer_workers
from nightjar.jobs.mongo import Database, Row, utc_now
from nightjar.jobs.patience import patiently
from nightjar.jobs.records import cut
from nightjar.jobs.states import JobStatus
from nightjar.jobs.unreadable import blanked, flaw_of, from_newer

PUT_OFF_S = 5.0
"""How long a job is left to others before it is rung for again."""
_log = structlog.get_logger()


async def read_jobs(rows: Iterable[Row], database: Database) -> list[Job]:
    """The jobs that can be read; each other one ends, or is left to newer workers."""
    jobs = []
    for row in rows:
        try:
            jobs.append(Job.model_validate(row))
        except ValidationError as error:
            await _pass_over(row, error, database)
    return jobs


async def check_jobs(ids: Sequence[str], database: Database) -> None:
    """Ends those of the open jobs that cannot be read, or leaves them to newer workers."""
    if ids:
        query = {"_id": {"$in": ids}, "status": {"$in": [JobStatus.PENDING, JobStatus.RUNNING]}}
        await read_jobs(await database.jobs.find(query).to_list(), database)


async def _pass_over(row: Row, error: ValidationError, database: Database) -> None:
    model = str(row.get("model"))
    newer = from_newer(error)
    if newer and (others := await newer_workers(model, database)):
        later = {"due_at": {"$add": ["$$NOW", round(PUT_OFF_S * 1000)]}}
        await patiently(partial(database.jobs.update_one, _unchanged(row), [{"$set": later}]))
        _log.warning("job_left_to_newer_worker", job=row["_id"], run=row.get("run"), why=flaw_of(error), workers=others)
        return
    remedy = "A newer Nightjar may have written it: upgrade this worker, then `nightjar run retry`." if newer else ""
    await end_unreadable(row, f"{flaw_of(error)}. {remedy}".strip(), database, blank=None if newer else error)


async def end_unreadable(row: Row, flaw: str, database: Database, *, blank: ValidationError | None = None) -> None:
    """Makes the job DEAD if it is still as it was read. `blank`: which of its fields are made readable."""
    readable: Row = {}
    if blank is not None and await _kept(row, flaw, database):
        readable = blanked(Job, blank)
    ended: Row = {"status": JobStatus.DEAD, "reason": cut(flaw), "finished_at": utc_now()}
    ended |= {"owner": None, "lease_until": None}
    await patiently(partial(database.jobs.update_one, _unchanged(row), {"$set": readable | ended}))
    _log.error("job_unreadable", job=row["_id"], run=row.get("run"), reason=flaw)


def _unchanged(row: Row) -> Row:
    return {"_id": row["_id"], "fence": row.get("fence"), "status": row["status"]}


async def _kept(row: Row, flaw: str, database: Database) -> bool:
    """Stores a copy of the document; False where it fills its 16 MB, so that there is no room for an envelope."""
    copy: Row = {"collection": "jobs", "run": row.get("run"), "reason": cut(flaw), "row": row, "at": utc_now()}
    try:
        await patiently(partial(database.raw["put_aside"].replace_one, {"_id": row["_id"]}, copy, upsert=True))
    except (DocumentTooLarge, OperationFailure) as error:
        _log.warning("document_not_kept", job=row["_id"], error=cut(str(error), 200))
        return False
    return True
