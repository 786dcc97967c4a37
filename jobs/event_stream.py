"""Events in a capped Redis stream: the sink that writes them beside the work, and the reader for those who watch."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from redis.exceptions import RedisError, ResponseError

from nightjar.config.errors import ServiceError, SettingsError
from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.periodic import end_task
from nightjar.jobs.queue import Doorbell

STREAM = "nightjar:events"
MOST_KEPT = 10_000
"""About so many events are kept in Redis: some minutes of a busy night."""
MOST_UNSAID = 1_000
"""A process whose Redis is away keeps the newest of its events."""
BATCH = 200
PAUSE_S = 0.5
FLUSH_S = 0.5
BLOCK_MS = 1_000
"""How long one read waits; below the socket's time limit."""
FIRST = "0-0"


class RedisEvents:
    """An `EventSink`: a task of its own writes what was said. Use it from one event loop, and close it."""

    def __init__(self, open_doorbell: Callable[[], Doorbell]) -> None:
        """`open_doorbell`: called when the first event is said; most commands say none."""
        self._open = open_doorbell
        self._doorbell: Doorbell | None = None
        self._by = f"{socket.gethostname()}:{os.getpid()}"
        self._unsaid: deque[tuple[int, Moved]] = deque(maxlen=MOST_UNSAID)
        self._said = 0
        self._writing: asyncio.Task[None] | None = None
        self._closed = False

    def say(self, event: Moved) -> None:
        if self._closed:
            return
        self._said += 1
        self._unsaid.append((self._said, event))
        if self._writing is None:
            with contextlib.suppress(RuntimeError):  # no event loop runs: nobody could be told
                self._writing = asyncio.get_running_loop().create_task(self._write())

    async def close(self) -> None:
        """Says what is left, for a moment at most."""
        self._closed = True
        if (writing := self._writing) is not None:  # which it forgets itself once all is said
            await asyncio.wait([writing], timeout=FLUSH_S)
            await end_task(writing)
        if self._doorbell is not None:
            await self._doorbell.close()

    async def _write(self) -> None:
        try:
            self._doorbell = self._doorbell or self._open()
        except SettingsError:  # it is told where Redis is needed
            self._closed = True
            return
        while self._unsaid:
            batch = [self._unsaid[at] for at in range(min(BATCH, len(self._unsaid)))]
            try:
                await self._add(self._doorbell, batch)
            except ServiceError:
                if self._closed:
                    return
                await asyncio.sleep(PAUSE_S)
                continue
            last = batch[-1][0]
            while self._unsaid and self._unsaid[0][0] <= last:
                self._unsaid.popleft()
        self._writing = None

    async def _add(self, doorbell: Doorbell, batch: list[tuple[int, Moved]]) -> None:
        async with doorbell.reached() as redis, redis.pipeline(transaction=False) as pipe:
            for seq, event in batch:
                named = {name: value for name in _NAMED if (value := getattr(event, name)) is not None}
                fields = {"kind": str(event.kind), "seq": seq, "by": self._by, **named}
                pipe.xadd(STREAM, fields, maxlen=MOST_KEPT, approximate=True)
            await pipe.execute()


_NAMED = ("run", "job", "worker", "model")


@dataclass(frozen=True, kw_only=True)
class SeenEvent:
    """An event as it was read; `id` is the stream's, by which a reader goes on after it."""

    id: str
    event: Moved
    by: str
    """The process that said it."""
    seq: int
    """Its number among all that this process said: one that is left out was lost."""


@dataclass(frozen=True, kw_only=True)
class EventBatch:
    """What came next. `gap`: events before these were lost, so that whoever watches reads everything anew."""

    events: tuple[SeenEvent, ...]
    last: str
    """Where to go on; also where nothing came."""
    gap: bool = False


class EventReader:
    """Reads the stream for one process, which hands the events on to its clients."""

    def __init__(self, doorbell: Doorbell) -> None:
        self._doorbell = doorbell

    async def last(self) -> str:
        """The id of the newest event; to go on from it is to hear what comes from now on. Raises ServiceError."""
        async with self._doorbell.reached() as redis:
            newest = await redis.xrevrange(STREAM, count=1)
        return newest[0][0].decode() if newest else FIRST

    async def newest(self, limit: int) -> tuple[SeenEvent, ...]:
        """The newest events, oldest first. Raises ServiceError."""
        async with self._doorbell.reached() as redis:
            rows = await redis.xrevrange(STREAM, count=limit)
        return _batch(rows[::-1], FIRST).events

    async def replay(self, after: str, *, limit: int = MOST_KEPT) -> EventBatch:
        """What came after that event, at once. Raises ServiceError; an id that cannot be is a gap."""
        if not _is_id(after):
            return EventBatch(events=(), last=await self.last(), gap=True)
        async with self._doorbell.reached() as redis:
            oldest, newest = await redis.xrange(STREAM, count=1), await redis.xrevrange(STREAM, count=1)
            if _is_gap(after, oldest, newest):
                return EventBatch(events=(), last=newest[0][0].decode() if newest else FIRST, gap=True)
            rows = await redis.xrange(STREAM, min=f"({after}", count=limit)
        return _batch(rows, after)

    async def follow(self, after: str) -> AsyncIterator[EventBatch]:
        """Batches of what comes after that event, an empty one each second, without end.

        A Redis that goes away is waited for; what comes after that begins with a gap.
        """
        away = False
        while True:
            try:
                if away:
                    batch = EventBatch(events=(), last=await self.last(), gap=True)
                else:
                    batch = await self._next(after)
            except ServiceError:
                away = True
                await asyncio.sleep(PAUSE_S)
                continue
            away, after = False, batch.last
            yield batch

    async def _next(self, after: str) -> EventBatch:
        async with self._doorbell.reached() as redis:
            try:
                read = await redis.xread({STREAM: after}, count=BATCH, block=BLOCK_MS)
            except ResponseError as error:
                raise RedisError(str(error)) from error
        if read:
            return _batch(read[0][1], after)
        newest = await self.last()
        if _order(newest) < _order(after):
            return EventBatch(events=(), last=newest, gap=True)  # it was flushed
        return EventBatch(events=(), last=after)


def _is_gap(after: str, oldest: list[tuple[bytes, Mapping[bytes, bytes]]], newest: list[tuple[bytes, object]]) -> bool:
    """Whether something between `after` and what the stream holds was trimmed, or the stream lost with its Redis."""
    if after == FIRST:
        return False
    if not newest or not oldest:
        return True
    mine = _order(after)
    return mine < _order(oldest[0][0].decode()) or mine > _order(newest[0][0].decode())


def _is_id(identity: str) -> bool:
    return re.fullmatch(r"[0-9]{1,19}-[0-9]{1,19}", identity) is not None


def _order(identity: str) -> tuple[int, int]:
    """A stream id as what ids are ordered by."""
    time, _, number = identity.partition("-")
    return int(time), int(number)


def _batch(rows: list[tuple[bytes, Mapping[bytes, bytes]]], after: str) -> EventBatch:
    events = tuple(seen for identity, fields in rows if (seen := _seen(identity, fields)) is not None)
    return EventBatch(events=events, last=rows[-1][0].decode() if rows else after)


def _seen(identity: bytes, fields: Mapping[bytes, bytes]) -> SeenEvent | None:
    """None for what a later version says and this one does not know."""
    values = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in fields.items()}
    try:
        event = Moved(kind=EventKind(values["kind"]), **{name: values[name] for name in _NAMED if name in values})
        return SeenEvent(id=identity.decode(), event=event, by=values["by"], seq=int(values["seq"]))
    except (KeyError, ValueError):
        return None
