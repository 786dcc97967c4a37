"""A worker's lease on its card, so that two workers never share one by accident."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import structlog

from nightjar.config.errors import UsageError
from nightjar.jobs import leases
from nightjar.jobs.database import Database
from nightjar.jobs.patience import every
from nightjar.workers.process.gpus import NONE

LEASE_S = 30.0
RETRY_S = 2.0
_log = structlog.get_logger()


class CardLease:
    """The lease of one worker on one card, by UUID; without a card every method does nothing."""

    def __init__(self, gpu: str | None, worker: str, database: Database) -> None:
        self._name = None if gpu in (None, NONE) else f"gpu:{gpu}"
        self._worker = worker
        self._database = database

    async def take(self) -> None:
        """Waits for a holder that died to lapse. Raises UsageError, naming it, where the holder lives."""
        end = monotonic() + LEASE_S + RETRY_S
        while not await self._acquired():
            if monotonic() > end:
                await self._refuse()
            _log.info("waiting_for_card", lease=self._name)
            await asyncio.sleep(RETRY_S)

    async def renew(self) -> None:
        """Raises UsageError where somebody else has got the card meanwhile."""
        if not await self._acquired():
            await self._refuse()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renews while the block runs, loading a model for example."""
        over = asyncio.Event()
        keeping = asyncio.create_task(every(LEASE_S / 3, self.renew, over, name="card"))
        try:
            yield
        finally:
            over.set()
            await keeping

    async def give_back(self) -> None:
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
