"""Embeddings by jobs: much text for the worker of an embedding model, as a `TextEmbedder`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nightjar.config.errors import ModelError
from nightjar.jobs.live.task import LiveTask, TaskKind
from nightjar.jobs.models import ModelFacts
from nightjar.jobs.published import known_facts

if TYPE_CHECKING:
    from nightjar.jobs.live.requests import LiveRequests
    from nightjar.jobs.search.text_embedder import Vectors

BATCH_TEXTS = 64
"""In one job."""
JOBS_AT_ONCE = 6
"""Fewer than one user may have, so that there is room for what somebody waits for."""


class JobEmbedder:
    """Each batch of texts is an ASSIST job; a worker of the model has to run, or a place that may load it."""

    def __init__(self, requests: LiveRequests, facts: ModelFacts, user: str) -> None:
        self.facts = facts
        self._requests = requests
        self._user = user
        self._room = asyncio.Semaphore(JOBS_AT_ONCE)

    @classmethod
    async def of(cls, requests: LiveRequests, facts: ModelFacts, user: str) -> JobEmbedder:
        """By the worker of the model with these facts. Raises ModelError where the published one is another file."""
        published = (await known_facts([facts.name], (), requests.database))[facts.name]
        if published.digest != facts.digest:
            raise ModelError(
                f"The workers' {facts.name!r} is another file ({published.digest[:12]}) than `memory_model` here "
                f"({facts.digest[:12]}): their vectors cannot be compared. Give both the same file."
            )
        return cls(requests, facts, user)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `TextEmbedder.embed`. Raises LiveError where no worker takes it, naming what is in the way."""
        batches = [texts[at : at + BATCH_TEXTS] for at in range(0, len(texts), BATCH_TEXTS)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._embed(batch)) for batch in batches]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return np.concatenate([task.result() for task in tasks]) if tasks else np.zeros((0, 0), np.float32)

    async def _embed(self, texts: Sequence[str]) -> Vectors:
        async with self._room:
            task = LiveTask(user=self._user, model=self.facts.name, kind=TaskKind.EMBED, given={"texts": list(texts)})
            reply = await self._requests.submit_task(task)
            async for _ in reply:
                pass
            assert reply.computed is not None, "an iteration that ended well has a result"
            return np.stack([np.frombuffer(vector, "<f4") for vector in reply.computed["vectors"]])
