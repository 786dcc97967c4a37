"""Writing a run's FIDELITY jobs: inserted if absent, like judge jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from beanie.odm.utils.dump import get_dict

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.fidelity import RunFidelity
from nightjar.jobs.fidelity_jobs import conversations_asked_for, insert_fidelity_jobs, readable_replies
from nightjar.jobs.fidelity_results import VERSION
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import JobKind
from nightjar.pipeline.fidelity.plan import (
    FidelityJobSpec,
    ReadJob,
    candidates_of,
    chosen,
    plan_fidelity,
    replies_of,
)

_READ = "sequence sequence_digest sequence_document repeat order chain tokens".split()
_log = structlog.get_logger()


async def write_fidelity_jobs(run: Run, database: Database) -> int:
    """Inserts the FIDELITY jobs that a run with a reference still lacks. Returns how many were written."""
    if run.fidelity is None:
        return 0
    names, asked = [model.name for model in run.models], run.fidelity
    replies = await readable_replies(run.id, replies_of(names, asked.reference), database)
    jobs = chosen(run.id, [ReadJob(id=row["_id"], **{name: row[name] for name in _READ}) for row in replies])
    now = await database.now()
    rows: list[dict[str, Any]] = []
    for model in candidates_of(names, asked.reference):
        covered = await conversations_asked_for(run.id, model, asked.reference, database)
        specs = plan_fidelity(run.id, jobs, model, asked.reference, covered)
        rows += [_row(run, asked, names, spec, run.jobs_total + len(rows) + at, now) for at, spec in enumerate(specs)]
    await insert_fidelity_jobs(rows, database)
    _log.info("fidelity_planned", run=run.id, name=run.name, jobs=len(rows), reference=asked.reference)
    return len(rows)


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
