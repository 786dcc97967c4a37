"""The routes of `/v1`, and of `/m/NAME/v1` for clients that name no model."""

from __future__ import annotations

import time
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from nightjar.config.errors import UnknownNameError
from nightjar.jobs.documents import PublishedModel
from nightjar.jobs.published import all_published
from nightjar.jobs.routing.policies import is_routed
from nightjar.web.auth.roles import Action
from nightjar.web.openai.asking import asker, named_model, told_without, with_memory
from nightjar.web.openai.bodies import read_json
from nightjar.web.openai.cached import submit_asks
from nightjar.web.openai.events import answered
from nightjar.web.openai.fields import CHAT
from nightjar.web.openai.routed import answer_routed
from nightjar.web.openai.schema import ChatRequest, SamplingFields, read_request
from nightjar.web.openai.translate import ChatShape, chat_asks
from nightjar.web.routing import Route
from nightjar.web.site import site_of


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
    model = named_model(request, asked.model)
    if is_routed(model):
        return await answer_routed(request, asked, model, tuple(without))
    asks = await with_memory(request, chat_asks(asked, model, asker(request)))
    replies, used = await submit_asks(asks, request)
    shape = ChatShape(
        id=f"chatcmpl-{replies[0].job.id}",
        created=int(time.time()),
        model=model,
        top_logprobs=asked.top_logprobs if asked.logprobs else None,
    )
    return await answered(asked, replies, shape, request, used | told_without(without))


def _both(method: str, path: str, answer: Any, body: type[SamplingFields] | None = None) -> tuple[Route, Route]:
    """A route of `/v1`, and the same of `/m/NAME/v1`."""
    kinds = {"method": method, "action": Action.GENERATE, "answer": answer, "documented": True, "body": body}
    return Route(path=f"/v1{path}", **kinds), Route(path=f"/m/{{model}}/v1{path}", **kinds)


ROUTES = (
    *_both("GET", "/models", list_models),
    *_both("GET", "/models/{name}", show_model),
    *_both("POST", "/chat/completions", chat_completions, ChatRequest),
)
