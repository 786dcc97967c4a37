"""The hidden runs of live requests: where a request becomes a job, who may see it, and when it goes.

Every job has a run, from which claims, parameters and seeds come. Live jobs have one a user, day and model file; no
list, night, export or statistic knows it (`states.EVALUATIONS`). A job, its sequence and its messages are removed
together, some time after the end. Only its user sees, cancels or replays it.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from beanie.odm.utils.dump import get_dict

from nightjar.config.errors import UnknownNameError
from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.backlog import OPEN
from nightjar.jobs.documents import Job, Run, RunModel
from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.identity import MOST_SEED, digest
from nightjar.jobs.live.task import LiveTask
from nightjar.jobs.live_request import LiveAsk, LiveRequest, live_sequence
from nightjar.jobs.models import ModelFacts, ModelSource
from nightjar.jobs.mongo import Database, DuplicateKeyError, Row, insert_absent, quick, utc_now
from nightjar.jobs.ownership import close_attempt
from nightjar.jobs.patience import patiently
from nightjar.jobs.records import AttemptEnd
from nightjar.jobs.search.vectors import drop_vectors
from nightjar.jobs.sequences import sequence_key
from nightjar.jobs.states import TERMINAL_JOBS, JobKind, JobStatus, RunKind, RunStatus

LIVE_PRIORITY = 1000
MISSED_S = 0.5
"""A job that waits longer than this was not heard of by Redis."""
PATIENCE_S = 5.0
"""How long a MongoDB that is away is waited for while somebody waits."""
LIVE: Row = {"live.user": {"$exists": True}}
"""A query for live jobs, answered from their own index."""
FORGOTTEN_S = 60.0
UNREAD_S = 60.0
"""Texts that are not to be stored go so long after the end at the latest, whether or not they were fetched."""
BATCH = 500
_NO_SUITE = "live"


@dataclass(frozen=True, kw_only=True)
class LiveJob:
    """A request that is stored and waits."""

    id: str
    run: str
    model: str
    fence: int
    seed: int
    store: bool = True
    remote: bool = False
    """An endpoint is asked for it, which may cost something."""


def live_run(user: str, model: str, facts: ModelFacts, day: str) -> Run:
    """One user's run of that day for that file of the model."""
    now = utc_now()
    identity = digest("live", user, model, facts.digest, day)
    return Run(
        id=identity,
        name=f"live:{day}:{model}:{identity[:12]}",  # a colon: nobody can call a run of his so
        kind=RunKind.LIVE,
        user=user,
        status=RunStatus.ACTIVE,
        suite=_NO_SUITE,
        suite_name=_NO_SUITE,
        suite_version=0,
        sequences=[],
        models=[RunModel(name=model, digest=facts.digest)],
        repeats=1,
        seed=0,
        date=day,
        priority=LIVE_PRIORITY,
        max_crashes=1,  # whoever waits is told; nothing is tried again that may crash a worker of others
        nightjar_version=NIGHTJAR_VERSION,
        content=identity,
        created_at=now,
    )


def new_live_id() -> str:
    """Of a job that is live."""
    return uuid.uuid4().hex


async def insert_live(ask: LiveAsk, facts: ModelFacts, database: Database, identity: str | None = None) -> LiveJob:
    """Stores the request: its run where it is the first, its sequence, and then the job, timed by MongoDB's clock.

    Raises UsageError for a conversation or a parameter that cannot be used, ServiceError where MongoDB is away.
    """
    identity = identity or new_live_id()
    sequence = live_sequence(ask, identity)
    seed = random.randint(0, MOST_SEED) if ask.seed is None else ask.seed  # noqa: S311
    live = LiveRequest(user=ask.user, seed=seed, store=ask.store, request=ask.request)
    document = {"_id": sequence_key(sequence), "sequence": sequence.model_dump(mode="json")}
    return await _insert_job(
        identity,
        ask.model,
        facts,
        live,
        document,
        database,
        sequence_digest=sequence.digest,
        sequence_document=document["_id"],
    )


