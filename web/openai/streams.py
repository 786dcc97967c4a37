"""Replies under way, for one client: what is heard of them until they have ended, or it has gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from nightjar.config.errors import NightjarError, ServiceError
from nightjar.jobs.live.reply_cache import FollowedReply
from nightjar.jobs.live.state import LiveEnd
from nightjar.jobs.live.text import LivePiece
from nightjar.web.site import Site
from nightjar.web.streams.leaving import leave_replies

WAITING_S = 3.0
"""After so long without text a stream has a comment, so that nobody on the way takes it for dead."""
WAITING = ": waiting\n\n"
DONE = "data: [DONE]\n\n"


class ClientGoneError(NightjarError):
    """Nobody is there any more to be answered."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Text of one of the replies, or its end; of a task, what came of it."""

    index: int
    piece: LivePiece | None = None
    end: LiveEnd | None = None
    computed: Mapping[str, Any] | None = None


async def follow_replies(replies: Sequence[FollowedReply], request: Request, site: Site) -> AsyncIterator[Heard | None]:
    """What is heard; None after a while of silence. Left before its end, it cancels what has not ended.

    Raises the first NightjarError of a reply, ClientGoneError, and ServiceError where the server ends.
    """
    heard: asyncio.Queue[Heard | Exception] = asyncio.Queue()
    tasks = [asyncio.create_task(_pump(index, reply, heard)) for index, reply in enumerate(replies)]
    tasks += [asyncio.create_task(_until_gone(request, heard)), asyncio.create_task(_until_closing(site, heard))]
    missing = len(replies)
    running = site.meters.running.labels(replies[0].job.model)
    running.inc(missing)
    try:
        while missing:
            try:
                async with asyncio.timeout(WAITING_S):
                    item = await heard.get()
            except TimeoutError:
                yield None
                continue
            if isinstance(item, Exception):
                site.meters.failed(replies[0].job.model, item)
                raise item
            if item.end is not None:
                route = getattr(request.state, "route", None)
                site.meters.ended(replies[item.index].job.model, item.end, route)
            missing -= item.piece is None
            yield item
    finally:
        running.dec(len(replies))
        site.keep(asyncio.create_task(leave_replies(replies, tasks)))  # this task may be cancelled by now


async def _pump(index: int, reply: FollowedReply, heard: asyncio.Queue[Heard | Exception]) -> None:
    try:
        async for piece in reply:
            heard.put_nowait(Heard(index=index, piece=piece))
        heard.put_nowait(Heard(index=index, end=reply.end, computed=reply.computed))
    except Exception as error:
        heard.put_nowait(error)


async def _until_gone(request: Request, heard: asyncio.Queue[Heard | Exception]) -> None:
    """The body has been read: what comes next is the client's leaving."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    heard.put_nowait(ClientGoneError("The client has gone."))


async def _until_closing(site: Site, heard: asyncio.Queue[Heard | Exception]) -> None:
    await site.closing.wait()
    heard.put_nowait(ServiceError("The server is ending. Ask again when it is back."))


async def all_ends(replies: Sequence[FollowedReply], request: Request, site: Site) -> list[LiveEnd]:
    """The ends of all, in order. Raises like `follow_replies`."""
    ends: dict[int, LiveEnd] = {}
    for reply in replies:
        reply.whole = True
    async for item in follow_replies(replies, request, site):
        if item is not None and item.end is not None:
            ends[item.index] = item.end
    return [ends[index] for index in sorted(ends)]


async def computed(reply: FollowedReply, request: Request, site: Site) -> Mapping[str, Any]:
    """What came of a task. Raises like `follow_replies`."""
    [result] = await all_computed([reply], request, site)
    return result


async def all_computed(replies: Sequence[FollowedReply], request: Request, site: Site) -> list[Mapping[str, Any]]:
    """What came of tasks, in order. Raises like `follow_replies`."""
    results: dict[int, Mapping[str, Any]] = {}
    async for item in follow_replies(replies, request, site):
        if item is not None and item.computed is not None:
            results[item.index] = item.computed
    return [results[index] for index in sorted(results)]


def sse(data: Any) -> str:
    """One event."""
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"
