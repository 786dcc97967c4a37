"""`/generate`, `/summarize`, `/compress` and `/extract-parameters`: their bodies as they always were."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from nightjar.config.errors import LiveError
from nightjar.jobs.live.state import LiveEnd
from nightjar.jobs.live_request import LiveAsk
from nightjar.web.auth.roles import Action
from nightjar.web.openai.asking import GONE, asker, named_or_served
from nightjar.web.openai.bodies import read_json
from nightjar.web.openai.cached import submit_asks
from nightjar.web.openai.schema import read_loosely
from nightjar.web.openai.streams import ClientGoneError, all_ends
from nightjar.web.routing import Route
from nightjar.web.service.prompts import (
    arguments_schema,
    compression_prompt,
    extraction_prompt,
    summary_prompt,
    whole_sentences,
)
from nightjar.web.service.schema import CompressRequest, ExtractRequest, GenerateRequest, SummarizeRequest
from nightjar.web.site import site_of

_GREEDY = {"temperature": 0}
_MOST_ARGUMENTS = 1024
"""Tokens of a function's arguments."""


async def generate_text(request: Request) -> Response:
    """A reply to a prompt."""
    asked = read_loosely(await read_json(request), GenerateRequest)
    parameters: dict[str, Any] = {"max_tokens": asked.max_tokens}
    parameters |= {} if asked.temperature is None else {"temperature": asked.temperature}
    return await _reply(request, asked.model, asked.prompt, parameters, asked.seed, lambda end: {"text": end.reply})


async def summarize(request: Request) -> Response:
    """A summary that keeps to its limit, in whole sentences where it has any."""
    asked = read_loosely(await read_json(request), SummarizeRequest)
    prompt = summary_prompt(asked.context, asked.max_summary_tokens)
    parameters = _GREEDY | {"max_tokens": asked.max_summary_tokens}
    return await _reply(request, asked.model, prompt, parameters, asked.seed, lambda end: {"summary": _kept(end)})


async def compress(request: Request) -> Response:
    """The facts of a text within a limit."""
    asked = read_loosely(await read_json(request), CompressRequest)
    prompt = compression_prompt(asked.context, asked.max_tokens)
    parameters = _GREEDY | {"max_tokens": asked.max_tokens}
    return await _reply(request, asked.model, prompt, parameters, asked.seed, lambda end: {"compressed": _kept(end)})


async def extract_parameters(request: Request) -> Response:
    """A function's arguments out of a message; they match its schema."""
    asked = read_loosely(await read_json(request), ExtractRequest)
    schema = arguments_schema(asked.function_schema)
    prompt = extraction_prompt(asked.user_message, asked.function_schema)
    parameters = _GREEDY | {"json_schema": schema, "max_tokens": _MOST_ARGUMENTS}

    def read(end: LiveEnd) -> dict[str, Any]:
        if end.finish_reason != "stop":
            raise LiveError(f"The arguments were not complete within {_MOST_ARGUMENTS} tokens. Bound the schema.")
        return {"parameters": json.loads(end.reply)}

    return await _reply(request, asked.model, prompt, parameters, asked.seed, read)


def _kept(end: LiveEnd) -> str:
    return (end.reply if end.finish_reason == "stop" else whole_sentences(end.reply)).strip()


async def _reply(
    request: Request,
    named: str | None,
    prompt: str,
    parameters: Mapping[str, Any],
    seed: int | None,
    answer: Any,
) -> Response:
    site = site_of(request)
    model = await named_or_served(request, named)
    messages = [{"role": "user", "content": prompt}]
    ask = LiveAsk(user=asker(request), model=model, messages=messages, parameters=parameters, seed=seed)
    try:
        replies, used = await submit_asks([ask], request)
        [end] = await all_ends(replies, request, site)
    except ClientGoneError:
        return Response(status_code=GONE)
    seconds = (end.claim_s or 0.0) + end.queue_s + end.prefill_s + end.decode_s
    told = {
        "model": model,
        "prompt_tokens": end.prompt_tokens,
        "tokens_generated": end.reply_tokens,
        "latency_ms": round(1000 * seconds, 3),
        "finish_reason": end.finish_reason,
    }
    return JSONResponse({**answer(end), **told}, headers=used)


def _route(path: str, answer: Any, body: Any) -> Route:
    return Route(method="POST", path=path, action=Action.GENERATE, answer=answer, documented=True, body=body)


ROUTES = (
    _route("/generate", generate_text, GenerateRequest),
    _route("/summarize", summarize, SummarizeRequest),
    _route("/compress", compress, CompressRequest),
    _route("/extract-parameters", extract_parameters, ExtractRequest),
)
