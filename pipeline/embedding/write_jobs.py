"""Writing a run's EMBED jobs, and reading their results. Inserted if absent, like judge jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import structlog
from beanie.odm.utils.dump import get_dict

from nightjar.jobs.documents import Job, Run, SequenceDocument
from nightjar.jobs.mongo import Database, insert_absent
from nightjar.jobs.records import Similarity
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.pipeline.embedding.plan import VERSION, EmbeddedJob, EmbedJobSpec, plan_embedding
from nightjar.pipeline.embedding.similarities import Similarities

BATCH_JOBS = 500
_FIELDS = dict.fromkeys("sequence sequence_digest sequence_document repeat tags turns.chain".split(), 1)
_log = structlog.get_logger()


async def write_embedding(run: Run, database: Database) -> int:
    """Inserts the EMBED jobs that a run with an embedding model still lacks. Returns how many there are in all."""
    if run.embed_model is None:
        return 0
    now = await database.now()
    planned = 0
    async for batch in _finished(run, database):
        specs = list(plan_embedding(run.id, batch, run.embed_model))
        rows = [_row(run, spec, run.jobs_total + planned + number, now) for number, spec in enumerate(specs)]
        await insert_absent(database.jobs, rows)
        planned += len(specs)
    _log.info("embedding_planned", run=run.id, name=run.name, jobs=planned, model=run.embed_model)
    return planned


async def read_similarities(run: Run, database: Database) -> Similarities:
    """The results of the run's EMBED jobs; empty for a run without an embedding model."""
    if run.embed_model is None:
        return Similarities()
    similarities: dict[str, dict[int, Similarity]] = {}
    missing: dict[str, str] = {}
    digests: set[str] = set()
    query = {"run": run.id, "kind": JobKind.EMBED, "model": run.embed_model, "payload.version": VERSION}
    async for raw in database.jobs.find(query, dict.fromkeys(("status", "reason", "payload"), 1)):
        about, result = raw["payload"]["job"], raw["payload"].get("result")
        if raw["status"] == JobStatus.DONE and result is not None:
            digests.add(result["model_digest"])
            similarities[about] = {row["turn"]: Similarity.model_validate(row) for row in result["similarities"]}
        else:
            missing[about] = f"embed job is {raw['status']}: {raw.get('reason') or 'not finished'}"
    return Similarities(model=run.embed_model, files=tuple(sorted(digests)), found=similarities, missing=missing)


async def _finished(run: Run, database: Database) -> AsyncIterator[list[tuple[EmbeddedJob, PromptSequence]]]:
    """DONE reply jobs with their sequences, in the run's order, in batches."""
    query = {"run": run.id, "kind": JobKind.REPLY, "status": JobStatus.DONE}
    cursor = database.jobs.find(query, _FIELDS).sort("order", 1)
    sequences: dict[str, PromptSequence] = {}
    while raws := await cursor.to_list(BATCH_JOBS):
        absent = {raw["sequence_document"] for raw in raws} - sequences.keys()
        async for document in SequenceDocument.find({"_id": {"$in": sorted(absent)}}):
            sequences[document.id] = document.sequence
        yield [(_about(raw), sequences[raw["sequence_document"]]) for raw in raws if raw["turns"]]


def _about(raw: Mapping[str, Any]) -> EmbeddedJob:
    return EmbeddedJob(
        id=raw["_id"],
        sequence=raw["sequence"],
        sequence_digest=raw["sequence_digest"],
        sequence_document=raw["sequence_document"],
        repeat=raw["repeat"],
        tags=tuple(raw["tags"]),
        chain=raw["turns"][-1]["chain"],
    )


def _row(run: Run, spec: EmbedJobSpec, order: int, now: datetime) -> dict[str, Any]:
    about = spec.about
    job = Job(
        id=spec.id,
        run=run.id,
        kind=JobKind.EMBED,
        model=spec.model,
        sequence=about.sequence,
        sequence_digest=about.sequence_digest,
        sequence_document=about.sequence_document,
        repeat=about.repeat,
        tags=about.tags,
        order=order,
        priority=run.priority,
        due_at=now,
        turns_total=1,
        created_at=now,
        payload={"job": about.id, "version": VERSION},
    )
    row: dict[str, Any] = get_dict(job, to_db=True)
    return row
