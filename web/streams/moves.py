"""`/events`: what moved, as a stream of server-sent events; a browser has one of them for all its tabs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse

from nightjar.config.errors import ServiceError
from nightjar.jobs.console_lines import recent_lines
from nightjar.jobs.mongo import DatabaseError
from nightjar.web.auth.roles import Action
from nightjar.web.events.feed import told_lines
from nightjar.web.events.frames import RETRY, STILL_HERE, is_after
from nightjar.web.routing import Route
from nightjar.web.site import Site, site_of
from nightjar.web.visitors import STRANGER, Visitor, identify, visitor_of

STREAMED = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""Of a stream: no proxy holds it back."""
SILENT_S = 15.0
"""So often a stream says that it is there, and whoever listens is looked at again."""
RECENT = 200
LONGEST_PLACE = 40


async def events(request: Request) -> StreamingResponse:
    """Events from now on, or after `Last-Event-ID` (or `after`, of a script that comes back by itself)."""
    site, visitor = site_of(request), visitor_of(request)
    after = request.headers.get("last-event-id") or request.query_params.get("after") or ""
    site.feed.check_room(holder_of(visitor))
    return StreamingResponse(
        _pieces(after[:LONGEST_PLACE], request, site), media_type="text/event-stream", headers=STREAMED
    )


def holder_of(visitor: Visitor) -> str:
    """Whose streams are counted together: a session's, or a token's."""
    return visitor.session or visitor.name


async def _pieces(after: str, request: Request, site: Site) -> AsyncIterator[str]:
    visitor = visitor_of(request)
    with site.feed.counted(holder_of(visitor)), site.feed.listen(lines=visitor.can(Action.RUN)) as ear:
        yield RETRY
        place = None
        if after:
            missed = await site.feed.missed(after)
            place = missed.place
            yield missed.text
        looks = Looks(request)
        while not ear.lost:
            if looks.due:
                if not await looks.still_may(Action.READ):
                    return
                ear.lines = looks.visitor.can(Action.RUN)
                yield STILL_HERE
            try:
                frame = await asyncio.wait_for(ear.frames.get(), looks.left_s)
            except TimeoutError:
                continue
            replayed = frame.kind == "moved" and frame.place and place and not is_after(frame.place, place)
            if not replayed:
                yield frame.text
            if frame.last:
                return


class Looks:
    """When it is time to look again at whoever listens, however much is said: sessions end, and roles change."""

    def __init__(self, request: Request) -> None:
        self.visitor = visitor_of(request)
        """Who listens, by the last look."""
        self._request = request
        self._next = _now() + SILENT_S

    @property
    def left_s(self) -> float:
        return max(0.0, self._next - _now())

    @property
    def due(self) -> bool:
        return self.left_s == 0

    async def still_may(self, action: Action) -> bool:
        """Looks again. While MongoDB is away what was known holds."""
        self._next = _now() + SILENT_S
        with contextlib.suppress(DatabaseError, ServiceError):
            try:
                self.visitor = await identify(self._request)
            except HTTPException:
                self.visitor = STRANGER
        return self.visitor.can(action)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def recent_events(request: Request) -> JSONResponse:
    """What a console shows first: the newest events, and for whoever may see them llama.cpp's newest lines."""
    site = site_of(request)
    told = await site.feed.recent(RECENT)
    lines = told_lines(await recent_lines(site.redis, RECENT)) if visitor_of(request).can(Action.RUN) else []
    return JSONResponse({"moved": told, "lines": lines})


ROUTES = (
    Route(method="GET", path="/events", action=Action.READ, answer=events),
    Route(method="GET", path="/events/recent", action=Action.READ, answer=recent_events),
)
