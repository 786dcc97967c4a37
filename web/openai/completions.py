"""`/v1/completions`: texts that a model goes on with, without its chat template."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from nightjar.jobs.live.state import LiveEnd
from nightjar.jobs.live.text import LivePiece
from nightjar.jobs.live_request import LiveAsk
from nightjar.web.auth.roles import Action
from nightjar.web.openai.asking import asker, named_model, told_without, with_memory
from nightjar.web.openai.bodies import read_json
from nightjar.web.openai.cached import submit_asks
from nightjar.web.openai.events import answered
from nightjar.web.openai.fields import COMPLETION
from nightjar.web.openai.given_texts import given_texts, is_given_text
from nightjar.web.openai.refusals import RefusedFieldError
from nightjar.web.openai.schema import MOST_CHOICES, CompletionRequest, read_request
from nightjar.web.openai.translate import (
    each_choice,
    openai_finish,
    sampling_parameters,
    token_usage,
    told_of,
    visible_chances,
)
from nightjar.web.routing import Route

DEFAULT_TOKENS = 16


async def text_completions(request: Request) -> Response:
    """What a text goes on with; each prompt and choice is a job."""
    asked, without = read_request(await read_json(request), COMPLETION, CompletionRequest)
    model = named_model(request, asked.model)
    if len(asked.prompt) * asked.n > MOST_CHOICES:
        raise RefusedFieldError(f"At most {MOST_CHOICES} prompts times choices.", param="n", code="invalid_value")
    if is_given_text(asked):
        return await given_texts(asked, model, request, without, DEFAULT_TOKENS)
    if asked.max_tokens == 0:
        raise RefusedFieldError("Without `echo` max_tokens is at least 1.", param="max_tokens", code="invalid_value")
    asks = await with_memory(request, completion_asks(asked, model, asker(request)))
    replies, used = await submit_asks(asks, request)
    shape = CompletionShape(
        id=f"cmpl-{replies[0].job.id}",
        created=int(time.time()),
        model=model,
        choices=asked.n,
        likely=asked.logprobs,
    )
    return await answered(asked, replies, shape, request, used | told_without(without))


def completion_asks(request: CompletionRequest, model: str, user: str) -> list[LiveAsk]:
    """One for each text and choice. Raises RefusedFieldError, and UsageError."""
    prompts = [prompt for prompt in request.prompt if isinstance(prompt, str)]
    parameters = {"max_tokens": DEFAULT_TOKENS} | sampling_parameters(request)
    if request.logprobs is not None:
        parameters["top_logprobs"] = max(1, request.logprobs)
    asks = (
        LiveAsk(user=user, model=model, text=prompt, parameters=parameters, store=request.store) for prompt in prompts
    )
    return [choice for ask in asks for choice in each_choice(ask, request)]


@dataclass(frozen=True, kw_only=True)
class CompletionShape:
    """How the answers to one request look. `choices`: of each prompt. `likely`: tokens in the place of each."""

    id: str
    created: int
    model: str
    choices: int
    likely: int | None = None

    def completion(self, ends: Sequence[LiveEnd]) -> dict[str, Any]:
        choices = [self._choice(index, end.reply, end) for index, end in enumerate(ends)]
        return self._head(choices) | {"usage": self._usage(ends), "nightjar": [told_of(end) for end in ends]}

    def opening(self, index: int) -> None:
        """There is nothing before the text."""

    def piece(self, index: int, piece: LivePiece) -> dict[str, Any]:
        return self._head([self._choice(index, piece.text)])

    def closing(self, index: int, end: LiveEnd) -> dict[str, Any]:
        return self._head([self._choice(index, "", end)]) | {"nightjar": [told_of(end)]}

    def usage(self, ends: Sequence[LiveEnd]) -> dict[str, Any]:
        return self._head([]) | {"usage": self._usage(ends)}

    def _head(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        head = {"id": self.id, "object": "text_completion", "created": self.created, "model": self.model}
        return head | {"choices": choices}

    def _choice(self, index: int, text: str, end: LiveEnd | None = None) -> dict[str, Any]:
        wanted = end is not None and self.likely is not None
        return {
            "index": index,
            "text": text,
            "logprobs": _chances(end, self.likely or 0) if end is not None and wanted else None,
            "finish_reason": None if end is None else openai_finish(end),
            "stop_reason": None if end is None else end.stop_string,
        }

    def _usage(self, ends: Sequence[LiveEnd]) -> dict[str, Any]:
        return token_usage(ends, self.choices)


def _chances(end: LiveEnd, likely: int) -> dict[str, Any]:
    """As this older protocol has them: lists that go with each other."""
    tokens = visible_chances(end)
    offsets, length = [], 0
    for token in tokens:
        offsets.append(length)
        length += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [dict(token.top[:likely]) for token in tokens],
        "text_offset": offsets,
    }


def _route(path: str) -> Route:
    return Route(
        method="POST",
        path=path,
        action=Action.GENERATE,
        answer=text_completions,
        documented=True,
        body=CompletionRequest,
    )


ROUTES = (_route("/v1/completions"), _route("/m/{model}/v1/completions"))
