"""A schedule as JSON: when it makes its next run, what became of the last, what its runs are. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from nightjar.jobs.ending import Hook
from nightjar.jobs.nights.documents import Schedule
from nightjar.pipeline.nights.ticks import next_tick


def schedule_row(schedule: Schedule, now: datetime) -> dict[str, Any]:
    """As `nightjar schedule list --json` has it. `next_local` and `next_utc`: None where it never ticks again."""
    tick = next_tick(schedule.cron, schedule.timezone, now)
    local = None if tick is None else tick.astimezone(ZoneInfo(schedule.timezone))
    return {
        "name": schedule.id,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "paused": not schedule.enabled,
        "next_local": None if local is None else f"{local:%Y-%m-%d %H:%M %Z}",
        "next_utc": None if tick is None else f"{tick:%Y-%m-%d %H:%M}",
        "suite": schedule.enqueue["suite"],
        "models": ", ".join(schedule.enqueue["models"]),
        "last_run": schedule.last_run,
        "last_error": schedule.last_error,
        "last_passed": schedule.last_passed,
        "waiting_for": schedule.waiting_for,
        "overlap": schedule.overlap,
        "missed": schedule.missed,
        "grace_s": schedule.grace_s,
        "keep_nights": schedule.keep_nights,
        "enqueue": _shown(schedule.enqueue),
    }


def _shown(enqueue: dict[str, Any]) -> dict[str, Any]:
    """The request without what a web address may hide."""
    hooks = [str(Hook.model_validate(hook)) for hook in enqueue.get("on_finish", ())]
    return enqueue | ({"on_finish": hooks} if hooks else {})
