"""Nightly runs: when a schedule ticks (pure), and firing it exactly once (compare-and-set).

A tick is first claimed on the schedule, then enqueued under the run name that the tick gives, then marked as fired. A
dispatcher that dies in between leaves the claim, and any other finishes it: the name makes the enqueuing repeatable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import structlog
from cronsim import CronSim, CronSimError
from pymongo.errors import DuplicateKeyError

from config.errors import NightjarError, RunConflictError, UsageError, suggest
from jobs.database import Database
from jobs.documents import Run
from jobs.nights import Schedule
from pipeline.preflight import check_models
from pipeline.producer import enqueue
from pipeline.request import make_request
from pipeline.suites.catalogue import take_suite
from pipeline.suites.content import NAME_PATTERN
from pipeline.suites.select import select

MAX_NAME = 60
"""Characters of a schedule's name; its runs' names are longer."""

_LOOK_BACK = timedelta(hours=26)
"""Longer than any day of any zone: around a change of the clock, ticks found backwards may differ from forwards."""
_log = structlog.get_logger()


def check_cron(cron: str, timezone: str) -> None:
    """Raises UsageError when the expression, the zone, or the two together give no tick."""
    if timezone not in available_timezones():
        raise UsageError(f"There is no time zone {timezone!r}. {suggest(timezone, available_timezones(), 'zone')}")
    if len(cron.split()) != 5:
        raise UsageError(f"{cron!r} is not a cron expression: give five fields, such as '0 2 * * *' for 2 at night.")
    try:
        CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise UsageError(f"{cron!r} is not a cron expression: {str(error).lower()}.") from None
    if next_tick(cron, timezone, datetime(2000, 1, 1, tzinfo=UTC)) is None:
        raise UsageError(f"{cron!r} never happens: no year has such a day.")


def next_tick(cron: str, timezone: str, after: datetime) -> datetime | None:
    """The first tick after a moment, in UTC; None where there is none within 50 years."""
    return next(_ticks(cron, timezone, after), None)


def newest_due(cron: str, timezone: str, last: datetime, now: datetime) -> datetime | None:
    """The newest tick after `last` and not after `now`, in UTC; older ones are passed over. None: nothing is due."""
    zone = ZoneInfo(timezone)
    back = next(CronSim(cron, (now - _LOOK_BACK).astimezone(zone), reverse=True), None)
    start = last if back is None else max(last, back.astimezone(UTC) - timedelta(seconds=1))
    newest = None
    for tick in _ticks(cron, timezone, start):
        if tick > now:
            break
        newest = tick
    return newest


def _ticks(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Ticks after a moment, oldest first, each once, in UTC.

    At a change of the clock the library may give a time that is past, or one time twice.
    """
    last = after
    for tick in CronSim(cron, after.astimezone(ZoneInfo(timezone))):
        if (moment := tick.astimezone(UTC)) > last:
            last = moment
            yield moment


def run_name(schedule: str, tick: datetime) -> str:
    """The name of the run of a tick; in UTC, so that a repeated local hour gives two names."""
    return f"{schedule}-{tick.astimezone(UTC):%Y-%m-%d-%H%MZ}"


async def add_schedule(name: str, cron: str, timezone: str, options: dict[str, Any], database: Database) -> Schedule:
    """Stores a schedule whose first tick lies ahead; `options` are those of the enqueue request.

    What enqueuing would refuse now is refused here: an unknown suite or model, a parameter out of its range.
    """
    if not re.fullmatch(NAME_PATTERN, name) or len(name) > MAX_NAME:
        raise UsageError(f"The name {name!r} is not allowed: letters, digits, '.', '_', '-', at most {MAX_NAME}.")
    check_cron(cron, timezone)
    request = make_request(**options)
    suite, _ = await take_suite(request.suite, database)
    await check_models(request, select(suite.sequences, request.only, request.limit), database)
    now = await database.now()
    schedule = Schedule(
        id=name,
        cron=cron,
        timezone=timezone,
        enqueue=request.model_dump(mode="json", exclude_defaults=True),
        last_tick=now,
        created_at=now,
    )
    try:
        await schedule.insert()
    except DuplicateKeyError:
        raise UsageError(
            f"There is a schedule {name!r} already. Remove it first: `nightjar schedule rm {name}`."
        ) from None
    return schedule


async def fire_due(database: Database, now: datetime | None = None) -> list[Run]:
    """Enqueues the newest due tick of every schedule; returns the runs that this call made."""
    moment = now or await database.now()
    runs = []
    for schedule in await Schedule.find({"enabled": True}).to_list():
        tick = schedule.claimed_tick or await _claim(schedule, moment, database)
        if tick is not None and (run := await _fire(schedule, tick, database)) is not None:
            runs.append(run)
    return runs


async def _claim(schedule: Schedule, now: datetime, database: Database) -> datetime | None:
    tick = newest_due(schedule.cron, schedule.timezone, schedule.last_tick, now)
    if tick is None:
        return None
    seen = {"_id": schedule.id, "last_tick": schedule.last_tick, "claimed_tick": None}
    won = await database.raw["schedules"].update_one(seen, {"$set": {"claimed_tick": tick}})
    return tick if won.matched_count else None


async def _fire(schedule: Schedule, tick: datetime, database: Database) -> Run | None:
    """Enqueues a claimed tick and marks it as fired. What cannot be enqueued is told on the schedule."""
    name = run_name(schedule.id, tick)
    error: str | None = None
    run: Run | None = None
    try:
        options = {**schedule.enqueue, "name": name, "schedule": schedule.id, "tick": tick}
        done = await enqueue(make_request(**options), database)
        run = done.run if done.created else None
    except RunConflictError:
        _log.info("tick_fired_before", schedule=schedule.id, run=name)
    except NightjarError as problem:
        if problem.transient:
            raise
        error = str(problem)
        _log.error("schedule_failed", schedule=schedule.id, tick=tick.isoformat(), error=error)
    fired = {"last_tick": tick, "claimed_tick": None, "last_error": error}
    if error is None:
        fired["last_run"] = name
        _log.info("schedule_fired", schedule=schedule.id, run=name, created=run is not None)
    await database.raw["schedules"].update_one({"_id": schedule.id, "claimed_tick": tick}, {"$set": fired})
    return run
