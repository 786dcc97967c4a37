"""The jobs this process holds: it claims them, renews their leases, and drops those it has lost.

Conversations are tasks of the process, not of arq: whatever happens to Redis, they keep running and commit.
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
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.mongo import Database
from nightjar.jobs.periodic import every
from nightjar.jobs.queue import DueJob
from nightjar.workers.engine.request import EngineStats
from nightjar.workers.process.run_cache import RunCache

LOOK_AHEAD = 2
"""Jobs held beyond the slots, so that a free slot does not wait for a claim."""
SHORT_S = 1.0
"""A job that ends sooner is a short one."""
CLAIM_S = 0.25
"""How long a claim takes. As many more jobs are held as short ones ended within this time."""
WATCH_EVERY_S = 1.0
ENGINE_STUCK_S = 20.0
"""Leases are renewed only if the engine completed its last step less than this long ago."""
_log = structlog.get_logger()


@dataclass(eq=False)
class Hold:
    """A claimed job, and the state of this process's work on it."""

    job: Job
    run: Run
    live: bool = False
    """Somebody waits for its reply: it counts apart from the jobs of evaluations."""
    requests: list[str] = field(default_factory=list)
    """The ids of the requests that the model holds for it now: one, or those of the parts of a long summary."""
    lost: bool = False
    """Another worker owns the job now, so nothing may be written any more."""
    stop_after_turn: bool = False
    accompanied: bool = False
    """Other jobs were held at the same time, so a crash need not be this one's fault."""
    task: asyncio.Task[None] | None = None
    since: float = field(default_factory=monotonic)
    good_until: float = math.inf
    """When the lease ends as far as this process knows, on its monotonic clock."""

    @property
    def lapsed(self) -> bool:
        """Whether another worker may own the job by now: for a lease's time the process was stopped or MongoDB away."""
        return monotonic() >= self.good_until


JobRunner = Callable[[Hold], Awaitable[None]]


