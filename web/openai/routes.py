"""The routes of `/v1`, and of `/m/NAME/v1` for clients that name no model."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from nightjar.config.errors import NightjarError, UnknownNameError
from nightjar.config.redact import redact_text
from nightjar.jobs.documents import PublishedModel
from nightjar.jobs.live import LiveReply
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.live_state import LiveEnd
from nightjar.jobs.mongo import DatabaseError
from nightjar.jobs.published import all_published
from nightjar.web.auth.roles import Action
from nightjar.web.openai.bodies import read_json
from nightjar.web.openai.fields import CHAT
from nightjar.web.openai.refusals import RefusedFieldError, openai_error
from nightjar.web.openai.schema import ChatRequest, SamplingFields, read_request
from nightjar.web.openai.streams import (
    DONE,
    WAITING,
    ClientGoneError,
    Heard,
    all_ends,
    follow_replies,
    sse,
)
from nightjar.web.openai.translate import ChatShape, chat_asks
from nightjar.web.routing import Route
from nightjar.web.site import Site, site_of
from nightjar.web.statuses import status_of_error
from nightjar.web.visitors import visitor_of

WITHOUT_EFFECT = "nightjar-without-effect"
_GONE = 499
"""Nobody sees it but the log."""
_STREAM = {"cache-control": "no-store", "x-accel-buffering": "no"}


async def list_models(request: Request) -> JSONResponse:
    """Every model that a host has published."""
    models = await all_published(site_of(request).database)
    return JSONResponse({"object": "list", "data": [_model(model) for model in models]})


async def show_model(request: Request, name: str) -> JSONResponse:
    """One model."""
    models = {model.id: model for model in await all_published(site_of(request).database)}
    if name not in models:
        raise UnknownNameError("model", name, models, "`/v1/models` lists them.")
    return JSONResponse(_model(models[name]))


def _model(model: PublishedModel) -> dict[str, Any]:
    facts = model.facts
    return {
        "id": model.id,
        "object": "model",
        "created": int(model.published_at.timestamp()),
        "owned_by": "nightjar",
        "nightjar": {"kind": facts.kind, "source": facts.source, "digest": facts.digest},
    }


async def chat_completions(request: Request) -> Response:
    """A reply to a conversation; each choice is a job."""
    asked, without = read_request(await read_json(request), CHAT, ChatRequest)
    model = named_model(request, asked)
    asks = chat_asks(asked, model, asker(request))
    replies = await submit_all(asks, site_of(request))
    shape = ChatShape(
        id=f"chatcmpl-{replies[0].job.id}",
        created=int(time.time()),
        model=model,
        top_logprobs=asked.top_logprobs if asked.logprobs else None,
    )
    headers = {WITHOUT_EFFECT: ", ".join(without)} if without else {}
    if asked.stream:
        return await stream_chat(asked, replies, shape, request, headers)
    try:
        ends = await all_ends(replies, request, site_of(request))
    except ClientGoneError:
        return Response(status_code=_GONE)
    return JSONResponse(shape.completion(ends), headers=headers)


def asker(request: Request) -> str:
    """On whose behalf the request is made."""
    visitor = visitor_of(request)
    return visitor.user or visitor.name.partition(" ")[0]


def named_model(request: Request, asked: SamplingFields) -> str:
    """The model of the address, else of the body. Raises RefusedFieldError where neither names one."""
    model = request.path_params.get("model") or asked.model
    if not model:
        raise RefusedFieldError("The request names no model; `/v1/models` lists them.", param="model")
    return str(model)


async def submit_all(asks: list[LiveAsk], site: Site) -> list[LiveReply]:
    """All of them or, where one is refused, none."""
    replies: list[LiveReply] = []
    try:
        for ask in asks:
            replies.append(await site.live.submit(ask))
    except BaseException:
        for reply in replies:
            await reply.cancel()
        raise
    return replies


async def stream_chat(
    asked: ChatRequest, replies: list[LiveReply], shape: ChatShape, request: Request, headers: dict[str, str]
) -> Response:
    """What goes wrong at once is told by the status; later, by an event of the stream."""
    heard = follow_replies(replies, request, site_of(request))
    try:
        first = await anext(heard)
    except ClientGoneError:
        return Response(status_code=_GONE)
    usage = asked.stream_options.include_usage
    events = _chat_events(first, heard, shape, len(replies), usage=usage)
    return StreamingResponse(events, media_type="text/event-stream", headers=_STREAM | headers)


async def _chat_events(
    first: Heard | None, heard: AsyncIterator[Heard | None], shape: ChatShape, choices: int, *, usage: bool
) -> AsyncIterator[str]:
    ends: dict[int, LiveEnd] = {}
    try:
        for index in range(choices):
            yield sse(shape.opening(index))
        async for item in _from_first(first, heard):
            if item is None:
                yield WAITING
            elif item.piece is not None:
                yield sse(shape.piece(item.index, item.piece))
            elif item.end is not None:
                ends[item.index] = item.end
                yield sse(shape.closing(item.index, item.end))
        if usage:
            yield sse(shape.usage([ends[index] for index in sorted(ends)]))
        yield DONE
    except ClientGoneError:
        return
    except (NightjarError, DatabaseError) as error:
        yield sse(openai_error(status_of_error(error), redact_text(str(error)), error))
    finally:
        await heard.aclose()  # type: ignore[attr-defined]


async def _from_first(first: Heard | None, rest: AsyncIterator[Heard | None]) -> AsyncIterator[Heard | None]:
    yield first
    async for item in rest:
        yield item


def _both(method: str, path: str, answer: Any, body: type[SamplingFields] | None = None) -> tuple[Route, Route]:
    """A route of `/v1`, and the same of `/m/NAME/v1`."""
    kinds = {"method": method, "action": Action.GENERATE, "answer": answer, "documented": True, "body": body}
    return Route(path=f"/v1{path}", **kinds), Route(path=f"/m/{{model}}/v1{path}", **kinds)


ROUTES = (
    *_both("GET", "/models", list_models),
    *_both("GET", "/models/{name}", show_model),
    *_both("POST", "/chat/completions", chat_completions, ChatRequest),
)
