"""The jobs this process holds: it claims them, keeps their leases alive, and drops those it has lost.

Conversations are tasks of the process, not of arq: whatever becomes of Redis, they run on and commit.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic

import structlog

from nightjar.jobs import ownership
from nightjar.jobs.database import Database
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.patience import every
from nightjar.jobs.queue import DueJob
from nightjar.workers.engine.request import EngineStats
from nightjar.workers.process.run_cache import Runbook

LOOK_AHEAD = 2
"""Jobs held beyond the slots, so that a free slot need not wait for a claim."""
SHORT_S = 1.0
CLAIM_S = 0.25
"""Where jobs are over in less than SHORT_S, as many more are held as ended within this long: a claim's time."""
WATCH_EVERY_S = 1.0
ENGINE_STUCK_S = 20.0
"""Leases are renewed while the engine has completed a step within this long."""
_log = structlog.get_logger()


@dataclass(eq=False)
class Hold:
    """A claimed job and what this process does with it."""

    job: Job
    run: Run
    request: str | None = None
    """Id of the request that the engine holds for it at present."""
    lost: bool = False
    """Somebody else owns the job now: nothing may be written any more."""
    stop_after_turn: bool = False
    accompanied: bool = False
    """Other jobs were held while this one was: a crash need not be its doing."""
    task: asyncio.Task[None] | None = None
    since: float = field(default_factory=monotonic)
    good_until: float = math.inf
    """When the lease is over as far as this process knows, on its monotonic clock."""

    @property
    def lapsed(self) -> bool:
        """Whether somebody else may own the job by now: the process was stopped, or MongoDB away, for a lease."""
        return monotonic() >= self.good_until


JobRunner = Callable[[Hold], Awaitable[None]]


