"""Keeps things moving from MongoDB: rings for due jobs, takes back lapsed leases, moves runs on, fires schedules.

Any number of dispatchers may run: every write is a compare-and-set or a repeatable insert, and ringing twice for a job
is harmless.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import monotonic

import structlog

from nightjar.config.errors import NightjarError, ServiceError
from nightjar.config.settings import Settings
from nightjar.jobs import backlog, control, leases
from nightjar.jobs.backlog import RunInWork
from nightjar.jobs.database import Database
from nightjar.jobs.dispatchers import mark_dispatcher
from nightjar.jobs.documents import Run
from nightjar.jobs.ownership import apply_decision
from nightjar.jobs.patience import every
from nightjar.jobs.queue import Doorbell
from nightjar.jobs.records import AttemptEnd
from nightjar.jobs.retry import Fault, RetryLimits, decide
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.pipeline.closing import endings
from nightjar.pipeline.closing.close import close_run
from nightjar.pipeline.dispatch.night_watch import NightWatch
from nightjar.pipeline.dispatch.window import SMALLEST, QueueLine, fair_window, next_size
from nightjar.pipeline.embedding.write_jobs import write_embedding
from nightjar.pipeline.judging.write_jobs import mark_planned, write_judging
from nightjar.pipeline.nights.schedules import fire_due
from nightjar.pipeline.runs.write_jobs import finish_expansion

RING_EVERY_S = 0.25
RING_QUIETLY_EVERY_S = 1.0
"""While nothing changes: looking costs the workers' cores some milliseconds each time."""
MARK_EVERY_S = 2.0
REPEAT_EVERY_S = 5.0
KEEP_HOUSE_EVERY_S = 1.0
EXPAND_EVERY_S = 5.0
SETTLE_EVERY_S = 30.0
LAPSED_BATCH = 500
EXPANSION_GRACE_S = 10.0
"""A run that is EXPANDING and has not grown for this long has probably lost its producer."""
_log = structlog.get_logger()


