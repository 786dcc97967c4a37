"""The workers that MongoDB knows: what each does, which of them are alive, and how the dead ones died.

The only writer of the collections `workers` (the newest beat of each), `worker_records` (the last beat of those that
ended as they should) and `crashes` (processes that died). By age they go in `jobs.expiry`.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.machines.doing import Activity, Doing, read_doing
from nightjar.jobs.machines.worker_documents import CrashDocument
from nightjar.jobs.migrations import SCHEMA_VERSION
from nightjar.jobs.mongo import Database, Row, utc_now
from nightjar.jobs.states import WorkerStatus

LONGEST_BEAT_S = 5.0
"""A worker beats at least this often, whatever the settings say."""
ALIVE_S = 3 * LONGEST_BEAT_S
"""A worker that has been silent for longer is not alive. Three beats: one may be lost to a MongoDB that was away for a
moment. Still half a job's lease (30 s): a dead worker stops counting before its jobs come back to be queued."""
VANISHED_S = 60.0
"""A silent worker is called stalled at first, since it may come back (a stopped process, a cut network), then dead."""
LATELY_S = 600.0
"""Who enqueues for a model whose last worker was seen longer ago is told so."""
CRASHES_READ = 1_000


def worker_id(pid: int, started_ms: int) -> str:
    """`host:pid:start` of a worker process on this host."""
    return f"{socket.gethostname()}:{pid}:{started_ms}"


@dataclass(frozen=True, kw_only=True)
class WorkerAtWork:
    """What a worker says that it does."""

    doing: Doing
    tokens: int
    """Generated since it loaded its model."""


def status_now(said: WorkerStatus, silent_s: float) -> WorkerStatus:
    """What a worker is now, by the status in its last beat and how long ago that beat was."""
    if said in (WorkerStatus.FAILED, WorkerStatus.DEAD):
        return said
    if silent_s > VANISHED_S:
        return WorkerStatus.DEAD
    return WorkerStatus.STALLED if silent_s > ALIVE_S else said


def heard_of(within_s: float = ALIVE_S) -> Row:
    """A query for the workers whose last beat is recent, by default enough for them to be alive, on MongoDB's clock."""
    return {"$expr": {"$gte": ["$beat_at", {"$subtract": ["$$NOW", round(within_s * 1000)]}]}}


async def newer_workers(model: str, database: Database) -> list[str]:
    """Ids of this model's workers that are alive and of a newer version than this code."""
    alive = [status for status in WorkerStatus if status.alive]
    cursor = database.workers.find({"model": model, "state": {"$in": alive}, **heard_of()})
    return [row["_id"] async for row in cursor if _is_newer(row)]


def _is_newer(beat: Row) -> bool:
    theirs = (beat.get("schema_version") or 0, _numbers(beat.get("nightjar_version") or "0"))
    return theirs > (SCHEMA_VERSION, _numbers(NIGHTJAR_VERSION))


