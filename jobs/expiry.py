"""What is kept for a while only: crashes, calls that were made, workers that are gone, leases that lapsed.

It goes by age, whatever wrote it. What workers measured stays as long as a run they may have worked for: a report that
is made again says the same.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.nights.documents import DeliveryState
from nightjar.jobs.states import EVALUATIONS

LEASE_DAYS = 7
"""Leases that nobody took since are kept so long; who held them is of interest for no longer."""
VANISHED_DAYS = 1
"""A worker that has been silent for so long does not come back: its row becomes a record."""
_DAY_MS = 86_400_000
_ENDED_CALLS = [DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.UNSURE]


async def drop_old(keep_days: int, database: Database) -> int:
    """Drops what is older than it is kept; returns the number of documents."""
    await _record_vanished(database)
    old = await _old(keep_days, database)
    return sum([(await database.raw[name].delete_many(query)).deleted_count for name, query in old.items()])


async def count_old(keep_days: int, database: Database) -> int:
    """How many documents `drop_old` would drop now."""
    old = await _old(keep_days, database)
    return sum([await database.raw[name].count_documents(query) for name, query in old.items()])


async def _old(keep_days: int, database: Database) -> dict[str, Row]:
    """Collection -> a query for what goes."""
    ended_at = {"$ifNull": ["$finished_at", "$created_at"]}
    return {
        "crashes": _before("$at", keep_days),
        "deliveries": {"state": {"$in": _ENDED_CALLS}, **_before(ended_at, keep_days)},
        "leases": {"until": {"$type": "date"}, **_before("$until", LEASE_DAYS)},
        "worker_records": {"_id": {"$in": await _unneeded_workers(keep_days, database)}},
    }


def _before(moment: Any, days: int) -> Row:
    return {"$expr": {"$lt": [moment, {"$subtract": ["$$NOW", days * _DAY_MS]}]}}


async def _record_vanished(database: Database) -> None:
    """Makes records of the workers that died or vanished without a word, as of those that ended well."""
    async for row in database.workers.find(_before("$beat_at", VANISHED_DAYS)):
        await database.worker_records.replace_one({"_id": row["_id"]}, row, upsert=True)
        await database.workers.delete_one({"_id": row["_id"], "beat_at": row["beat_at"]})


async def _unneeded_workers(keep_days: int, database: Database) -> list[str]:
    """Ids of old records of workers that lived at no time at which a run was worked on whose transcripts are there."""
    old = _before("$beat_at", keep_days)
    records = await database.worker_records.find(old, {"started_at": 1, "beat_at": 1}).to_list()
    if not records:
        return []
    fields = {"created_at": 1, "outcome.finished_at": 1}
    runs = await database.runs.find({"transcripts_dropped_at": None, **EVALUATIONS}, fields).to_list()
    never = datetime.max.replace(tzinfo=UTC)
    spans = [(run["created_at"], (run.get("outcome") or {}).get("finished_at") or never) for run in runs]
    return [
        record["_id"]
        for record in records
        if not any(begun <= record["beat_at"] and ended >= record["started_at"] for begun, ended in spans)
    ]