class HeldJobs:
    """Claims as many jobs as fit, runs them with `work`, and keeps their leases. Use it from one event loop only."""

    def __init__(
        self,
        *,
        work: JobRunner,
        run_cache: RunCache,
        stats: Callable[[], EngineStats],
        worker: str,
        host: str,
        lease_s: float,
        slots: int,
        database: Database,
        live_slots: int = 0,
    ) -> None:
        """`live_slots`: of the slots, how many are kept for live jobs."""
        self._work = work
        self._run_cache = run_cache
        self._stats = stats
        self._worker = worker
        self._host = host
        self._lease_s = lease_s
        self._slots = slots
        self._live_slots = live_slots
        self._database = database
        self._holds: dict[str, Hold] = {}
        self._claiming: set[str] = set()
        self._claiming_live: set[str] = set()
        self._short_ends: deque[float] = deque()
        self._changed = asyncio.Event()
        self.open = True
        """False if nothing is to be claimed, because the worker is draining or runs a suspect alone."""

    def __len__(self) -> int:
        return len(self._holds)

    @property
    def free(self) -> int:
        """How many jobs of evaluations may be claimed now."""
        if not self._takes:
            return 0
        return self._slots - self._live_slots + self._ahead() - self._count(live=False)

    @property
    def free_live(self) -> int:
        """How many live jobs may be claimed now: as many as slots are kept for them or free, and always one, so that
        it is the next in line where all are taken.
        """
        if not self._takes:
            return 0
        others = min(self._count(live=False), self._slots - self._live_slots)
        return max(1, self._slots - others) - self._count(live=True)

    @property
    def _takes(self) -> bool:
        stats = self._stats()
        return self.open and stats.failure is None and stats.paused is None

    def _count(self, *, live: bool) -> int:
        claiming = self._claiming_live if live else self._claiming
        return sum(hold.live is live for hold in self._holds.values()) + len(claiming)

    @property
    def most(self) -> int:
        """The most jobs that are ever held."""
        return 2 * self._slots + LOOK_AHEAD

    def _ahead(self) -> int:
        while self._short_ends and self._short_ends[0] < monotonic() - CLAIM_S:
            self._short_ends.popleft()
        return LOOK_AHEAD + min(len(self._short_ends), self._slots)

    @property
    def idle(self) -> bool:
        """Whether nothing is held or being claimed."""
        return not self._holds and not self._claiming and not self._claiming_live

    async def offer(self, rung: Iterable[DueJob], *, alone: bool = False, live: bool = False) -> int:
        """Claims and starts as many of these as possible; returns the number. `alone` claims even if not `open`;
        `live`: they are live jobs.
        """
        known = self._holds.keys() | self._claiming | self._claiming_live
        wanted = [due for due in rung if due.job not in known]
        wanted = wanted if alone else wanted[: max(0, self.free_live if live else self.free)]
        jobs = {due.job for due in wanted}
        claiming = self._claiming_live if live else self._claiming
        claiming |= jobs
        try:
            started = [self._start(hold) for hold in await self._claim(wanted)]
        finally:
            claiming -= jobs
            self._changed.set()
        return len(started)

    async def _claim(self, rung: Iterable[DueJob]) -> list[Hold]:
        runs = {run_id: await self._run_cache.admit(run_id) for run_id in dict.fromkeys(due.run for due in rung)}
        fences = {due.job: due.fence for due in rung if runs[due.run] is not None}
        if not fences:
            return []
        good_until = monotonic() + self._lease_s
        jobs = await ownership.claim(fences, self._worker, self._host, self._lease_s, self._database)
        for job in jobs:
            event = Moved(kind=EventKind.JOB, run=job.run, job=job.id, worker=self._worker, model=job.model)
            self._database.events.say(event)
        return [
            Hold(job=job, run=run, live=job.live is not None, good_until=good_until)
            for job in jobs
            if (run := runs[job.run]) is not None
        ]

    def _start(self, hold: Hold) -> Hold:
        job = hold.job
        if job.id in self._holds:  # an earlier claim of this process lapsed unnoticed
            self.drop(self._holds[job.id], "claimed again")
        self._holds[job.id] = hold
        if len(self._holds) > 1:
            for held in self._holds.values():
                held.accompanied = True
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
        """Stops a job that another worker owns now; writes nothing."""
        _log.info("job_dropped", job=hold.job.id, run=hold.job.run, why=why)
        hold.lost = True
        self._cancel(hold)

    def cancelled(self, job_id: str) -> bool:
        """Somebody has cancelled the job, or is about to; whether it was held here. It ends within a step."""
        hold = self._holds.get(job_id)
        if hold is not None:
            self.drop(hold, "cancelled")
        return hold is not None

    def _cancel(self, hold: Hold) -> None:
        if hold.task is not None and hold.task is not asyncio.current_task():
            hold.task.cancel()

    async def renew_leases(self) -> None:
        """Extends the leases of the jobs that make progress. Call it every third of a lease."""
        stats = self._stats()
        renewed = [hold for hold in self._holds.values() if self._makes_progress(hold, stats)]
        fences = {hold.job.id: hold.job.fence for hold in renewed}
        good_until = monotonic() + self._lease_s
        lost = await ownership.renew(fences, self._worker, self._lease_s, self._database)
        self._drop_lost(lost, fences)
        for hold in renewed:
            if hold.job.id not in lost:
                hold.good_until = good_until

    async def watch(self) -> None:
        """Drops jobs that a pause, a cancel or another owner took away. Call it every second."""
        fences = {job_id: hold.job.fence for job_id, hold in self._holds.items()}
        self._drop_lost(await ownership.lost(fences, self._database), fences)
        self._run_cache.show_unreadable()
        idle_runs = await self._run_cache.refresh({hold.job.run for hold in self._holds.values()})
        for hold in [hold for hold in self._holds.values() if hold.job.run in idle_runs]:
            self._cancel(hold)  # claimed just as its run was paused: it goes back to PENDING

    def _makes_progress(self, hold: Hold, stats: EngineStats) -> bool:
        if not hold.requests:  # between two turns
            return True
        return any(request in stats.holding for request in hold.requests) and stats.last_step_age_s < ENGINE_STUCK_S

    def _drop_lost(self, lost: set[str], fences: dict[str, int]) -> None:
        for job_id in lost:
            hold = self._holds.get(job_id)
            if hold is not None and hold.job.fence == fences[job_id]:
                self.drop(hold, "its fence changed")

    async def wait_idle(self) -> None:
        """Waits until nothing is held or being claimed."""
        while not self.idle:
            self._changed.clear()
            await self._changed.wait()

    async def drain(self, deadline_s: float) -> None:
        """Stops claiming, lets running turns finish, then releases every job; no try is counted."""
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
        """Renews and watches until `stop` is set; if MongoDB is away, waits for it."""
        watch_s, renew_s = min(WATCH_EVERY_S, self._lease_s / 3), self._lease_s / 3
        await asyncio.gather(
            every(watch_s, self.watch, stop, name="watch"), every(renew_s, self.renew_leases, stop, name="renew_leases")
        )
