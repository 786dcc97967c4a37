"""Writing a run's FIDELITY jobs: inserted if absent, like judge jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from beanie.odm.utils.dump import get_dict

from nightjar.jobs.database import Database, insert_absent
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.fidelity import RunFidelity
from nightjar.jobs.fidelity_results import VERSION
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.pipeline.fidelity.plan import (
    FidelityJobSpec,
    ReadJob,
    candidates_of,
    chosen,
    plan_fidelity,
    replies_of,
)

_REPLY_IDS = {"$ifNull": [{"$first": "$$turn.draws.reply_ids"}, []]}
_TOKENS = {"$sum": {"$map": {"input": "$turns", "as": "turn", "in": {"$size": _REPLY_IDS}}}}
_FIELDS = dict.fromkeys("sequence sequence_digest sequence_document repeat order".split(), 1)
_log = structlog.get_logger()


async def write_fidelity_jobs(run: Run, database: Database) -> int:
    """Inserts the FIDELITY jobs that a run with a reference still lacks. Returns how many were written."""
    if run.fidelity is None:
        return 0
    names, asked = [model.name for model in run.models], run.fidelity
    jobs = chosen(run.id, await _finished(run, replies_of(names, asked.reference), database))
    now = await database.now()
    rows: list[dict[str, Any]] = []
    for model in candidates_of(names, asked.reference):
        covered = await _covered(run, model, asked.reference, database)
        specs = plan_fidelity(run.id, jobs, model, asked.reference, covered)
        rows += [_row(run, asked, names, spec, run.jobs_total + len(rows) + at, now) for at, spec in enumerate(specs)]
    await insert_absent(database.jobs, rows)
    _log.info("fidelity_planned", run=run.id, name=run.name, jobs=len(rows), reference=asked.reference)
    return len(rows)


async def _finished(run: Run, model: str, database: Database) -> Sequence[ReadJob]:
    """DONE reply jobs with what they generated, in the run's order."""
    match = {"run": run.id, "kind": JobKind.REPLY, "status": JobStatus.DONE, "model": model}
    fields = {**_FIELDS, "tokens": _TOKENS, "chain": {"$last": "$turns.chain"}}
    rows = await database.jobs.aggregate([{"$match": match}, {"$sort": {"order": 1}}, {"$project": fields}])
    return [_read_job(row) async for row in rows if row["tokens"]]


def _read_job(row: Mapping[str, Any]) -> ReadJob:
    return ReadJob(id=row["_id"], **{name: row[name] for name in (*_FIELDS, "chain", "tokens")})


async def _covered(run: Run, model: str, reference: str, database: Database) -> set[str]:
    query = {"run": run.id, "kind": JobKind.FIDELITY, "model": model, "payload.reference": reference}
    found = database.jobs.find({**query, "payload.version": VERSION}, {"payload.jobs": 1})
    return {job async for row in found for job in row["payload"]["jobs"]}


def _row(
    run: Run, asked: RunFidelity, models: Sequence[str], spec: FidelityJobSpec, order: int, now: datetime
) -> dict[str, Any]:
    first = spec.jobs[0]
    job = Job(
        id=spec.id,
        run=run.id,
        kind=JobKind.FIDELITY,
        model=spec.model,
        sequence=first.sequence,
        sequence_digest=first.sequence_digest,
        sequence_document=first.sequence_document,
        repeat=first.repeat,
        order=order,
        priority=run.priority,
        due_at=now,
        turns_total=1,
        created_at=now,
        payload={
            "version": VERSION,
            "reference": asked.reference,
            "replies_of": replies_of(models, asked.reference),
            "jobs": [each.id for each in spec.jobs],
        },
    )
    row: dict[str, Any] = get_dict(job, to_db=True)
    return row