def _numbers(version: str) -> tuple[int, ...]:
    """A version's numbers, for comparing: "0.11.2" -> (0, 11, 2)."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


async def write_beat(worker: str, fields: Mapping[str, Any], database: Database) -> None:
    """Writes a worker's beat, timed by MongoDB's clock. `fields`: of `WorkerState`, without the times."""
    values: Row = {key: {"$literal": value} for key, value in fields.items()}
    values |= {"beat_at": "$$NOW", "started_at": {"$ifNull": ["$started_at", "$$NOW"]}}
    await database.workers.update_one({"_id": worker}, [{"$set": values}], upsert=True)


async def at_work(model: str, host: str, database: Database) -> list[WorkerAtWork]:
    """What the workers of a model on a host say of themselves, as far as they are alive; the newest first."""
    alive = [status for status in WorkerStatus if status.alive]
    query: Row = {"model": model, "host": host, "state": {"$in": alive}, **heard_of()}
    cursor = database.workers.find(query, {"doing": 1, "decode_tokens": 1}).sort("started_at", -1)
    return [
        WorkerAtWork(
            doing=read_doing(row.get("doing")) or Doing(task=Activity.STARTING),
            tokens=row.get("decode_tokens", 0),
        )
        async for row in cursor
    ]


async def sign_off(worker: str, database: Database) -> None:
    """Takes a worker off the list: it ended as it should. What it measured is kept for reports."""
    last = await database.workers.find_one_and_delete({"_id": worker})
    if last is not None:
        await database.worker_records.replace_one({"_id": worker}, last, upsert=True)


async def record_death(worker: str, reason: str, held: Sequence[str], stderr: str, database: Database) -> bool:
    """Records that a worker process died with these jobs in hand, and frees its leases. True if it was still loading.

    One that had signed off with nothing in hand had done its work: how its process ended then is no crash. `stderr` is
    stored as it is given: whoever calls has taken secrets out of it.
    """
    await database.leases.delete_many({"owner": worker})
    if not held and await database.worker_records.find_one({"_id": worker}, {"_id": 1}) is not None:
        return False
    ended = {"state": WorkerStatus.DEAD, "reason": reason, "slots_used": 0, "tokens_per_s": 0.0}
    last = await database.workers.find_one_and_update({"_id": worker}, {"$set": ended})
    crash = {"worker": worker, "reason": reason, "held": list(held), "stderr": stderr, "at": utc_now()}
    await database.raw["crashes"].insert_one(crash)
    return last is not None and last["state"] == WorkerStatus.LOADING


async def served_lately(models: Iterable[str], database: Database) -> set[str]:
    """Those of these models that a worker served, or loaded, within the last minutes."""
    served: Row = {"model": {"$in": list(models)}, "state": {"$nin": [WorkerStatus.FAILED, WorkerStatus.DEAD]}}
    query = served | heard_of(LATELY_S)
    seen: set[str] = set()
    for collection in (database.workers, database.worker_records):
        seen |= {row["model"] async for row in collection.find(query, {"model": 1})}
    return seen


async def last_reason(model: str, host: str, since: datetime, database: Database) -> str | None:
    """How the newest worker of a model on a host ended since then, or why it served nothing."""
    query: Row = {"model": model, "host": host, "reason": {"$ne": None}, "beat_at": {"$gte": since}}
    found: list[Row] = []
    for collection in (database.workers, database.worker_records):
        found += [row async for row in collection.find(query).sort("beat_at", -1).limit(1)]
    if not found:
        return None
    last = max(found, key=lambda row: row["beat_at"])
    return f"its worker {last['reason']}" if last["state"] == WorkerStatus.DEAD else str(last["reason"])


async def crashes_holding(job: str, workers: Iterable[str], database: Database) -> list[CrashDocument]:
    """The deaths of these workers with this job in hand, oldest first."""
    query: Row = {"worker": {"$in": list(workers)}, "held": job}
    return [CrashDocument.model_validate(row) async for row in database.raw["crashes"].find(query).sort("at", 1)]


async def recent_crashes(within_s: int, database: Database) -> list[CrashDocument]:
    """The deaths of the last `within_s` seconds, newest first, without what the processes wrote."""
    recent = {"$expr": {"$gt": ["$at", {"$subtract": ["$$NOW", within_s * 1000]}]}}
    cursor = database.raw["crashes"].find(recent, {"stderr": 0}).sort("at", -1).limit(CRASHES_READ)
    return [CrashDocument.model_validate(row) async for row in cursor]


async def last_beats(workers: Iterable[str], database: Database) -> dict[str, Row]:
    """The newest beat of each of these workers, whether it still runs or has ended, as it is stored."""
    wanted: Row = {"_id": {"$in": sorted(workers)}}
    ended = {row["_id"]: row async for row in database.worker_records.find(wanted)}
    return ended | {row["_id"]: row async for row in database.workers.find(wanted)}
