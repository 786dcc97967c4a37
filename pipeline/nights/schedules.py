"""Nightly runs: each tick of a schedule makes one run, whichever dispatcher dies in between.

A tick is first claimed on the schedule (compare-and-set), then enqueued under the run name that the tick gives, then
marked as fired. A dispatcher that dies in between leaves the claim, and any other finishes it: the name makes the
enqueuing repeatable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from nightjar.config.errors import RunConflictError, UsageError
from nightjar.jobs.closers import HOME_FIRST_S, Closer, Closers, Right
from nightjar.jobs.documents import Run
from nightjar.jobs.hindered import hindered, in_words
from nightjar.jobs.mongo import Database, DuplicateKeyError
from nightjar.jobs.nights.documents import Schedule
from nightjar.jobs.reading import read_each
from nightjar.jobs.runs import control
from nightjar.jobs.search.text_embedder import EmbedderOpener
from nightjar.jobs.states import TERMINAL_RUNS
from nightjar.pipeline.nights.ticks import Rules, TickStep, check_cron, decide_tick, newest_due, run_name
from nightjar.pipeline.runs.freeze import freeze_ending
from nightjar.pipeline.runs.preflight import Enforceable
from nightjar.pipeline.runs.producer import enqueue, plan_run
from nightjar.pipeline.runs.request import EnqueueRequest, make_request
from nightjar.pipeline.suites.content import NAME_PATTERN

MAX_NAME = 60
"""Characters of a schedule's name; its runs' names are longer."""
_log = structlog.get_logger()


async def add_schedule(
    name: str,
    cron: str,
    timezone: str,
    options: dict[str, Any],
    database: Database,
    *,
    rules: Rules | None = None,
    enforceable: Enforceable | None = None,
    embedder: EmbedderOpener | None = None,
    closers: Closers | None = None,
) -> Schedule:
    """Stores a schedule whose first tick lies ahead; `options`, `enforceable` and `embedder` are those of enqueuing.

    `closers`: who may fire it, besides dispatchers, and close its runs.
    What enqueuing would refuse now is refused here: an unknown suite, model or metric, a parameter out of its range.
    """
    if not re.fullmatch(NAME_PATTERN, name) or len(name) > MAX_NAME:
        raise UsageError(f"The name {name!r} is not allowed: letters, digits, '.', '_', '-', at most {MAX_NAME}.")
    check_cron(cron, timezone)
    request = make_request(**options, timezone=timezone)
    now = await database.now()
    await check_request(request, now, database, enforceable, embedder)
    kept = rules or Rules()
    schedule = Schedule(
        id=name,
        cron=cron,
        timezone=timezone,
        enqueue=request.model_dump(mode="json", exclude_defaults=True),
        last_tick=now,
        overlap=kept.overlap,
        missed=kept.missed,
        grace_s=kept.grace_s,
        keep_nights=kept.keep_nights,
        closers=closers,
        created_at=now,
    )
    try:
        await schedule.insert()
    except DuplicateKeyError:
        raise UsageError(
            f"There is a schedule {name!r} already. Remove it first: `nightjar schedule rm {name}`."
        ) from None
    return schedule


async def check_request(
    request: EnqueueRequest,
    now: datetime,
    database: Database,
    enforceable: Enforceable | None,
    embedder: EmbedderOpener | None,
) -> None:
    """Refuses what enqueuing would refuse now. Raises UsageError, UnknownNameError, ParameterError."""
    await plan_run(request, database, now, enforceable=enforceable, embedder=embedder)


async def fire_due(
    database: Database,
    now: datetime | None = None,
    *,
    closer: Closer | None = None,
    embedder: EmbedderOpener | None = None,
) -> list[Run]:
    """Handles the due tick of every schedule that `closer` may fire; returns the runs that this call made. `embedder`:
    that of enqueuing.
    """
    moment = now or await database.now()
    runs = []
    for schedule in await read_each(Schedule, {"enabled": True}, database):
        right = Right.OWN if closer is None else closer.right(schedule.closers)
        if right is Right.NONE:
            continue
        seen = moment if right is Right.OWN else moment - timedelta(seconds=HOME_FIRST_S)
        with hindered("schedule_hindered", schedule=schedule.id):
            tick = schedule.claimed_tick or await _claim(schedule, seen, database)
            closers = schedule.closers or (None if closer is None else closer.here)
            if tick is None:
                continue
            firing = Firing(schedule=schedule, tick=tick, closers=closers, embedder=embedder)
            if (run := await _take(firing, moment, database)) is not None:
                runs.append(run)
    return runs


async def _claim(schedule: Schedule, now: datetime, database: Database) -> datetime | None:
    tick = newest_due(schedule.cron, schedule.timezone, schedule.last_tick, now)
    if tick is None:
        return None
    seen = {"_id": schedule.id, "last_tick": schedule.last_tick, "claimed_tick": None, "enabled": True}
    won = await database.raw["schedules"].update_one(seen, {"$set": {"claimed_tick": tick, "waiting_for": None}})
    return tick if won.matched_count else None


@dataclass(frozen=True, kw_only=True)
class Firing:
    """A claimed tick of a schedule, and what its run is made with."""

    schedule: Schedule
    tick: datetime
    closers: Closers | None
    embedder: EmbedderOpener | None


async def _take(firing: Firing, now: datetime, database: Database) -> Run | None:
    """Fires a claimed tick, holds it back or passes it over, by the schedule's rules."""
    schedule, tick = firing.schedule, firing.tick
    waited = schedule.claimed_tick == tick and schedule.waiting_for is not None
    previous = await _previous(schedule, tick)
    rules = Rules(overlap=schedule.overlap, missed=schedule.missed, grace_s=schedule.grace_s)
    decision = decide_tick(
        tick,
        now,
        rules,
        previous=(previous.name, previous.status) if previous is not None else None,
        waited=waited,
        deadline_at=_deadline(schedule, tick),
    )
    if decision.step is TickStep.WAIT:
        assert previous is not None
        waiting = {"_id": schedule.id, "claimed_tick": tick, "waiting_for": {"$ne": previous.name}}
        held = await database.raw["schedules"].update_one(waiting, {"$set": {"waiting_for": previous.name}})
        if held.matched_count:
            _log.info("tick_waits", schedule=schedule.id, tick=tick.isoformat(), run=previous.name)
        return None
    if decision.step is TickStep.SKIP:
        passed = f"{run_name(schedule.id, tick)}: {decision.reason}"
        _log.warning("tick_passed_over", schedule=schedule.id, tick=tick.isoformat(), reason=decision.reason)
        await _done(schedule, tick, {"last_passed": passed}, database)
        return None
    if decision.step is TickStep.CANCEL_AND_FIRE:
        assert previous is not None
        await _cancel(previous, run_name(schedule.id, tick), database)
    return await _fire(firing, database)


