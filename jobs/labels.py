"""Labels that people put on conversations. They go with the conversation, and change nothing of it."""

from __future__ import annotations

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.mongo import Database

MOST_LABELS = 20


async def label_job(run: str, job: str, label: str, database: Database) -> bool:
    """Puts the label on, and returns True; one that is on already is taken off. Raises UnknownNameError, UsageError."""
    found = await database.jobs.find_one({"_id": job, "run": run}, {"labels": 1})
    if found is None:
        raise UnknownNameError("conversation", job, ())
    labels = found.get("labels") or []
    if label in labels:
        await database.jobs.update_one({"_id": job}, {"$pull": {"labels": label}})
        return False
    if len(labels) >= MOST_LABELS:
        raise UsageError(f"A conversation has at most {MOST_LABELS} labels. Take one off first.")
    await database.jobs.update_one({"_id": job}, {"$addToSet": {"labels": label}})
    return True
