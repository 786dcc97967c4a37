"""One reader of Redis for the whole process, and what it hears handed on to every tab, none of which can hold it up."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from time import monotonic

import structlog

from nightjar.config.errors import QueueFullError, ServiceError
from nightjar.jobs.console_lines import ConsoleLine, follow_lines
from nightjar.jobs.event_stream import EventBatch, EventReader
from nightjar.jobs.mongo import Database, DatabaseError
from nightjar.jobs.periodic import end_task
from nightjar.jobs.queue import Doorbell
from nightjar.web.events.frames import EventFrame, event_frame, told_events
from nightjar.web.events.names import RunNames

MOST_UNREAD = 64
"""Frames that wait for a tab. One that does not take them is dropped; its browser comes back and is told what it
missed."""
MOST_REPLAYED = 500
MOST_STREAMS = 200
MOST_OF_SESSION = 6
"""Browsers open no more than six connections to a host over HTTP/1.1."""
CROWDED_S = 30.0
AWAY_S = 3.0
"""Redis has not answered for so long: it is away. The reader hears something, if only silence, every second."""
LOOK_S = 0.5
PAUSE_S = 0.5
_log = structlog.get_logger()


@dataclass(eq=False)
class Ear:
    """One stream's place in the feed. `lines`: it may hear llama.cpp's lines."""

    lines: bool = False
    frames: asyncio.Queue[EventFrame] = field(default_factory=lambda: asyncio.Queue(MOST_UNREAD))
    lost: bool = False
    """It was too slow, and hears no more."""


class EventFeed:
    """Use it as a context while requests are taken."""

    def __init__(self, doorbell: Doorbell, database: Database, closing: asyncio.Event) -> None:
        self._doorbell = doorbell
        self._reader = EventReader(doorbell)
        self._names = RunNames(database)
        self._closing = closing
        self._ears: set[Ear] = set()
        self._streams: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []
        self._heard_at = 0.0
        self.away = False

    async def __aenter__(self) -> EventFeed:
        self._heard_at = monotonic()
        work = (self._read(), self._read_lines(), self._watch(), self._say_goodbye())
        self._tasks = [asyncio.create_task(each) for each in work]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            await end_task(task)

    def check_room(self, holder: str) -> None:
        """Raises QueueFullError where this session or token, or all together, have too many streams."""
        if self._streams[holder] >= MOST_OF_SESSION or self._streams.total() >= MOST_STREAMS:
            raise QueueFullError(
                f"Too many streams are open at once: {MOST_OF_SESSION} of a session or a token, {MOST_STREAMS} in all. "
                "Close a page, or ask again when one has ended.",
                retry_after_s=CROWDED_S,
            )

    @contextlib.contextmanager
    def counted(self, holder: str) -> Iterator[None]:
        """One open stream: of events, of a text, or of replies in the playground."""
        self._streams[holder] += 1
        try:
            yield
        finally:
            self._streams[holder] -= 1
            if not self._streams[holder]:
                del self._streams[holder]

    @contextlib.contextmanager
    def listen(self, *, lines: bool) -> Iterator[Ear]:
        """An ear for one stream."""
        ear = Ear(lines=lines)
        self._ears.add(ear)
        if self.away:
            ear.frames.put_nowait(_AWAY)
        if self._closing.is_set():
            ear.frames.put_nowait(_CLOSING)
        try:
            yield ear
        finally:
            self._ears.discard(ear)

    async def missed(self, after: str) -> EventFrame:
        """What came after that place in the stream; that something is lost, where it is."""
        try:
            batch = await self._reader.replay(after, limit=MOST_REPLAYED)
            if len(batch.events) == MOST_REPLAYED:  # to read everything anew is less work
                batch = EventBatch(events=(), last=await self._reader.last(), gap=True)
            return await self._frame(batch) or event_frame("moved", [], place=batch.last)
        except ServiceError:
            return _AWAY

    async def recent(self, limit: int) -> list[dict[str, object]]:
        """The newest events, oldest first. Raises ServiceError, DatabaseError."""
        events = await self._reader.newest(limit)
        return told_events(events, await self._names.of(seen.event.run for seen in events if seen.event.run))

    def tell(self, frame: EventFrame, *, lines: bool = False) -> None:
        """Hands a frame to every ear; with `lines` to those that may hear such."""
        for ear in list(self._ears):
            if lines and not ear.lines:
                continue
            try:
                ear.frames.put_nowait(frame)
            except asyncio.QueueFull:
                ear.lost = True
                self._ears.discard(ear)

    def computed(self) -> None:
        """Something that pages wait for has been worked out here."""
        self.tell(event_frame("moved", [{"kind": "computed"}]))

    async def _read(self) -> None:
        async for batch in self._reader.follow(await self._begin()):
            self._heard_at, self.away = monotonic(), False
            if (frame := await self._frame(batch)) is not None:
                self.tell(frame)

    async def _begin(self) -> str:
        while True:
            try:
                return await self._reader.last()
            except ServiceError:
                await asyncio.sleep(PAUSE_S)

    async def _frame(self, batch: EventBatch) -> EventFrame | None:
        """None where it has nothing to say."""
        if batch.gap:
            return event_frame("gap", {}, place=batch.last)
        if not batch.events:
            return None
        try:
            names = await self._names.of(seen.event.run for seen in batch.events if seen.event.run)
        except DatabaseError:
            return event_frame("gap", {}, place=batch.last)  # it is read anew when MongoDB is back
        told = told_events(batch.events, names)
        return event_frame("moved", told, place=batch.last) if told else None

    async def _read_lines(self) -> None:
        async for lines in follow_lines(self._doorbell):
            self.tell(event_frame("lines", told_lines(lines)), lines=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if not self.away and monotonic() - self._heard_at > AWAY_S:
                self.away = True
                _log.warning("events_away")
                self.tell(_AWAY)

    async def _say_goodbye(self) -> None:
        await self._closing.wait()
        self.tell(_CLOSING)


_AWAY = event_frame("away", {})
_CLOSING = event_frame("closing", {}, last=True)


def told_lines(lines: list[ConsoleLine]) -> list[dict[str, object]]:
    """Lines as a console gets them."""
    return [asdict(line) for line in lines]