async def _previous(schedule: Schedule, tick: datetime) -> Run | None:
    """The run that the schedule made before this tick's."""
    if schedule.last_run is None or schedule.last_run == run_name(schedule.id, tick):
        return None
    return await Run.find_one({"name": schedule.last_run})


def _deadline(schedule: Schedule, tick: datetime) -> datetime | None:
    try:
        return freeze_ending(make_request(**schedule.enqueue), tick).deadline_at
    except UsageError:  # enqueuing will say so
        return None


async def _cancel(previous: Run, follower: str, database: Database) -> None:
    """Cancels the run before; one that ended at this very moment needs no cancelling."""
    try:
        await control.cancel(previous, database, reason=f"cancelled: run {follower} began")
    except UsageError:
        current = await Run.get(previous.id)
        if current is not None and current.status not in TERMINAL_RUNS:
            raise


async def _fire(firing: Firing, database: Database) -> Run | None:
    """Enqueues a claimed tick and marks it as fired. What cannot be enqueued is noted on the schedule."""
    schedule, tick = firing.schedule, firing.tick
    name = run_name(schedule.id, tick)
    run: Run | None = None
    with hindered("schedule_failed", schedule=schedule.id, tick=tick.isoformat()) as hindrance:
        run = await _enqueue(firing, name, database)
    fired: dict[str, Any] = {"last_error": in_words(hindrance.error) if hindrance.error is not None else None}
    if hindrance.error is None:
        fired["last_run"] = name
        _log.info("schedule_fired", schedule=schedule.id, run=name, created=run is not None)
    await _done(schedule, tick, fired, database)
    return run


async def _enqueue(firing: Firing, name: str, database: Database) -> Run | None:
    """The run where it is new; None where an earlier dispatcher enqueued it before it died."""
    schedule = firing.schedule
    options = {**schedule.enqueue, "name": name, "schedule": schedule.id, "tick": firing.tick}
    try:
        enqueued = await enqueue(make_request(**options), database, closers=firing.closers, embedder=firing.embedder)
    except RunConflictError:
        _log.info("tick_fired_before", schedule=schedule.id, run=name)
        return None
    return enqueued.run if enqueued.created else None


async def _done(schedule: Schedule, tick: datetime, changes: dict[str, Any], database: Database) -> None:
    """Marks the tick as done, by compare-and-set; `changes`: what else is noted on the schedule."""
    change = {"last_tick": tick, "claimed_tick": None, "waiting_for": None, **changes}
    await database.raw["schedules"].update_one({"_id": schedule.id, "claimed_tick": tick}, {"$set": change})
