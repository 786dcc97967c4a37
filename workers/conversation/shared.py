"""Generations that several conversations of a run ask for alike: made once, while all of them wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from nightjar.workers.engine.request import Generation, Request

MOST = 256
"""Kept at most; the oldest go first."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """A generation that is under way or made."""

    request: str
    """The id of the request that makes it."""
    task: asyncio.Future[Generation]


@dataclass
class SharedGenerations:
    """One for each different prompt of a run. Only for requests whose result depends on nothing else."""

    _made: dict[tuple[object, ...], Shared] = field(default_factory=dict)

    def take(self, run: str, request: Request, generate: Callable[[Request], Awaitable[Generation]]) -> Shared:
        """What an equal request of the run makes or has made; else begins it. One that failed is begun again.

        Who waits for the task must shield it: it is others' too.
        """
        key = (run, request.prompt, request.max_tokens, request.parameters.model_dump_json())
        known = self._made.get(key)
        if known is None:
            known = self._made[key] = Shared(request=request.id, task=asyncio.ensure_future(generate(request)))
            known.task.add_done_callback(lambda task: self._forget(key) if _failed(task) else None)
            if len(self._made) > MOST:
                self._forget(next(iter(self._made)))
        return known

    def _forget(self, key: tuple[object, ...]) -> None:
        self._made.pop(key, None)


def _failed(task: asyncio.Future[Generation]) -> bool:
    return task.cancelled() or task.exception() is not None or task.result().finish_reason == "cancelled"