async def insert_task(task: LiveTask, facts: ModelFacts, database: Database, identity: str | None = None) -> LiveJob:
    """Stores a task as an ASSIST job, which has no sequence; its texts go when the result has been handed out.

    Raises ServiceError where MongoDB is away.
    """
    return await _insert_job(
        identity or new_live_id(),
        task.model,
        facts,
        LiveRequest(user=task.user, seed=0, store=False, request=task.request),
        None,
        database,
        kind=JobKind.ASSIST,
        sequence_digest="",
        sequence_document="",
        payload={"task": task.kind, "given": dict(task.given)},
    )


async def _insert_job(
    identity: str,
    model: str,
    facts: ModelFacts,
    live: LiveRequest,
    sequence: Row | None,
    database: Database,
    **fields: Any,
) -> LiveJob:
    """Stores the job of a request or a task, with what it needs. `fields`: what only one of the two has."""
    run = live_run(live.user, model, facts, f"{datetime.now(UTC):%Y-%m-%d}")
    now = utc_now()
    job = Job(
        id=identity,
        run=run.id,
        model=model,
        sequence=identity,
        repeat=0,
        order=0,
        priority=LIVE_PRIORITY,
        due_at=now,
        turns_total=1,
        created_at=now,
        live=live,
        **fields,
    )
    await patiently(lambda: _insert(run, sequence, job, database), patience_s=PATIENCE_S)
    return LiveJob(
        id=job.id,
        run=run.id,
        model=model,
        fence=0,
        seed=live.seed,
        store=live.store,
        remote=facts.source is ModelSource.REMOTE,
    )


async def _insert(run: Run, sequence: Row | None, job: Job, database: Database) -> None:
    """Safe to repeat after an answer that was lost: a job that is there, and perhaps claimed, is left as it is."""
    # Neither waits for the disk: the job's write, which does, comes behind them in the same journal.
    await insert_absent(quick(database.runs), [_stored(run)])
    if sequence is not None:
        await insert_absent(quick(database.raw["sequences"]), [sequence])
    values = {key: {"$literal": value} for key, value in _stored(job).items() if key != "_id"}
    timed = values | {"created_at": "$$NOW", "due_at": "$$NOW"}
    with suppress(DuplicateKeyError):
        absent: Row = {"_id": job.id, "fence": {"$exists": False}}
        await database.jobs.update_one(absent, [{"$set": timed}], upsert=True)


def _stored(document: Any) -> Row:
    """A document as MongoDB holds it."""
    row: Row = get_dict(document, to_db=True)
    return {"_id": document.id} | {name: value for name, value in row.items() if name != "id"}


async def waiting_live(model: str, limit: int, database: Database) -> list[tuple[str, str, int]]:
    """(run, id, fence) of the live jobs of a model that could have started a moment ago: for when Redis has lost what
    rang for them.
    """
    moment = {"$subtract": ["$$NOW", round(MISSED_S * 1000)]}
    query: Row = {"model": model, "status": JobStatus.PENDING, **LIVE, "suspect": False}
    query |= {"$expr": {"$lte": ["$due_at", moment]}}
    cursor = database.jobs.find(query, {"run": 1, "fence": 1}).hint("live").limit(limit)
    return [(row["run"], row["_id"], row["fence"]) async for row in cursor]


async def not_ended(jobs: Collection[str], database: Database) -> set[str]:
    """Those of the jobs that wait or are worked at."""
    query = {"_id": {"$in": list(jobs)}, "status": {"$nin": sorted(TERMINAL_JOBS)}}
    return {row["_id"] async for row in database.jobs.find(query, {"_id": 1})}


async def count_open(database: Database, *, model: str | None = None, user: str | None = None) -> int:
    """Live jobs that wait or are replied to, of a model or of a user."""
    query: Row = LIVE | {"status": {"$in": OPEN}} | ({} if model is None else {"model": model})
    query |= {} if user is None else {"live.user": user}
    return await database.jobs.count_documents(query, hint="live")


