"""FIDELITY jobs in the database: which conversations there are to read, which are read, what was found."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.jobs.fidelity_results import VERSION
from nightjar.jobs.mongo import Database, Row, insert_absent
from nightjar.jobs.states import JobKind, JobStatus

_REPLY_IDS = {"$ifNull": [{"$first": "$$turn.draws.reply_ids"}, []]}
_TOKENS = {"$sum": {"$map": {"input": "$turns", "as": "turn", "in": {"$size": _REPLY_IDS}}}}
_FIELDS = dict.fromkeys("sequence sequence_digest sequence_document repeat order".split(), 1)
_FOUND = dict.fromkeys("model status reason payload.result".split(), 1)


async def readable_replies(run: str, model: str, database: Database) -> list[Row]:
    """DONE reply jobs of a model in the run's order, each with its last turn's `chain` and how many `tokens` its
    replies have; those without any are left out."""
    match = {"run": run, "kind": JobKind.REPLY, "status": JobStatus.DONE, "model": model}
    fields = {**_FIELDS, "tokens": _TOKENS, "chain": {"$last": "$turns.chain"}}
    rows = await database.jobs.aggregate([{"$match": match}, {"$sort": {"order": 1}}, {"$project": fields}])
    return [row async for row in rows if row["tokens"]]


async def conversations_asked_for(run: str, model: str, reference: str, database: Database) -> set[str]:
    """Ids of the reply jobs that a FIDELITY job of this candidate reads, or has read."""
    query = _query(run, reference) | {"model": model}
    return {job async for row in database.jobs.find(query, {"payload.jobs": 1}) for job in row["payload"]["jobs"]}


async def insert_fidelity_jobs(rows: Sequence[Row], database: Database) -> None:
    """Those that are not there yet."""
    await insert_absent(database.jobs, list(rows))


async def fidelity_job_rows(run: str, reference: str, database: Database) -> list[Row]:
    """Model, status, reason and result of a run's FIDELITY jobs, in their order."""
    return [row async for row in database.jobs.find(_query(run, reference), _FOUND).sort("order", 1)]


def _query(run: str, reference: str) -> Row:
    return {"run": run, "kind": JobKind.FIDELITY, "payload.reference": reference, "payload.version": VERSION}
