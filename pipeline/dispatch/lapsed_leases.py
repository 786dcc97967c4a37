"""A lapsed lease goes back to PENDING: its worker has vanished, or lost its connection for too long.

The lapse is counted, and a job whose workers vanish too often is DEAD.
"""

from __future__ import annotations

import random

import structlog

from nightjar.jobs import backlog
from nightjar.jobs.backlog import HeldJob
from nightjar.jobs.hindered import hindered
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.ownership import apply_decision
from nightjar.jobs.records import AttemptEnd
from nightjar.jobs.retry import Fault, RetryLimits, decide
from nightjar.jobs.states import JobStatus
from nightjar.jobs.unreadable_jobs import check_jobs

BATCH = 500
_log = structlog.get_logger()


async def take_back_lapsed(database: Database) -> None:
    """Takes the jobs away whose leases have lapsed, as many as a batch holds; one that is damaged holds up no other."""
    limits: dict[str, RetryLimits] = {}
    for job in await backlog.lapsed(BATCH, database):
        taken = False
        with hindered("lease_not_taken_back", job=job.id):
            if job.run not in limits:
                limits[job.run] = await backlog.limits(job.run, database)
            taken = await _take_back(job, limits[job.run], database)
        if not taken:
            await check_jobs([job.id], database)


async def _take_back(job: HeldJob, limits: RetryLimits, database: Database) -> bool:
    error = f"the lease of worker {job.owner} lapsed"
    decision = decide(Fault.LAPSED, error, job.counters, limits, jitter=random.random())  # noqa: S311
    still_lapsed = {"$expr": {"$lt": ["$lease_until", "$$NOW"]}}
    query: Row = {"_id": job.id, "fence": job.fence, "status": JobStatus.RUNNING, **still_lapsed}
    taken = await apply_decision(query, decision, AttemptEnd.LAPSED, error, database)
    if taken:
        _log.warning("lease_taken_back", job=job.id, run=job.run, owner=job.owner, fence=job.fence)
    return taken
