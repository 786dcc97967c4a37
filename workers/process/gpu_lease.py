"""A worker's lease on its GPU, so that two workers never share one by accident."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import structlog

from nightjar.config.errors import UsageError
from nightjar.jobs import leases
from nightjar.jobs.mongo import Database
from nightjar.jobs.periodic import every
from nightjar.workers.process.gpus import NONE

LEASE_S = 30.0
RETRY_S = 2.0
_log = structlog.get_logger()


class GpuLease:
    """One worker's lease on one GPU, by UUID. Without a GPU every method does nothing."""

    def __init__(self, gpu: str | None, worker: str, database: Database) -> None:
        self._name = None if gpu in (None, NONE) else f"gpu:{gpu}"
        self._worker = worker
        self._database = database

    async def take(self) -> None:
        """Takes the lease, once a dead holder's has lapsed. Raises UsageError, naming the holder, if it is alive."""
        end = monotonic() + LEASE_S + RETRY_S
        while not await self._acquired():
            if monotonic() > end:
                await self._refuse()
            _log.info("waiting_for_card", lease=self._name)
            await asyncio.sleep(RETRY_S)

    async def renew(self) -> None:
        """Extends the lease. Raises UsageError if another worker has taken it meanwhile."""
        if not await self._acquired():
            await self._refuse()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renews the lease while the block runs (while a model loads, say)."""
        over = asyncio.Event()
        keeping = asyncio.create_task(every(LEASE_S / 3, self.renew, over, name="card", raises=UsageError))
        try:
            yield
        finally:
            over.set()
            await keeping

    async def give_back(self) -> None:
        """Gives the lease up; does nothing if it is not held."""
        if self._name is not None:
            await leases.give_back(self._name, self._worker, self._database)

    async def _acquired(self) -> bool:
        return self._name is None or await leases.acquire(self._name, self._worker, LEASE_S, self._database)

    async def _refuse(self) -> None:
        assert self._name is not None
        holder = await leases.holder(self._name, self._database)
        raise UsageError(
            f"The card {self._name.removeprefix('gpu:')} belongs to worker {holder}: one worker a card. End that "
            "worker, or pin another card with --gpu."
        )
