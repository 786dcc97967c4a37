"""What endpoints are paid for this server's live requests: as the ledger has it, whatever became of the reply."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from nightjar.jobs.live import runs as live_runs
from nightjar.jobs.live.runs import LiveJob
from nightjar.jobs.mongo import Database, DatabaseError
from nightjar.jobs.status.ledger import LedgerSum, job_sums
from nightjar.web.meters import Meters

MOST_OPEN = 256
"""Requests that are watched before somebody looks, though nobody asks what was paid."""


@dataclass(eq=False)
class Payments:
    """A site has one. A try that broke off, a reply that its client left and one before a fallback are paid, too."""

    database: Database
    meters: Meters
    _open: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Job -> its model, and the US dollars that were counted so far."""
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def watch(self, job: LiveJob) -> None:
        """From now on, until it has ended and nothing of it is under way."""
        if job.remote:
            self._open[job.id] = (job.model, 0.0)
            if len(self._open) >= MOST_OPEN and not self._looking.locked():
                with contextlib.suppress(DatabaseError):
                    await self.look()

    @property
    def under_way(self) -> int:
        """Requests whose costs are not yet known."""
        return len(self._open)

    async def look(self) -> None:
        """Counts what was paid since the last time."""
        async with self._looking:
            jobs = tuple(self._open)
            if not jobs:
                return
            under_way = await live_runs.not_ended(jobs, self.database)
            sums = await job_sums(jobs, self.database)
            for job in jobs:
                self._count(job, sums.get(job, LedgerSum()), ended=job not in under_way)

    def _count(self, job: str, total: LedgerSum, *, ended: bool) -> None:
        model, counted = self._open[job]
        paid = total.usd - total.reserved_usd
        if total.unpriced < total.requests and total.open < total.requests:
            self.meters.paid(model, paid - counted)
        self._open[job] = (model, paid)
        if ended and not total.open:
            del self._open[job]