class Dispatcher:
    """One dispatcher; `run` until told to stop, or `tick` by hand."""

    def __init__(self, database: Database, doorbell: Doorbell, settings: Settings) -> None:
        self._database = database
        self._doorbell = doorbell
        self._settings = settings
        self._name = f"dispatcher-{random.getrandbits(48):x}"  # a name, not a secret
        self._night = NightWatch(database, settings, self._name)
        self._windows: dict[str, int] = {}
        self._rung: dict[str, set[tuple[str, int]]] = {}
        self._repeated: dict[str, float] = {}
        self._ring_pause_s = RING_EVERY_S
        self._ring_due = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set. A server that goes away is waited for."""
        _log.info("dispatcher_started", dispatcher=self._name)
        chores: list[tuple[float, Callable[[], Awaitable[None]]]] = [
            (RING_EVERY_S, self.ring_when_due),
            (MARK_EVERY_S, self.mark),
            (KEEP_HOUSE_EVERY_S, self.take_back),
            (KEEP_HOUSE_EVERY_S, self.advance),
            (KEEP_HOUSE_EVERY_S, self.fire),
            (EXPAND_EVERY_S, self.finish_expansions),
            (SETTLE_EVERY_S, self.settle),
            *self._night.chores(),
        ]
        async with asyncio.TaskGroup() as group:
            for period_s, chore in chores:
                group.create_task(every(period_s, chore, stop, name=chore.__name__))
        _log.info("dispatcher_stopped", dispatcher=self._name)

    async def tick(self) -> None:
        """Everything once."""
        await self.mark()
        await self.take_back()
        await self.finish_expansions()
        await self.fire()
        await self.advance()
        await self._night.end()
        await self._night.deliver()
        await self.ring()

    async def mark(self) -> None:
        """Leaves a sign of life for `nightjar status`."""
        await mark_dispatcher(self._name, self._database)

    async def ring_when_due(self) -> None:
        """Rings, and then waits longer and longer while runs are in work and what is due stays the same."""
        if monotonic() < self._ring_due:
            return
        before = dict(self._rung)
        await self.ring()
        quiet = before and before == self._rung
        self._ring_pause_s = min(2 * self._ring_pause_s, RING_QUIETLY_EVERY_S) if quiet else RING_EVERY_S
        self._ring_due = monotonic() + self._ring_pause_s

    async def ring(self) -> None:
        """Tops up every model's queue with its window of due jobs."""
        runs = await backlog.runs_in_work(self._database)
        slots = await backlog.live_slots(self._database) if runs else {}
        models = sorted({model for run in runs for model in run.models})
        for gone in self._rung.keys() - set(models):
            del self._rung[gone]
        for model in models:
            await self._ring_model(model, [run for run in runs if model in run.models], slots.get(model, 0))

    async def _ring_model(self, model: str, runs: list[RunInWork], slots: int) -> None:
        size = self._windows.get(model, max(SMALLEST, 2 * slots))
        lines: list[QueueLine] = []
        found = 0
        for index, run in enumerate(runs):
            if found >= size and run.priority < runs[index - 1].priority:
                break
            entries = await backlog.due(model, run.id, size, self._database)
            lines.append(QueueLine(run=run.id, priority=run.priority, entries=entries))
            found += len(entries)
        window = fair_window(lines, size)
        entries_now = {entry for line in window for entry in line.entries}
        before = self._rung.get(model, set())
        self._windows[model] = next_size(size, slots, len(before), len(before - entries_now))
        held = await self._doorbell.depth(model)
        known = set() if held < len(before & entries_now) or self._repeat(model) else before
        for line in window:
            new = [entry for entry in line.entries if entry not in known]
            await self._doorbell.ring(model, line.run, new, priority=line.priority)
        self._rung[model] = entries_now

    def _repeat(self, model: str) -> bool:
        """Whether to ring again for what was rung for already: Redis may have lost it unseen."""
        due = monotonic() - self._repeated.get(model, 0.0) > REPEAT_EVERY_S
        if due:
            self._repeated[model] = monotonic()
        return due

    async def advance(self) -> None:
        """Moves runs on whose jobs are done, and stops those with too many failures."""
        for run in await backlog.runs_in_work(self._database):
            await self._alone(run.name, self._advance(run))

    async def fire(self) -> None:
        """Enqueues what schedules ask for."""
        await self._alone("schedules", fire_due(self._database))

    async def settle(self) -> None:
        """Finishes a pause, stop or cancel that was interrupted."""
        ended = {
            "status": RunStatus.CANCELLED,
            "$expr": {"$gt": ["$finished_at", {"$subtract": ["$$NOW", 86_400_000]}]},
        }
        held = {"status": {"$in": [RunStatus.PAUSED, RunStatus.STOPPED]}}
        for run in await Run.find({"$or": [ended, held]}).to_list():
            await control.settle(run, self._database)

    async def take_back(self) -> None:
        """Makes PENDING again what vanished workers held."""
        limits: dict[str, RetryLimits] = {}
        for job in await backlog.lapsed(LAPSED_BATCH, self._database):
            if job.run not in limits:
                limits[job.run] = await backlog.limits(job.run, self._database)
            error = f"the lease of worker {job.owner} lapsed"
            jitter = random.random()  # noqa: S311
            decision = decide(Fault.LAPSED, error, job.counters, limits[job.run], jitter=jitter)
            lapsed = {"$expr": {"$lt": ["$lease_until", "$$NOW"]}}
            query = {"_id": job.id, "fence": job.fence, "status": JobStatus.RUNNING, **lapsed}
            if await apply_decision(query, decision, AttemptEnd.LAPSED, error, self._database):
                _log.warning("lease_taken_back", job=job.id, run=job.run, owner=job.owner, fence=job.fence)

    async def finish_expansions(self) -> None:
        """Finishes what a producer left half-written."""
        moved = {"$ifNull": ["$expanded_at", "$created_at"]}
        stale = {"$expr": {"$lt": [moved, {"$subtract": ["$$NOW", round(EXPANSION_GRACE_S * 1000)]}]}}
        for run in await Run.find({"status": RunStatus.EXPANDING, **stale}).to_list():
            if await leases.acquire(f"expand:{run.id}", self._name, EXPANSION_GRACE_S, self._database):
                _log.info("expansion_resumed", run=run.id, name=run.name)
                await self._alone(run.name, finish_expansion(run, self._database))

    async def _alone(self, what: str, work: Awaitable[object]) -> None:
        """One run's own trouble holds up no other; a server that is away does."""
        try:
            await work
        except NightjarError as error:
            if error.transient:
                raise
            _log.error("dispatcher_hindered", by=what, error=str(error))

    async def _advance(self, run: RunInWork) -> None:
        if run.fail_on_error is not None and (reason := await self._over_limit(run, run.fail_on_error)):
            await control.stop(await self._document(run), reason, self._database)
            _log.warning("run_stopped", run=run.id, name=run.name, reason=reason)
            return
        if await backlog.has_open_jobs(run.id, self._database):
            return
        if run.status is RunStatus.ACTIVE:
            await control.move(await self._document(run), RunStatus.JUDGING, self._database)
            _log.info("run_judging", run=run.id, name=run.name)
        elif not run.planned:
            document = await self._document(run)
            await write_judging(document, self._database)
            await write_embedding(document, self._database)
            await mark_planned(document, self._database)
            self._ring_due = 0.0  # there is new work
        else:
            await self._close(run)

    async def _over_limit(self, run: RunInWork, limit: float) -> str | None:
        dead = await backlog.dead_jobs(run.id, self._database)
        allowed = limit if limit >= 1 else limit * run.jobs_total
        if dead == 0 or dead < allowed:
            return None
        return f"{dead} of {run.jobs_total} jobs failed (fail_on_error is {limit:g})"

    async def _close(self, run: RunInWork) -> None:
        async with leases.hold(f"close:{run.id}", self._name, endings.CLOSING_LEASE_S, self._database) as mine:
            if mine:
                await self._close_alone(run)

    async def _close_alone(self, run: RunInWork) -> None:
        reason = None
        try:
            await close_run(run.id, self._database, self._settings.reports_dir)
        except ServiceError:
            raise
        except Exception as error:
            # The run's work is done whatever becomes of its report, and `nightjar report` can write it again.
            _log.exception("report_failed", run=run.id, name=run.name)
            reason = f"its report could not be written: {error}"
        done = await control.move(await self._document(run), RunStatus.DONE, self._database, reason=reason)
        if await backlog.has_open_jobs(run.id, self._database):  # somebody retried a job in this very moment
            await control.move(done, RunStatus.ACTIVE, self._database)
            return
        if not done.planned:  # somebody asked for a check of the judges in this very moment
            await control.move(done, RunStatus.JUDGING, self._database)
            return
        _log.info("run_done", run=run.id, name=run.name)

    async def _document(self, run: RunInWork) -> Run:
        document = await Run.get(run.id)
        if document is None:
            raise ServiceError(f"Run {run.name!r} was removed while it worked.")
        return document