async def find_live(job: str, user: str, database: Database) -> Job:
    """A user's own live job. Raises UnknownNameError, as for one that never was, where it is another's."""
    found = await Job.find_one({"_id": job, "live.user": user})
    if found is None:
        raise UnknownNameError("live request", job, (), "It may have been removed: they are kept for a while only.")
    return found


async def cancel_live(job: str, why: str, database: Database, *, user: str | None = None) -> bool:
    """Ends a live job that has not ended yet; False where there is none to end. `user`: only a job of that user's."""
    query: Row = {"_id": job, "status": {"$in": OPEN}, **(LIVE if user is None else {"live.user": user})}
    done = (await database.jobs.update_one(query, _cancelled(why))).matched_count == 1
    if done:
        database.events.say(Moved(kind=EventKind.JOB, job=job))
    return done


async def cancel_forgotten_live(wait_s: float, database: Database) -> int:
    """Ends the live jobs that nobody took for far longer than anybody waits: who asked has gone without a word."""
    past = {"$subtract": ["$$NOW", round((2 * wait_s + FORGOTTEN_S) * 1000)]}
    query: Row = {"status": JobStatus.PENDING, **LIVE, "$expr": {"$lt": ["$due_at", past]}}
    return (
        await database.jobs.update_many(query, _cancelled("nobody took it, and nobody waits for it"))
    ).modified_count


def _cancelled(why: str) -> list[Row]:
    ended: Row = {
        "status": JobStatus.CANCELLED,
        "reason": {"$literal": why},
        "finished_at": "$$NOW",
        "fence": {"$add": ["$fence", 1]},
        "owner": None,
        "lease_until": None,
        "attempts": close_attempt(AttemptEnd.RELEASED, why),
    }
    return [{"$set": ended}]


async def refuse_live(job: Job, tokens: int, context: int, database: Database) -> None:
    """Notes the numbers of a prompt that does not fit; the job's failure follows."""
    numbers = {"tokens": tokens, "context": context}
    await database.jobs.update_one({"_id": job.id, "fence": job.fence}, {"$set": {"live.refused": numbers}})


async def drop_texts(job: Job, database: Database) -> None:
    """Takes the texts away of a job that has ended and is not to be stored."""
    await database.raw["sequences"].delete_one({"_id": job.sequence_document})
    await database.jobs.update_one(
        {"_id": job.id}, {"$set": {"turns": [], "reason": None, "attempts": [], "payload": None}}
    )


async def remove_ended_live(keep_s: float, database: Database) -> int:
    """Removes the live jobs that ended long enough ago, with their sequences, and runs of former days without jobs.

    Returns how many jobs. The sequence goes first: a job that is still there leads to it again.
    """
    removed = 0
    for query in (_ended_for(keep_s), _ended_for(min(keep_s, UNREAD_S)) | {"live.store": False}):
        while rows := await database.jobs.find(query, {"sequence_document": 1}).limit(BATCH).to_list():
            jobs = [row["_id"] for row in rows]
            await database.raw["sequences"].delete_many({"_id": {"$in": [row["sequence_document"] for row in rows]}})
            await drop_vectors({"job": {"$in": jobs}}, database)
            gone = await database.jobs.delete_many({"_id": {"$in": jobs}})
            await drop_vectors({"job": {"$in": jobs}}, database)  # what a search embedded in between
            removed += gone.deleted_count
    await _remove_empty_runs(database)
    return removed


def _ended_for(seconds: float) -> Row:
    past = {"$subtract": ["$$NOW", round(seconds * 1000)]}
    ended: Row = {"status": {"$in": sorted(TERMINAL_JOBS)}, "finished_at": {"$type": "date"}}
    return LIVE | ended | {"$expr": {"$lte": ["$finished_at", past]}}


async def _remove_empty_runs(database: Database) -> None:
    """Of days before yesterday: those of today, and about midnight of yesterday, may get a job at any moment."""
    old: Row = {"kind": RunKind.LIVE, "date": {"$lt": f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"}}
    async for run in database.runs.find(old, {"_id": 1}):
        if await database.jobs.find_one({"run": run["_id"]}, {"_id": 1}) is None:
            await database.runs.delete_one({"_id": run["_id"]})
