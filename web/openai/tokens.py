"""vLLM's tokenizer routes, as lm-evaluation-harness calls them, llama.cpp's `/apply-template`, and embeddings.

Each question is a job of the model's worker, which has its vocabulary and its template.
"""

from __future__ import annotations

import base64
from array import array
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from nightjar.jobs.live.task import LiveTask, TaskKind
from nightjar.jobs.live_request import LiveAsk, live_sequence
from nightjar.web.auth.roles import Action
from nightjar.web.openai.asking import GONE, asker, named_model, named_or_served, on_account, told_without
from nightjar.web.openai.bodies import read_json
from nightjar.web.openai.fields import EMBEDDING
from nightjar.web.openai.refusals import RefusedFieldError
from nightjar.web.openai.schema import (
    DetokenizeRequest,
    EmbeddingRequest,
    TokenizeRequest,
    only_texts,
    read_loosely,
    read_request,
)
from nightjar.web.openai.streams import ClientGoneError, computed
from nightjar.web.openai.translate import live_messages
from nightjar.web.routing import Route
from nightjar.web.site import site_of

_MOST_CHARS = 4_000_000
"""Of all texts of one request; more would not fit into one document of MongoDB."""


async def embeddings(request: Request) -> Response:
    """One vector a text, nothing cut off: of a long text it is the mean of its parts' vectors."""
    asked, without = read_request(await read_json(request), EMBEDDING, EmbeddingRequest)
    texts = only_texts(asked.input, "input")
    if not all(text.strip() for text in texts):
        raise RefusedFieldError("A text of 'input' is empty.", param="input", code="invalid_value")
    model = named_model(request, asked.model)
    decoded = _base64 if asked.encoding_format == "base64" else _floats

    def answer(result: Mapping[str, Any]) -> dict[str, Any]:
        vectors = [
            {"object": "embedding", "index": index, "embedding": decoded(vector)}
            for index, vector in enumerate(result["vectors"])
        ]
        usage = {"prompt_tokens": result["tokens"], "total_tokens": result["tokens"]}
        return {"object": "list", "data": vectors, "model": model, "usage": usage}

    return await _answered(request, model, TaskKind.EMBED, {"texts": texts}, answer, told_without(without))


def _base64(vector: bytes) -> str:
    return base64.b64encode(vector).decode()


def _floats(vector: bytes) -> list[float]:
    return array("f", vector).tolist()


async def tokenize(request: Request) -> Response:
    """Token ids of a text or a conversation."""
    asked = read_loosely(await read_json(request), TokenizeRequest)
    model = await named_or_served(request, asked.model)
    given = _sequence(asked, model, request) if asked.messages is not None else {"text": _text(asked)}
    special = asked.messages is None if asked.add_special_tokens is None else asked.add_special_tokens

    def answer(result: Mapping[str, Any]) -> dict[str, Any]:
        return {"count": len(result["ids"]), "max_model_len": result["context"], "tokens": result["ids"]}

    return await _answered(request, model, TaskKind.TOKENIZE, {**given, "add_special": special}, answer)


async def detokenize(request: Request) -> Response:
    """The text of token ids; control tokens are nothing in it."""
    asked = read_loosely(await read_json(request), DetokenizeRequest)
    model = await named_or_served(request, asked.model)
    return await _answered(
        request, model, TaskKind.DETOKENIZE, {"ids": asked.tokens}, lambda result: {"prompt": result["text"]}
    )


async def tokenizer_info(request: Request) -> Response:
    """What clients want to know of the vocabulary."""
    model = await named_or_served(request, request.query_params.get("model"))

    def answer(result: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "tokenizer_class": "GGUF",
            "bos_token": result["bos_text"] or None,
            "eos_token": result["eos_text"] or None,
            "add_bos_token": result["add_bos"],
            "chat_template": result["chat_template"],
            "vocab_size": result["size"],
            "model_max_length": result["context"],
        }

    return await _answered(request, model, TaskKind.VOCABULARY, {}, answer)


async def apply_template(request: Request) -> Response:
    """The prompt that a conversation becomes, without a reply to it."""
    asked = read_loosely(await read_json(request), TokenizeRequest)
    model = await named_or_served(request, asked.model)
    given = _sequence(asked, model, request)
    return await _answered(request, model, TaskKind.RENDER, given, lambda result: {"prompt": result["text"]})


def _text(asked: TokenizeRequest) -> str:
    if asked.prompt is None:
        raise RefusedFieldError("There is neither 'prompt' nor 'messages'.", param="prompt", code="invalid_value")
    return asked.prompt


def _sequence(asked: TokenizeRequest, model: str, request: Request) -> dict[str, Any]:
    parameters = {"template": asked.chat_template_kwargs} if asked.chat_template_kwargs else {}
    messages = live_messages(asked.messages or [])
    ask = LiveAsk(user=asker(request), model=model, messages=messages, parameters=parameters)
    return {"sequence": live_sequence(ask, "rendered").model_dump(mode="json")}


async def _answered(
    request: Request,
    model: str,
    kind: TaskKind,
    given: Mapping[str, Any],
    answer: Callable[[Mapping[str, Any]], dict[str, Any]],
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The question as a job, and its result in the client's words."""
    if sum(len(text) for text in given.get("texts", ())) > _MOST_CHARS:
        raise RefusedFieldError(f"More than {_MOST_CHARS:,} characters in one request.", param="input")
    site = site_of(request)
    task = on_account(LiveTask(user=asker(request), model=model, kind=kind, given=given), request)
    reply = await site.live.submit_task(task)
    try:
        result = await computed(reply, request, site)
    except ClientGoneError:
        return Response(status_code=GONE)
    return JSONResponse(answer(result), headers=dict(headers or {}))


def _twice(method: str, path: str, answer: Any, body: Any = None) -> tuple[Route, Route]:
    """At the root, where clients look for it, and for a model that the address names."""
    kinds = {"method": method, "action": Action.GENERATE, "answer": answer, "documented": True, "body": body}
    return Route(path=path, **kinds), Route(path=f"/m/{{model}}{path}", **kinds)


ROUTES = (
    *_twice("POST", "/v1/embeddings", embeddings, EmbeddingRequest),
    *_twice("POST", "/tokenize", tokenize, TokenizeRequest),
    *_twice("POST", "/detokenize", detokenize, DetokenizeRequest),
    *_twice("GET", "/tokenizer_info", tokenizer_info),
    *_twice("POST", "/apply-template", apply_template, TokenizeRequest),
)