class HeldJobs:
    """Claims what fits, runs it with `work`, and watches over leases. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        work: JobRunner,
        runbook: Runbook,
        stats: Callable[[], EngineStats],
        worker: str,
        host: str,
        lease_s: float,
        slots: int,
        database: Database,
    ) -> None:
        self._work = work
        self._runbook = runbook
        self._stats = stats
        self._worker = worker
        self._host = host
        self._lease_s = lease_s
        self._slots = slots
        self._database = database
        self._holds: dict[str, Hold] = {}
        self._claiming: set[str] = set()
        self._short_ends: deque[float] = deque()
        self._changed = asyncio.Event()
        self.open = True
        """False: nothing is claimed, because the worker drains or runs a suspect alone."""

    def __len__(self) -> int:
        return len(self._holds)

    @property
    def free(self) -> int:
        """Jobs that may be claimed now."""
        if not self.open or self._stats().failure is not None:
            return 0
        return self._slots + self._ahead() - len(self._holds) - len(self._claiming)

    @property
    def most(self) -> int:
        """Jobs held at the most."""
        return 2 * self._slots + LOOK_AHEAD

    def _ahead(self) -> int:
        while self._short_ends and self._short_ends[0] < monotonic() - CLAIM_S:
            self._short_ends.popleft()
        return LOOK_AHEAD + min(len(self._short_ends), self._slots)

    @property
    def idle(self) -> bool:
        return not self._holds and not self._claiming

    async def offer(self, rung: Iterable[DueJob], *, alone: bool = False) -> int:
        """Claims what of it is to be had and starts it; how many. `alone` claims although the intake is closed."""
        wanted = [each for each in rung if each.job not in self._holds and each.job not in self._claiming]
        wanted = wanted if alone else wanted[: max(0, self.free)]
        jobs = {each.job for each in wanted}
        self._claiming |= jobs
        try:
            started = [self._start(hold) for hold in await self._claim(wanted)]
        finally:
            self._claiming -= jobs
            self._changed.set()
        return len(started)

    async def _claim(self, rung: Iterable[DueJob]) -> list[Hold]:
        runs = {run_id: await self._runbook.admit(run_id) for run_id in dict.fromkeys(each.run for each in rung)}
        fences = {each.job: each.fence for each in rung if runs[each.run] is not None}
        if not fences:
            return []
        good_until = monotonic() + self._lease_s
        jobs = await ownership.claim(fences, self._worker, self._host, self._lease_s, self._database)
        return [Hold(job=job, run=run, good_until=good_until) for job in jobs if (run := runs[job.run]) is not None]

    def _start(self, hold: Hold) -> Hold:
        job = hold.job
        if job.id in self._holds:  # an earlier claim of this process lapsed unnoticed
            self.drop(self._holds[job.id], "claimed again")
        self._holds[job.id] = hold
        if len(self._holds) > 1:
            for each in self._holds.values():
                each.accompanied = True
        hold.task = asyncio.create_task(self._run(hold), name=f"job-{job.id}")
        return hold

    async def _run(self, hold: Hold) -> None:
        try:
            await self._work(hold)
        finally:
            if self._holds.get(hold.job.id) is hold:
                del self._holds[hold.job.id]
            if monotonic() - hold.since < SHORT_S:
                self._short_ends.append(monotonic())
            self._changed.set()

    def drop(self, hold: Hold, why: str) -> None:
        """Stops a job that belongs to somebody else now; nothing of it is written."""
        _log.info("job_dropped", job=hold.job.id, run=hold.job.run, why=why)
        hold.lost = True
        self._cancel(hold)

    def _cancel(self, hold: Hold) -> None:
        if hold.task is not None and hold.task is not asyncio.current_task():
            hold.task.cancel()

    async def renew_leases(self) -> None:
        """Extends the leases of the jobs that are in good hands; call every third of a lease."""
        stats = self._stats()
        renewed = [hold for hold in self._holds.values() if self._in_good_hands(hold, stats)]
        fences = {hold.job.id: hold.job.fence for hold in renewed}
        good_until = monotonic() + self._lease_s
        lost = await ownership.renew(fences, self._worker, self._lease_s, self._database)
        self._drop_lost(lost, fences)
        for hold in renewed:
            if hold.job.id not in lost:
                hold.good_until = good_until

    async def watch(self) -> None:
        """Drops what a pause, a cancel or another owner took away; call every second."""
        fences = {job_id: hold.job.fence for job_id, hold in self._holds.items()}
        self._drop_lost(await ownership.lost(fences, self._database), fences)
        idle_runs = await self._runbook.refresh({hold.job.run for hold in self._holds.values()})
        for hold in [hold for hold in self._holds.values() if hold.job.run in idle_runs]:
            self._cancel(hold)  # claimed just as the run was paused: it goes back to PENDING

    def _in_good_hands(self, hold: Hold, stats: EngineStats) -> bool:
        if hold.request is None:  # between two turns
            return True
        return hold.request in stats.holding and stats.last_step_age_s < ENGINE_STUCK_S

    def _drop_lost(self, lost: set[str], fences: dict[str, int]) -> None:
        for job_id in lost:
            hold = self._holds.get(job_id)
            if hold is not None and hold.job.fence == fences[job_id]:
                self.drop(hold, "its fence changed")

    async def wait_idle(self) -> None:
        """Returns when nothing is held or being claimed."""
        while not self.idle:
            self._changed.clear()
            await self._changed.wait()

    async def drain(self, deadline_s: float) -> None:
        """Claims nothing more, lets running turns end, then releases every job; no try is counted."""
        self.open = False
        for hold in self._holds.values():
            hold.stop_after_turn = True
        try:
            async with asyncio.timeout(deadline_s):
                await self.wait_idle()
        except TimeoutError:
            for hold in list(self._holds.values()):
                self._cancel(hold)
            await self.wait_idle()

    async def keep(self, stop: asyncio.Event) -> None:
        """Renews and watches until `stop` is set; a MongoDB that is away is waited for."""
        watch_s, renew_s = min(WATCH_EVERY_S, self._lease_s / 3), self._lease_s / 3
        await asyncio.gather(
            every(watch_s, self.watch, stop, name="watch"), every(renew_s, self.renew_leases, stop, name="renew_leases")
        )
