"""What a person does to a schedule that is there: pauses and resumes it, edits it, runs it now, removes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.closers import Closers
from nightjar.jobs.mongo import Database, Row, utc_now
from nightjar.jobs.nights.documents import Schedule
from nightjar.jobs.nights.schedule_changes import change_seen, switch_schedule
from nightjar.jobs.search.text_embedder import EmbedderOpener
from nightjar.pipeline.nights.schedules import check_request
from nightjar.pipeline.nights.ticks import check_cron
from nightjar.pipeline.runs.preflight import Enforceable
from nightjar.pipeline.runs.producer import Enqueued, enqueue
from nightjar.pipeline.runs.request import EnqueueRequest, make_request


async def find_schedule(name: str) -> Schedule:
    """Raises UnknownNameError with the nearest names."""
    schedule = await Schedule.get(name)
    if schedule is None:
        raise UnknownNameError("schedule", name, [other.id for other in await Schedule.find_all().to_list()])
    return schedule


async def pause_schedule(name: str, database: Database) -> bool:
    """From now on it makes no run; one that works goes on. False where it was paused already."""
    return await _switch(name, False, {}, database)


async def resume_schedule(name: str, database: Database) -> bool:
    """Ticks that came while it was paused are not missed ones: the first tick ahead is its next."""
    fresh: Row = {"last_tick": await database.now(), "claimed_tick": None, "waiting_for": None}
    return await _switch(name, True, fresh, database)


async def remove_schedule(name: str) -> None:
    """It makes no run any more; those that it made stay. Raises UnknownNameError."""
    await (await find_schedule(name)).delete()


async def _switch(name: str, enabled: bool, changes: Row, database: Database) -> bool:
    await find_schedule(name)
    return await switch_schedule(name, database, enabled=enabled, changes=changes)


async def edit_schedule(
    name: str,
    fields: Mapping[str, Any],
    options: Mapping[str, Any],
    database: Database,
    *,
    reset: Collection[str] = (),
    enforceable: Enforceable | None = None,
    embedder: EmbedderOpener | None = None,
) -> Schedule:
    """Changes what its next runs are; those that are there stay as they are.

    `fields`: of the schedule itself (cron, timezone, overlap, ...). `options`: of enqueuing, each in the place of what
    was there; those in `reset` get their default back. Refused is what adding such a schedule would be. Raises
    UsageError, UnknownNameError.
    """
    schedule = await find_schedule(name)
    kept = {key: value for key, value in schedule.enqueue.items() if key not in reset}
    timezone = fields.get("timezone", schedule.timezone)
    request = make_request(**{**kept, **options, "timezone": timezone})
    check_cron(fields.get("cron", schedule.cron), timezone)
    now = await database.now()
    await check_request(request, now, database, enforceable, embedder)
    changes: Row = {**fields, "enqueue": request.model_dump(mode="json", exclude_defaults=True)}
    if {"cron", "timezone"} & fields.keys():
        changes["last_tick"] = now  # no tick of the new clock is one that was missed
    seen: Row = {"enqueue": schedule.enqueue, "cron": schedule.cron}
    if not await change_seen(name, seen, changes, database):
        raise UsageError(f"Schedule {name!r} was changed by somebody else meanwhile. Give the command again.")
    return await find_schedule(name)


async def run_schedule(
    name: str,
    database: Database,
    *,
    closers: Closers | None = None,
    known_models: tuple[str, ...] = (),
    embedder: EmbedderOpener | None = None,
) -> Enqueued:
    """Enqueues now what its next night would be, as a run by hand: no tick of the clock, and no night of its series."""
    schedule = await find_schedule(name)
    request: EnqueueRequest = make_request(
        **{**schedule.enqueue, "name": hand_name(name, utc_now()), "known_models": known_models}
    )
    return await enqueue(request, database, closers=closers, embedder=embedder)


def hand_name(schedule: str, now: datetime) -> str:
    """The name of a run of a schedule that somebody made by hand."""
    return f"{schedule}-by-hand-{now.astimezone(UTC):%Y-%m-%d-%H%M%SZ}"
