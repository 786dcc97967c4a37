"""Live requests that are kept: their user lists, reads, replays and cancels them; an admin sees what is no text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import structlog
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from nightjar.config.errors import NightjarError, UsageError
from nightjar.config.redact import redact_text
from nightjar.jobs.live.kept import KeptRequest, list_kept, read_kept
from nightjar.jobs.live.requests import LiveReply
from nightjar.jobs.mongo import DatabaseError
from nightjar.jobs.periodic import end_task
from nightjar.jobs.sequences import Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import JobKind
from nightjar.web.api.answers import json_answer
from nightjar.web.auth.roles import Action
from nightjar.web.events.frames import RETRY, STILL_HERE, EventFrame, event_frame
from nightjar.web.openai.asking import asker
from nightjar.web.pages.declare import note_action, noting_failure
from nightjar.web.play.streams import DEFECT, end_words
from nightjar.web.routing import Route
from nightjar.web.site import Site, site_of
from nightjar.web.streams.moves import STREAMED, Looks, holder_of
from nightjar.web.streams.texts import next_of
from nightjar.web.visitors import visitor_of

MOST_REQUESTS = 200
_log = structlog.get_logger()


async def own_requests(request: Request, limit: int = 50, after: str | None = None) -> Response:
    """Your live requests that are still kept, newest first, without their texts; `next` as in `/api/runs`."""
    return await _listed(request, asker(request), limit, after)


async def all_requests(request: Request, limit: int = 50, after: str | None = None) -> Response:
    """The same of every user, for an admin: who asked which model when, and how that ended; never a text."""
    return await _listed(request, None, limit, after)


async def _listed(request: Request, user: str | None, limit: int, after: str | None) -> Response:
    if not 1 <= limit <= MOST_REQUESTS:
        raise UsageError(f"limit is {limit}; it is 1 to {MOST_REQUESTS}.")
    kept = await list_kept(site_of(request).database, user=user, limit=limit + 1, after=after)
    shown = kept[:limit]
    return json_answer(request, {"requests": shown, "next": shown[-1].id if len(kept) > limit else None})


async def own_request(request: Request, id: str) -> Response:
    """One of yours, with what was asked and replied as far as that is kept."""
    kept = await read_kept(id, asker(request), site_of(request).database)
    asked = None if kept.conversation is None else asked_words(kept.conversation)
    said = {"reply": kept.reply, "reasoning": kept.reasoning, "error": kept.error}
    return json_answer(request, {"request": {**vars(kept.about), "asked": asked, **said}})


def asked_words(conversation: PromptSequence) -> dict[str, Any]:
    """What was asked, in the words of a request."""
    turn, parameters = conversation.turns[0], conversation.parameters
    if conversation.mode is Mode.COMPLETION:
        return {"prompt": turn.prompt, "parameters": parameters}
    system = [] if conversation.system is None else [("system", conversation.system)]
    before = [(message.role.value, message.text) for message in conversation.messages]
    last = "user" if turn.answers is None else turn.answers.role.value
    said = [*system, *before, (last, turn.prompt)]
    return {"messages": [{"role": role, "content": text} for role, text in said], "parameters": parameters}


async def own_text(request: Request, id: str) -> StreamingResponse:
    """The reply of one of yours from its beginning, as server-sent events, until it ends. Leaving cancels nothing."""
    site, user = site_of(request), asker(request)
    about = (await read_kept(id, user, site.database)).about
    _refuse_unreplayable(about)
    site.feed.check_room(holder_of(visitor_of(request)))
    reply = await site.live.follow(id, user)
    return StreamingResponse(_replayed(reply, request, site), media_type="text/event-stream", headers=STREAMED)


def _refuse_unreplayable(about: KeptRequest) -> None:
    """Raises UsageError for what only whoever asked is given: heard by another it would be dropped before."""
    if about.kind != JobKind.REPLY:
        raise UsageError(f"{about.id} is a task ({about.kind}): it has no text that comes bit by bit.")
    if not about.stored:
        raise UsageError(f"{about.id} was asked with `store: false`: only the answer to it has its text.")


async def _replayed(reply: LiveReply, request: Request, site: Site) -> AsyncIterator[str]:
    frames: asyncio.Queue[EventFrame] = asyncio.Queue()
    with site.feed.counted(holder_of(visitor_of(request))):
        hearing = asyncio.create_task(_hear(reply, frames))
        try:
            yield RETRY
            looks = Looks(request)
            while not site.closing.is_set():
                if looks.due:
                    if not await looks.still_may(Action.GENERATE):
                        return
                    yield STILL_HERE
                frame = await next_of(frames, site.closing, looks.left_s)
                if frame is not None:
                    yield frame.text
                    if frame.last:
                        return
            yield event_frame("closing", {}).text
        finally:
            site.keep(asyncio.create_task(end_task(hearing)))


async def _hear(reply: LiveReply, frames: asyncio.Queue[EventFrame]) -> None:
    try:
        async for piece in reply:
            frames.put_nowait(event_frame("text", {"part": piece.part, "text": piece.text}))
        assert reply.end is not None
        frames.put_nowait(event_frame("ended", end_words(reply.end), last=True))
    except (NightjarError, DatabaseError) as error:
        frames.put_nowait(event_frame("failed", {"message": redact_text(str(error))}, last=True))
    except Exception:  # a stream without an end would be waited for without end
        _log.exception("replay_failed", job=reply.job.id)
        frames.put_nowait(event_frame("failed", {"message": DEFECT}, last=True))


async def cancel_request(request: Request, id: str) -> Response:
    """Ends one of yours within a step of its engine. `cancelled` is false for one that had ended."""
    site, user = site_of(request), asker(request)
    async with noting_failure(request, "cancel live request", id):
        about = (await read_kept(id, user, site.database)).about
        cancelled = await site.live.cancel(about.id, user=user)
    await note_action(request, "cancel live request", about.id, "done", {"cancelled": cancelled})
    return json_answer(request, {"request": {"id": about.id, "cancelled": cancelled}})


def _route(method: str, path: str, answer: object, action: Action = Action.GENERATE) -> Route:
    return Route(method=method, path=f"/api/live{path}", action=action, answer=answer, documented=True)  # type: ignore[arg-type]


ROUTES = (
    _route("GET", "", own_requests),
    _route("GET", "/all", all_requests, Action.MANAGE),
    _route("GET", "/{id}", own_request),
    _route("GET", "/{id}/text", own_text),
    _route("POST", "/{id}/cancel", cancel_request),
)
