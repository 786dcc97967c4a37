"""A worker's side of live requests: hears of them, takes them, hands out their texts, and lets go of cancelled ones."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import SecretStr

from nightjar.jobs.live.bell import AGAIN, CANCEL, listen_calls, listen_live
from nightjar.jobs.live.runs import cancel_live, waiting_live
from nightjar.jobs.mongo import Database
from nightjar.jobs.periodic import every
from nightjar.jobs.queue import Doorbell, DueJob, LatestAddress
from nightjar.workers.process.held_jobs import HeldJobs
from nightjar.workers.process.watched_texts import WatchedTexts

LOOK_EVERY_S = 1.0
_log = structlog.get_logger()


@dataclass(eq=False)
class LiveTraffic:
    """The live jobs that use the device. What else computes meanwhile is slower for it."""

    active: int = 0
    begun: int = 0

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Around a live job's time in its slot."""
        self.active += 1
        self.begun += 1
        try:
            yield
        finally:
            self.active -= 1

    def met(self, begun_before: int, active_before: int) -> bool:
        """Whether any was there between then and now."""
        return active_before > 0 or self.begun > begun_before


class LiveSide:
    """The tasks of a worker that concern live jobs; they run beside arq's, and need no dispatcher."""

    def __init__(self, model: str, redis: SecretStr, database: Database, latest: LatestAddress | None) -> None:
        self.traffic = LiveTraffic()
        self.texts = WatchedTexts(Doorbell.unconnected(redis, latest), self._leave)
        self._model = model
        self._redis = redis
        self._database = database
        self._latest = latest
        self._held: HeldJobs | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    def listeners(self, held: HeldJobs) -> list[Coroutine[Any, Any, None]]:
        """What hears of live jobs and of cancellations; each runs until it is cancelled."""
        self._held = held

        async def start(due: list[DueJob]) -> int:
            return await held.offer(due, live=True)

        return [
            listen_live(self._redis, self._model, start=start, free=lambda: held.free_live, latest=self._latest),
            listen_calls(self._redis, self._called, latest=self._latest),
        ]

    def chores(self, stop: asyncio.Event, ended: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
        """`stop`: nothing more is taken; `ended`: nothing runs any more."""
        return [every(LOOK_EVERY_S, self._look, stop, name="live"), self.texts.run(ended)]

    def _called(self, word: str, job: str) -> None:
        if word == CANCEL and self._held is not None:
            self._held.cancelled(job)
        elif word == AGAIN:
            self.texts.again(job)

    def close(self) -> None:
        """Lets go of the jobs: nothing that they hold waits for the garbage collector."""
        self._held = None

    async def _look(self) -> None:
        """Takes what waits though Redis says nothing of it."""
        held = self._held
        if held is not None and held.free_live > 0:
            waiting = await waiting_live(self._model, held.free_live, self._database)
            if waiting:
                await held.offer([DueJob(*entry) for entry in waiting], live=True)

    def _leave(self, job: str) -> None:
        """Nobody waits for the reply any more."""
        assert self._held is not None
        if self._held.cancelled(job):
            task = asyncio.create_task(self._end(job))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _end(self, job: str) -> None:
        _log.info("live_unwatched", job=job)
        await cancel_live(job, "whoever asked has gone", self._database)
