"""How many jobs of a run are in which state, counted on the status index alone.

The index holds a run's jobs by status, model, turns committed and turns empty. Its distinct keys are few, however many
the jobs: each is found by one seek behind the one before, and its jobs are counted by MongoDB without being handed
out, which is several times quicker than grouping them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from bson import MaxKey

from nightjar.jobs.database import Database, Row
from nightjar.jobs.status.eta import JobGroup

_KEY = ("status", "model", "turns_committed", "turns_empty")


async def census(run_id: str, database: Database) -> dict[tuple[str, str], JobGroup]:
    """(status, model) -> its jobs and their turns. Jobs that change meanwhile may be seen in either state."""
    groups: dict[tuple[str, str], JobGroup] = defaultdict(lambda: JobGroup(jobs=0, committed=0, empty=0))
    async for key in _distinct(run_id, database):
        jobs = await database.jobs.count_documents({"run": run_id, **key}, hint="status")
        before = groups[key["status"], key["model"]]
        groups[key["status"], key["model"]] = JobGroup(
            jobs=before.jobs + jobs,
            committed=before.committed + jobs * key["turns_committed"],
            empty=before.empty + jobs * key["turns_empty"],
        )
    return dict(groups)


async def _distinct(run_id: str, database: Database) -> AsyncIterator[Row]:
    """The distinct keys of a run in the status index, in order."""
    end: list[Any] = [("run", run_id), *((field, MaxKey()) for field in _KEY)]
    fields = {"_id": 0, **dict.fromkeys(_KEY, 1)}
    cursor = database.jobs.find({"run": run_id}, fields).hint("status").limit(1)
    while rows := await cursor.to_list(1):
        key = rows[0]
        yield key
        after: list[Any] = [("run", run_id), *((field, key[field]) for field in _KEY)]
        after[-1] = ("turns_empty", key["turns_empty"] + 1)
        cursor = database.jobs.find({"run": run_id}, fields).hint("status").min(after).max(end).limit(1)
