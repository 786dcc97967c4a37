"""Summaries that the conversations of a run share: whichever of its workers needs one first makes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from pymongo import ASCENDING, IndexModel

from nightjar.jobs.mongo import Database
from nightjar.jobs.stored import StoredDocument

KEPT_S = 14 * 86_400
"""Longer than a run takes; the summaries that went into a turn are in its record anyway."""


class RunSummary(StoredDocument):
    """One generation; `_id` is a digest of all that its text depends on, the run first."""

    id: str  # type: ignore[assignment]  # beanie's default is an ObjectId
    run: str
    generation: dict[str, Any]
    """As the worker that made it wrote it."""
    made_at: datetime

    class Settings:
        name = "run_summaries"
        indexes: ClassVar = [
            IndexModel([("run", ASCENDING)], name="run"),
            IndexModel([("made_at", ASCENDING)], name="age", expireAfterSeconds=KEPT_S),
        ]


async def find_run_summary(key: str) -> dict[str, Any] | None:
    """The generation that was kept under the key; None where there is none."""
    found = await RunSummary.get(key)
    return None if found is None else found.generation


async def keep_run_summary(key: str, run: str, generation: dict[str, Any], database: Database) -> None:
    """Keeps a generation; the first one that was kept stays. Safe to repeat."""
    made = {"run": run, "generation": generation, "made_at": datetime.now(UTC)}
    await database.raw["run_summaries"].update_one({"_id": key}, {"$setOnInsert": made}, upsert=True)
