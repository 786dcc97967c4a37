"""Live requests whose reply may be there already, or may be on its way to somebody who asked the same just before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from nightjar.config.errors import NightjarError, ServiceError
from nightjar.config.live_settings import LiveSettings
from nightjar.jobs.live.cached_replies import as_known, as_shared, drop_oldest_replies, find_cached, keep_reply
from nightjar.jobs.live.reply_key import CacheMode, reply_key
from nightjar.jobs.live.requests import LiveReply, LiveRequests
from nightjar.jobs.live.runs import LiveJob
from nightjar.jobs.live.state import LiveEnd
from nightjar.jobs.live.text import LivePiece, TextPart
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.mongo import DatabaseError, Row

SIZED_EVERY = 32
"""After so many replies were kept it is looked whether all are too large by now."""


class CacheUse(StrEnum):
    """What the cache did for a request."""

    HIT = "hit"
    SHARED = "shared"
    """The same was being computed for another request, and both have that reply."""
    MISS = "miss"
    OFF = "off"
    """It was not asked: the request may not be given an earlier reply."""


class FollowedReply(Protocol):
    """A reply that somebody waits for; see `LiveReply`."""

    whole: bool

    @property
    def job(self) -> LiveJob: ...
    @property
    def end(self) -> LiveEnd | None: ...
    @property
    def computed(self) -> Row | None: ...

    def __aiter__(self) -> AsyncIterator[LivePiece]: ...

    async def cancel(self) -> None: ...


@dataclass(eq=False)
class KnownReply:
    """One that was computed before."""

    job: LiveJob
    known: LiveEnd
    end: LiveEnd | None = None
    computed: Row | None = None
    whole: bool = False

    async def __aiter__(self) -> AsyncIterator[LivePiece]:
        for part, text in ((TextPart.REASONING, self.known.reasoning), (TextPart.REPLY, self.known.reply)):
            if text:
                yield LivePiece(part=part, text=text)
        self.end = self.known

    async def cancel(self) -> None:
        """There is nothing to end."""


@dataclass(eq=False)
class Flight:
    """A request under way, and how many wait for its reply. `begun`: the reply that is known, or its job."""

    key: str
    token: str | None
    """The API token whose budget pays for it: those of another are not shared."""
    user: str
    begun: asyncio.Task[LiveEnd | LiveReply]
    waiting: int = 0
    first_left: bool = False
    kept: bool = False


@dataclass(eq=False)
class SharedReply:
    """One of those who wait for the same reply: only the last who leaves cancels it."""

    _reply: LiveReply
    _flight: Flight
    _cache: ReplyCache
    _is_first: bool
    end: LiveEnd | None = None
    computed: Row | None = None
    whole: bool = False
    _left: bool = False

    @property
    def job(self) -> LiveJob:
        return self._reply.job

    async def __aiter__(self) -> AsyncIterator[LivePiece]:
        self._reply.whole = self.whole
        try:
            async for piece in self._reply:
                yield piece
        except NightjarError:
            self._cache.land(self._flight)  # whoever asks from now on has a try of their own
            raise
        assert self._reply.end is not None
        await self._cache.keep(self._flight, self._reply.end)
        pays = self._is_first or self._flight.first_left
        self.end = self._reply.end if pays else as_shared(self._reply.end)

    async def cancel(self) -> None:
        """Idempotent."""
        if not self._left:
            self._left = True
            self._flight.first_left |= self._is_first
            await self._cache.leave(self._flight, self._reply)


@dataclass(eq=False)
class ReplyCache:
    """A process has one. The replies are MongoDB's; requests under way are shared within the process."""

    live: LiveRequests
    settings: LiveSettings
    _flights: dict[tuple[str, str | None], Flight] = field(default_factory=dict)
    _kept: int = 0

    async def submit(self, ask: LiveAsk, mode: CacheMode, nth: int = 0) -> tuple[FollowedReply, CacheUse]:
        """Like `LiveRequests.submit`, which is asked where nothing is known. `nth` as in `reply_key`."""
        key = None
        if mode is not CacheMode.OFF and self.settings.cache_s > 0:
            key = reply_key(ask, await self.live.facts_of(ask.model), mode, nth)
        if key is None:
            return await self.live.submit(ask), CacheUse.OFF
        token = None if ask.payer is None else ask.payer.token
        flight = self._flights.get((key, token))
        is_first = flight is None
        if flight is None:
            begin = asyncio.create_task(self._begin(key, ask))
            flight = self._flights[key, token] = Flight(key=key, token=token, user=ask.user, begun=begin)
        flight.waiting += 1
        try:
            begun = await asyncio.shield(flight.begun)
        except BaseException:
            await self._give_up(flight)
            raise
        if isinstance(begun, LiveEnd):
            await self._give_up(flight)
            job = LiveJob(id=begun.job, run="", model=ask.model, fence=begun.fence, seed=begun.seed)
            return KnownReply(job, as_known(begun)), CacheUse.HIT
        reply = begun if is_first else LiveReply(begun.job, self.live, account=begun.account)
        return SharedReply(reply, flight, self, is_first), CacheUse.MISS if is_first else CacheUse.SHARED

    async def _begin(self, key: str, ask: LiveAsk) -> LiveEnd | LiveReply:
        with contextlib.suppress(ServiceError, DatabaseError, ValueError):  # one that cannot be read is computed again
            if (known := await find_cached(key)) is not None:
                return known
        return await self.live.submit(ask)

    async def _give_up(self, flight: Flight) -> None:
        """Of one who waits no longer, or for nothing."""
        flight.waiting -= 1
        if flight.waiting:
            return
        self.land(flight)
        if not flight.begun.done():
            flight.begun.cancel()
        elif not flight.begun.cancelled() and flight.begun.exception() is None:
            begun = flight.begun.result()
            if isinstance(begun, LiveReply):
                await begun.cancel()

    async def leave(self, flight: Flight, reply: LiveReply) -> None:
        """Of one who has the reply, or does not want it."""
        flight.waiting -= 1
        if not flight.waiting:
            self.land(flight)
            await reply.cancel()

    async def keep(self, flight: Flight, end: LiveEnd) -> None:
        """Keeps the reply for whoever asks the same again. A server that is away costs only that."""
        if flight.kept:
            return
        flight.kept = True
        settings = self.settings
        with contextlib.suppress(ServiceError, DatabaseError):
            await keep_reply(flight.key, flight.user, end, for_s=settings.cache_s, most_mb=settings.cache_mb)
            if self._kept % SIZED_EVERY == 0:
                await drop_oldest_replies(settings.cache_mb, self.live.database)
            self._kept += 1
        self.land(flight)

    def land(self, flight: Flight) -> None:
        """Nobody joins it any more."""
        if self._flights.get((flight.key, flight.token)) is flight:
            del self._flights[flight.key, flight.token]
