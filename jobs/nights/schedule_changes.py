"""Changes of a schedule that is there, each one compare-and-set: dispatchers fire its ticks meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nightjar.jobs.mongo import Database


async def switch_schedule(name: str, database: Database, *, enabled: bool, changes: Mapping[str, Any]) -> bool:
    """Turns it on or off; False where it was so already."""
    change = {"$set": {"enabled": enabled, **changes}}
    done = await database.raw["schedules"].update_one({"_id": name, "enabled": not enabled}, change)
    return bool(done.matched_count)


async def change_seen(name: str, seen: Mapping[str, Any], changes: Mapping[str, Any], database: Database) -> bool:
    """Sets these fields; False where others are not as they were `seen`."""
    done = await database.raw["schedules"].update_one({"_id": name, **seen}, {"$set": dict(changes)})
    return bool(done.matched_count)
