"""Transcripts of old nights go, their aggregates stay: which ones, and dropping them so that a kill does no harm.

A run's nights are those of its series: of its schedule, or of the name with `{date}` that it was given. Runs made by
hand are not nights and stay until they are removed. Baselines are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import structlog

from nightjar.config.night_settings import NightSettings
from nightjar.jobs.closers import Closer, Closers, Right, read_closers
from nightjar.jobs.documents import Run
from nightjar.jobs.hindered import hindered
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.nights.documents import Aggregates
from nightjar.jobs.reading import parse_each
from nightjar.jobs.runs.control import pinned_runs
from nightjar.jobs.runs.open_jobs import BATCH
from nightjar.jobs.search.vectors import drop_vectors
from nightjar.jobs.states import TERMINAL_RUNS
from nightjar.pipeline.collect.aggregates import VERSION, pack
from nightjar.pipeline.collect.collector import collect

MAX_BYTES = 15_000_000
"""Of aggregates: a document of MongoDB holds 16 MB."""
_TEXTS: Row = {"turns.0": {"$exists": True}}
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class StoredNight:
    """A run of a series, as retention sees it."""

    id: str
    name: str
    series: str
    created_at: datetime
    ended: bool
    dropped: bool
    """Nothing is left to drop."""
    closers: Closers | None = None


@dataclass(frozen=True, kw_only=True)
class OldNight:
    """A night whose transcripts go."""

    night: StoredNight
    bytes: int
    why: str


def expired(nights: Iterable[StoredNight], keep: Mapping[str, int | None], pinned: frozenset[str]) -> list[StoredNight]:
    """Nights that are not among the newest `keep[series]` of their series, oldest first. Pure.

    None keeps all of a series. Nights at work count and stay; so do pinned ones.
    """
    by_series: dict[str, list[StoredNight]] = {}
    for night in sorted(nights, key=lambda night: night.created_at, reverse=True):
        by_series.setdefault(night.series, []).append(night)
    old = [
        night
        for series, series_nights in by_series.items()
        if (limit := keep.get(series)) is not None
        for night in series_nights[limit:]
        if night.ended and not night.dropped and night.id not in pinned
    ]
    return sorted(old, key=lambda night: night.created_at)


async def plan_retention(
    database: Database, settings: NightSettings, *, keep_nights: int | None = None
) -> list[OldNight]:
    """What would be dropped now, with its size. `keep_nights`: for series whose schedule does not say."""
    nights = await _nights(database)
    default = keep_nights if keep_nights is not None else settings.keep_nights
    rows = database.raw["schedules"].find({}, {"keep_nights": 1})
    schedules = {row["_id"]: row.get("keep_nights") async for row in rows}
    keep = {night.series: _kept_nights(schedules.get(night.series), default) for night in nights}
    old = expired(nights, keep, await pinned_runs(database))
    return [
        OldNight(
            night=night,
            bytes=await _size(night.id, database),
            why=f"transcripts of {night.name}: not among the newest {keep[night.series]} of {night.series}",
        )
        for night in old
    ]


def _kept_nights(of_schedule: Any, default: int | None) -> int | None:
    """How many nights of a series are kept; None, which is all, where its schedule says what cannot be read."""
    if of_schedule is None:
        return default
    return of_schedule if isinstance(of_schedule, int) and of_schedule > 0 else None


async def drop_transcripts(run_id: str, database: Database) -> bool:
    """Stores a run's aggregates, then drops its transcripts and scores; False where it works again, or is too large.

    After a kill at any point, calling it again finishes it.
    """
    run = await Run.get(run_id)
    if run is None:
        return False
    if run.transcripts_dropped_at is None:
        data = pack(await collect(run.id, database))
        if len(data) > MAX_BYTES:
            _log.warning("aggregates_too_large", run=run.id, name=run.name, bytes=len(data))
            return False
        now = await database.now()
        kept = Aggregates(
            id=run.id, run_name=run.name, suite_name=run.suite_name, version=VERSION, data=data, stored_at=now
        )
        await kept.save()
        ended = {
            "_id": run.id,
            "status": {"$in": sorted(TERMINAL_RUNS)},
            "outcome.finished_at": run.outcome.finished_at,
        }
        dropped = await database.runs.update_one(ended, {"$set": {"transcripts_dropped_at": now}})
        if not dropped.matched_count:
            await database.raw["aggregates"].delete_one({"_id": run.id})
            return False
    await drop_vectors({"run": run.id}, database)
    await database.raw["indexed_runs"].delete_many({"run": run.id})
    await database.raw["scores"].delete_many({"run": run.id})
    await database.raw["facts"].delete_many({"run": run.id})
    query = {"run": run.id, **_TEXTS}
    while ids := [row["_id"] async for row in database.jobs.find(query, {"_id": 1}).limit(BATCH)]:
        await database.jobs.update_many({"_id": {"$in": ids}}, {"$set": {"turns": [], "attempts": []}})
    await database.raw["aggregates"].update_one({"_id": run.id}, {"$set": {"dropped": True}})
    _log.info("transcripts_dropped", run=run.id, name=run.name)
    return True


async def retain(database: Database, settings: NightSettings, *, closer: Closer | None = None) -> int:
    """Drops what settings and schedules say is old; returns the number of runs.

    A standby goes by its home's settings, and drops nights of that home alone.
    """
    dropped = 0
    for old in await plan_retention(database, settings):
        if closer is not None and closer.right(old.night.closers) is not Right.OWN:
            continue
        with hindered("transcripts_not_dropped", run=old.night.name):
            dropped += await drop_transcripts(old.night.id, database)
    return dropped


async def _nights(database: Database) -> list[StoredNight]:
    whole = {row["_id"] async for row in database.raw["aggregates"].find({"dropped": True}, {"_id": 1})}
    fields = dict.fromkeys(("name", "series", "created_at", "status", "closers"), 1)
    rows = database.runs.find({"series": {"$type": "string"}}, fields)
    return await parse_each("run", rows, partial(_night, whole=whole))


def _night(row: Mapping[str, Any], whole: set[str]) -> StoredNight:
    return StoredNight(
        id=row["_id"],
        name=row["name"],
        series=row["series"],
        created_at=row["created_at"],
        ended=row["status"] in TERMINAL_RUNS,
        dropped=row["_id"] in whole,
        closers=read_closers(row),
    )


async def _size(run_id: str, database: Database) -> int:
    """Bytes of the texts and scores of a run, before compression."""
    texts = {"$bsonSize": {"turns": "$turns", "attempts": "$attempts"}}
    sums = [({"run": run_id, **_TEXTS}, texts, "jobs"), ({"run": run_id}, {"$bsonSize": "$$ROOT"}, "scores")]
    total = 0
    for match, size, name in sums:
        stages: list[Row] = [{"$match": match}, {"$group": {"_id": None, "bytes": {"$sum": size}}}]
        async for row in await database.raw[name].aggregate(stages):
            total += row["bytes"]
    return total
