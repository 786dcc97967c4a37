"""The text of a job that is being replied to, as it grows: for whoever watches a run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse

from nightjar.config.errors import ServiceError, UnknownNameError
from nightjar.jobs.documents import Job
from nightjar.jobs.live import bell as live_bell
from nightjar.jobs.lookup import find_run
from nightjar.jobs.states import JobKind
from nightjar.web.auth.roles import Action
from nightjar.web.events.frames import RETRY, STILL_HERE, event_frame
from nightjar.web.routing import Route
from nightjar.web.site import Site, site_of
from nightjar.web.streams.moves import STREAMED, Looks, holder_of
from nightjar.web.visitors import visitor_of

CLOSING_LOOK_S = 0.25
T = TypeVar("T")


async def job_text(request: Request, name: str, job: str) -> StreamingResponse:
    """From the beginning of the turn that is under way, until the job has ended or is given back."""
    site = site_of(request)
    run = await find_run(name, site.database)
    if await Job.find_one({"_id": job, "run": run.id, "kind": JobKind.REPLY}) is None:
        raise UnknownNameError("job", job, (), f"Run {run.name!r} has none of that id.")
    site.feed.check_room(holder_of(visitor_of(request)))
    return StreamingResponse(_texts(job, request, site), media_type="text/event-stream", headers=STREAMED)


async def _texts(job: str, request: Request, site: Site) -> AsyncIterator[str]:
    with site.feed.counted(holder_of(visitor_of(request))):
        yield RETRY
        async with site.live.channel.follow(job) as texts:
            with contextlib.suppress(ServiceError):
                await live_bell.call_out(site.redis, live_bell.AGAIN, job)
            looks = Looks(request)
            while not site.closing.is_set():
                if looks.due:
                    if not await looks.still_may(Action.READ):
                        return
                    yield STILL_HERE
                message = await next_of(texts, site.closing, looks.left_s)
                if message is None:
                    continue
                if message.ended:
                    yield event_frame("ended", {}).text
                    return
                said = {"fence": message.fence, "turn": message.turn + 1, "part": message.part}
                yield event_frame("text", {**said, "offset": message.offset, "text": message.text}).text


async def next_of(queue: asyncio.Queue[T], closing: asyncio.Event, within_s: float) -> T | None:
    """What comes next; None where nothing does for so long, or the server ends."""
    until = asyncio.get_running_loop().time() + within_s
    while not closing.is_set() and (left_s := until - asyncio.get_running_loop().time()) > 0:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(queue.get(), min(left_s, CLOSING_LOOK_S))
    return None


ROUTES = (Route(method="GET", path="/runs/{name}/jobs/{job}/text", action=Action.READ, answer=job_text),)
