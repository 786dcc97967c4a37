"""Rings for due jobs: keeps a small window of each model's jobs in its queue.

Ringing twice for a job is harmless, so any number of dispatchers may ring, and Redis may lose everything at any time.
"""

from __future__ import annotations

from time import monotonic

from nightjar.jobs import backlog
from nightjar.jobs.backlog import RunInWork
from nightjar.jobs.hindered import hindered
from nightjar.jobs.mongo import Database
from nightjar.jobs.queue import Doorbell
from nightjar.pipeline.dispatch.window import SMALLEST, Entry, QueueLine, fair_window, next_size

RING_EVERY_S = 0.25
RING_QUIETLY_EVERY_S = 1.0
"""While nothing changes: looking costs the workers' cores some milliseconds each time."""
REPEAT_EVERY_S = 5.0


class Ringer:
    """Rings for one dispatcher, and remembers for each model the size of its window and what it last rang for."""

    def __init__(self, database: Database, doorbell: Doorbell) -> None:
        self._database = database
        self._doorbell = doorbell
        self._sizes: dict[str, int] = {}
        self._rung: dict[str, set[Entry]] = {}
        self._repeated: dict[str, float] = {}
        self._pause_s = RING_EVERY_S
        self._due = 0.0
        self._rang_at = monotonic()

    @property
    def silent_s(self) -> float:
        """How long ago it last rang for everything that was due."""
        return monotonic() - self._rang_at

    async def ring_when_due(self) -> None:
        """Rings, and then waits longer and longer while runs are in work and what is due stays the same."""
        if monotonic() < self._due:
            return
        before = dict(self._rung)
        await self.ring()
        quiet = before and before == self._rung
        self._pause_s = min(2 * self._pause_s, RING_QUIETLY_EVERY_S) if quiet else RING_EVERY_S
        self._due = monotonic() + self._pause_s

    def begin(self) -> None:
        """Rings from now on, for everything that is due; it may have been silent before."""
        self._rung.clear()
        self._due, self._rang_at = 0.0, monotonic()

    def hurry(self) -> None:
        """There is new work: the next call of `ring_when_due` rings, however quiet it was before."""
        self._due = 0.0

    async def ring(self) -> None:
        """Tops up every model's queue with its window of due jobs."""
        runs = await backlog.runs_in_work(self._database)
        slots = await backlog.live_slots(self._database) if runs else {}
        models = sorted({model for run in runs for model in run.models})
        for gone in self._rung.keys() - set(models):
            del self._rung[gone]
        rung = not models
        for model in models:
            with hindered("queue_not_rung", model=model):
                await self._ring_model(model, [run for run in runs if model in run.models], slots.get(model, 0))
                rung = True
        if rung:
            self._rang_at = monotonic()

    async def _ring_model(self, model: str, runs: list[RunInWork], slots: int) -> None:
        size = self._sizes.get(model, max(SMALLEST, 2 * slots))
        window = fair_window(await self._due_jobs(model, runs, size), size)
        entries = {entry for line in window for entry in line.entries}
        before = self._rung.get(model, set())
        self._sizes[model] = next_size(size, slots, len(before), len(before - entries))
        queued = await self._doorbell.depth(model)
        known = set() if queued < len(before & entries) or self._repeat(model) else before
        for line in window:
            new = [entry for entry in line.entries if entry not in known]
            await self._doorbell.ring(model, line.run, new, priority=line.priority)
        self._rung[model] = entries

    async def _due_jobs(self, model: str, runs: list[RunInWork], size: int) -> list[QueueLine]:
        """Each run's due jobs for the model; runs of lower priority only where those above leave room."""
        lines: list[QueueLine] = []
        count = 0
        for index, run in enumerate(runs):
            if count >= size and run.priority < runs[index - 1].priority:
                break
            entries = await backlog.due(model, run.id, size, self._database)
            lines.append(QueueLine(run=run.id, priority=run.priority, entries=entries))
            count += len(entries)
        return lines

    def _repeat(self, model: str) -> bool:
        """Whether to ring again for what was rung for already: Redis may have lost it unseen."""
        due = monotonic() - self._repeated.get(model, 0.0) > REPEAT_EVERY_S
        if due:
            self._repeated[model] = monotonic()
        return due
