"""Suspects: jobs that were running when a process crashed. They run one at a time, with nothing beside them."""

from __future__ import annotations

import asyncio

import structlog

from nightjar.jobs import backlog, leases
from nightjar.jobs.mongo import Database
from nightjar.jobs.periodic import every
from nightjar.jobs.queue import DueJob
from nightjar.workers.process.held_jobs import HeldJobs

LOOK_EVERY_S = 2.0
LEASE_S = 30.0
BATCH = 64
_log = structlog.get_logger()


def lease_name(model: str) -> str:
    """The name of the lease that one worker of a model holds while it runs suspects."""
    return f"suspects:{model}"


class Suspects:
    """Runs a model's suspects, if this worker gets their lease."""

    def __init__(self, model: str, worker: str, held: HeldJobs, database: Database) -> None:
        self._model = model
        self._worker = worker
        self._held = held
        self._database = database

    async def run(self, stop: asyncio.Event) -> None:
        """Looks for suspects until `stop` is set."""

        async def look() -> None:
            if await self._waiting():
                await self._clear(stop)

        await every(LOOK_EVERY_S, look, stop, name="suspects")

    async def _waiting(self) -> list[tuple[str, str, int]]:
        runs = [run.id for run in await backlog.runs_in_work(self._database) if self._model in run.models]
        return await backlog.suspects(self._model, runs, BATCH, self._database) if runs else []

    async def _clear(self, stop: asyncio.Event) -> None:
        """Stops claiming, waits for running jobs to end, then runs every suspect alone."""
        name = lease_name(self._model)
        if not await leases.acquire(name, self._worker, LEASE_S, self._database):
            return
        self._held.open = False
        done = asyncio.Event()
        keeper = asyncio.create_task(every(LEASE_S / 3, lambda: self._renew(name), done, name="suspects_lease"))
        try:
            await self._held.wait_idle()
            while not stop.is_set() and (suspects := await self._waiting()):
                _log.info("suspects_running", model=self._model, waiting=len(suspects))
                if not await self._run_each(suspects, stop):
                    break
        finally:
            done.set()
            await keeper
            self._held.open = not stop.is_set()
            await leases.give_back(name, self._worker, self._database)

    async def _renew(self, name: str) -> None:
        await leases.acquire(name, self._worker, LEASE_S, self._database)

    async def _run_each(self, suspects: list[tuple[str, str, int]], stop: asyncio.Event) -> bool:
        """False if none of them could be claimed."""
        taken = 0
        for run_id, job_id, fence in suspects:
            if stop.is_set():
                break
            taken += await self._held.offer([DueJob(run_id, job_id, fence)], alone=True)
            await self._held.wait_idle()
        return taken > 0
