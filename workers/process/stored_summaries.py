"""Summaries in MongoDB, so that all workers of a run share them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from nightjar.config.errors import ServiceError
from nightjar.jobs.leases import hold
from nightjar.jobs.mongo import Database, DatabaseError
from nightjar.jobs.runs.summaries import find_run_summary, keep_run_summary
from nightjar.workers.engine.request import Generation

LEASE_S = 15.0
"""After a worker's death another one makes its summary so much later."""
LOOK_S = 0.5
_GENERATION = TypeAdapter(Generation)


@dataclass(frozen=True, kw_only=True)
class StoredSummaries:
    """`SummaryStore` on the collection `run_summaries`. A MongoDB that is away costs only the sharing."""

    database: Database
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)

    async def once(self, key: str, run: str, make: Callable[[], Awaitable[Generation]]) -> Generation:
        """See `SummaryStore.once`."""
        while True:
            async with self._look(key) as (known, is_ours):
                if known is not None:
                    return known
                if is_ours:
                    made = await make()
                    if made.finish_reason != "cancelled":
                        with suppress(ServiceError, DatabaseError):
                            await keep_run_summary(key, run, _GENERATION.dump_python(made, mode="json"), self.database)
                    return made
            await asyncio.sleep(LOOK_S)

    @asynccontextmanager
    async def _look(self, key: str) -> AsyncIterator[tuple[Generation | None, bool]]:
        """What was made, and whether it is to be made here, which nobody else does within the block."""
        async with AsyncExitStack() as stack:
            try:
                known = await find_run_summary(key)
                is_ours = known is None and await stack.enter_async_context(
                    hold(f"summary:{key}", self.owner, LEASE_S, self.database)
                )
                if is_ours:  # it may have been made since the first look
                    known = await find_run_summary(key)
                found = None if known is None else _GENERATION.validate_python(known)
            except (ServiceError, DatabaseError, ValueError):  # ValueError: a newer version wrote it
                found, is_ours = None, True
            yield found, is_ours
