"""Jobs that fail for good, for tests of what becomes of their run."""

from __future__ import annotations

from nightjar.jobs import ownership
from nightjar.jobs.documents import Run
from nightjar.jobs.lookup import find_job
from nightjar.jobs.mongo import Database
from nightjar.jobs.retry import Dead


async def kill_one(run: Run, database: Database, reason: str = "ContextError: 9 of 8 tokens") -> None:
    job = await find_job(run, "a", database)
    [claimed] = await ownership.claim({job.id: job.fence}, "w1", "host", 30, database)
    await ownership.fail(claimed, Dead(reason=reason, counted=("tries",)), reason, database)
