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
from nightjar.web.visitors import Visitor, identify, visitor_of

STREAMED = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""Of a stream: no proxy holds it back."""
SILENT_S = 15.0
"""After so long without an event the stream says that it is there, and whoever listens is looked at again."""
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
        while not ear.lost:
            try:
                frame = await asyncio.wait_for(ear.frames.get(), SILENT_S)
            except TimeoutError:
                if not await still_may(request, Action.READ):
                    return
                yield STILL_HERE
                continue
            replayed = frame.kind == "moved" and frame.place and place and not is_after(frame.place, place)
            if not replayed:
                yield frame.text
            if frame.last:
                return


async def still_may(request: Request, action: Action) -> bool:
    """Whether whoever asked may still do so: sessions end, and roles change. True while MongoDB is away."""
    with contextlib.suppress(DatabaseError, ServiceError):
        try:
            return (await identify(request)).can(action)
        except HTTPException:
            return False
    return True


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
