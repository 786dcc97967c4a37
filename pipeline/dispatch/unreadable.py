"""Jobs whose documents are damaged so that no queue would ever hold them: they end, or their run never would."""

from __future__ import annotations

from nightjar.jobs import backlog
from nightjar.jobs.database import Database
from nightjar.jobs.unreadable_jobs import check_jobs


async def end_undue(database: Database) -> None:
    """Ends the waiting jobs of working runs that are due at no time."""
    for run in await backlog.runs_in_work(database):
        for model in run.models:
            await check_jobs(await backlog.never_due(model, run.id, database), database)
