"""Generations that several conversations of a run ask for alike: made once, while all of them wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from nightjar.jobs.identity import digest
from nightjar.workers.engine.request import Generation, Request

MOST = 256
"""Kept at most; the oldest go first."""


class SummaryStore(Protocol):
    """What all workers of a run share. The real one is `workers.process.stored_summaries.StoredSummaries`."""

    async def once(self, key: str, run: str, make: Callable[[], Awaitable[Generation]]) -> Generation:
        """What a worker has made under the key; else what `make` makes, which no other worker does meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """A generation that is under way or made."""

    request: str
    """The id of the request that makes it."""
    task: asyncio.Future[Generation]
    begun: asyncio.Event
    """Set once this worker's engine has the request; before, another worker may be making it. Also at the end."""


@dataclass
class SharedGenerations:
    """One for each different prompt of a run. Only for requests whose result depends on nothing else."""

    model: str = ""
    """Digest of the model's file."""
    store: SummaryStore | None = None
    """None: this worker's conversations alone share."""
    _made: dict[str, Shared] = field(default_factory=dict)

    def take(self, run: str, request: Request, generate: Callable[[Request], Awaitable[Generation]]) -> Shared:
        """What an equal request of the run makes or has made; else begins it. One that failed is begun again.

        Who waits for the task must shield it: it is others' too.
        """
        wanted = request.parameters.model_dump_json()
        key = digest("summary", run, self.model, list(request.prompt), request.max_tokens, wanted)
        known = self._made.get(key)
        if known is None:
            begun = asyncio.Event()

            async def make() -> Generation:
                begun.set()
                return await generate(request)

            task = asyncio.ensure_future(make() if self.store is None else self.store.once(key, run, make))
            task.add_done_callback(lambda task: self._forget(key) if _failed(task) else None)
            task.add_done_callback(lambda _: begun.set())
            known = self._made[key] = Shared(request=request.id, task=task, begun=begun)
            if len(self._made) > MOST:
                self._forget(next(iter(self._made)))
        return known

    def _forget(self, key: str) -> None:
        self._made.pop(key, None)


def _failed(task: asyncio.Future[Generation]) -> bool:
    return task.cancelled() or task.exception() is not None or task.result().finish_reason == "cancelled"
