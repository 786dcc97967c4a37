"""One process's ears for growing replies: a single subscription in Redis, whatever the number of replies followed."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from nightjar.config.errors import ServiceError
from nightjar.jobs.live import bell as live_bell
from nightjar.jobs.live.bell import AWAY_S, POP_S, RENEW_S, TEXT
from nightjar.jobs.live.text import TextMessage, read_message
from nightjar.jobs.periodic import end_task
from nightjar.jobs.queue import Doorbell

SUBSCRIBED_WITHIN_S = 1.0
"""Longer than that a request does not wait for its subscription; what it misses is filled from MongoDB."""
_ALWAYS = "nightjar:text"
"""Subscribed all the while: a connection without a channel cannot be read."""
_log = structlog.get_logger()
Texts = asyncio.Queue[TextMessage]


@dataclass(eq=False)
class _Followed:
    """A job that somebody in this process follows."""

    texts: list[Texts] = field(default_factory=list)
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)


class LiveChannel:
    """Use it as a context; `follow` from any task of its event loop. Without Redis nothing is heard, nothing fails."""

    def __init__(self, doorbell: Doorbell) -> None:
        self._doorbell = doorbell
        self._jobs: dict[str, _Followed] = {}
        self._pubsub: PubSub | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.away = False
        """Redis does not answer: whoever waits looks into MongoDB more often."""

    async def __aenter__(self) -> LiveChannel:
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._renew())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            await end_task(task)

    @contextlib.asynccontextmanager
    async def follow(self, job: str) -> AsyncIterator[Texts]:
        """What is said of the job from now on; it is marked as watched all the while."""
        texts: Texts = asyncio.Queue()
        followed = self._jobs.setdefault(job, _Followed())
        followed.texts.append(texts)
        try:
            await self._begin(job, followed)
            yield texts
        finally:
            followed.texts.remove(texts)
            if not followed.texts:
                self._jobs.pop(job, None)
                with contextlib.suppress(ServiceError):
                    await self._leave(job)

    async def _begin(self, job: str, followed: _Followed) -> None:
        if len(followed.texts) == 1 and self._pubsub is not None:
            with contextlib.suppress(RedisError, OSError):
                await self._pubsub.subscribe(TEXT + job)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(followed.subscribed.wait(), 0.01 if self.away else SUBSCRIBED_WITHIN_S)
        with contextlib.suppress(ServiceError):
            await live_bell.mark_watched(self._doorbell, [job])

    async def _leave(self, job: str) -> None:
        if self._pubsub is not None:
            with contextlib.suppress(RedisError, OSError):
                await self._pubsub.unsubscribe(TEXT + job)
        await live_bell.stop_watching(self._doorbell, job)

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(RedisError, OSError, TimeoutError, ServiceError):
                await self._doorbell.ping()  # goes to where the server is by now
                async with self._doorbell.redis.pubsub() as pubsub:
                    await pubsub.subscribe(_ALWAYS)
                    self._pubsub = pubsub  # who comes from now on subscribes by himself
                    if self._jobs:
                        await pubsub.subscribe(*(TEXT + job for job in self._jobs))
                    await self._hear(pubsub)
            self._pubsub = None
            if not self.away:
                _log.warning("live_texts_away")
            self.away = True
            for followed in self._jobs.values():
                followed.subscribed.clear()
            await asyncio.sleep(AWAY_S * random.uniform(0.5, 1))  # noqa: S311

    async def _hear(self, pubsub: PubSub) -> None:
        while True:
            message = await pubsub.get_message(timeout=POP_S)
            if message is None:
                continue
            self.away = False
            job = message["channel"].decode("utf-8", "replace").removeprefix(TEXT)
            followed = self._jobs.get(job)
            if followed is None:
                continue
            if message["type"] == "subscribe":
                followed.subscribed.set()
            elif message["type"] == "message" and (text := read_message(message["data"])) is not None:
                for texts in followed.texts:
                    texts.put_nowait(text)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            if self._jobs:
                with contextlib.suppress(ServiceError):
                    await live_bell.mark_watched(self._doorbell, list(self._jobs))
