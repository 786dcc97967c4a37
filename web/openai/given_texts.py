"""Completions of texts that are echoed with their tokens' log-probabilities, or that are given as token ids.

Each prompt and choice is a task of the model's worker, which has its vocabulary and its logits.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from nightjar.jobs.identity import MOST_SEED
from nightjar.jobs.live.requests import LiveReply
from nightjar.jobs.live.task import LiveTask, TaskKind
from nightjar.web.openai.asking import GONE, asker, submit_all, told_without
from nightjar.web.openai.refusals import RefusedFieldError
from nightjar.web.openai.schema import CompletionRequest
from nightjar.web.openai.streams import ClientGoneError, all_computed
from nightjar.web.openai.translate import sampling_parameters
from nightjar.web.site import site_of

MOST_IDS = 500_000
"""Of all prompts of one request; more would not fit into one document of MongoDB."""
_Prompt = str | list[int]


def is_given_text(asked: CompletionRequest) -> bool:
    """Whether the request is one of these."""
    return asked.echo or any(isinstance(prompt, list) for prompt in asked.prompt)


async def given_texts(
    asked: CompletionRequest, model: str, request: Request, without: Sequence[str], default_tokens: int
) -> Response:
    """The whole answer. Raises RefusedFieldError, and what the model's worker says against it."""
    tasks = completion_tasks(asked, model, asker(request), default_tokens)
    site = site_of(request)
    replies = await submit_all(tasks, request)
    try:
        results = await all_computed(replies, request, site)
    except ClientGoneError:
        return Response(status_code=GONE)
    shape = GivenShape(id=f"cmpl-{replies[0].job.id}", created=int(time.time()), model=model, likely=asked.logprobs)
    told = [_told_of(reply, task, result) for reply, task, result in zip(replies, tasks, results, strict=True)]
    return JSONResponse(shape.completion(results, asked.n) | {"nightjar": told}, headers=told_without(without))


def completion_tasks(asked: CompletionRequest, model: str, user: str, default_tokens: int) -> list[LiveTask]:
    """One for each prompt and choice; seeds follow each other where one was given. Raises RefusedFieldError."""
    if asked.stream:
        raise RefusedFieldError(
            "A stream cannot echo its prompt, nor go on with token ids. Ask for the whole answer.",
            param="stream",
            code="not_yet_supported",
        )
    if sum(len(prompt) for prompt in asked.prompt if isinstance(prompt, list)) > MOST_IDS:
        raise RefusedFieldError(f"More than {MOST_IDS:,} token ids in one request.", param="prompt")
    parameters = sampling_parameters(asked)
    tokens = parameters.pop("max_tokens", 0 if asked.max_tokens == 0 else default_tokens)
    seeded = asked.seed is not None and asked.seed != -1
    first = asked.seed if seeded and asked.seed is not None else random.randint(0, MOST_SEED)  # noqa: S311
    given = {"echo": asked.echo, "likely": asked.logprobs, "max_tokens": tokens, "parameters": parameters}
    return [
        LiveTask(
            user=user,
            model=model,
            kind=TaskKind.COMPLETE,
            given=given | _prompt(prompt) | {"seed": (first + choice) % (MOST_SEED + 1)},
        )
        for prompt in asked.prompt
        for choice in range(asked.n)
    ]


def _prompt(prompt: _Prompt) -> dict[str, Any]:
    return {"text": prompt} if isinstance(prompt, str) else {"ids": prompt}


@dataclass(frozen=True, kw_only=True)
class GivenShape:
    """How the answer looks. `likely`: tokens in the place of each; None: no log-probabilities."""

    id: str
    created: int
    model: str
    likely: int | None

    def completion(self, results: Sequence[Mapping[str, Any]], choices: int) -> dict[str, Any]:
        """`choices`: of each prompt, whose tokens are counted once."""
        prompt = sum(result["prompt_tokens"] for result in results[::choices])
        completion = sum(result["reply_tokens"] for result in results)
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": [self._choice(index, result) for index, result in enumerate(results)],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            },
        }

    def _choice(self, index: int, result: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "index": index,
            "text": result["text"] + result["reply"],
            "logprobs": None if self.likely is None else _chances([*result["echoed"], *result["chances"]]),
            "finish_reason": "stop" if result["finish_reason"] == "stop" else "length",
            "stop_reason": result["stop_string"],
        }


def _chances(tokens: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """As this older protocol has them: lists that go with each other, null where nothing stands before a token."""
    offsets, length = [], 0
    for text, *_ in tokens:
        offsets.append(length)
        length += len(text)
    return {
        "tokens": [text for text, *_ in tokens],
        "token_logprobs": [logprob for _, logprob, _ in tokens],
        "top_logprobs": [None if logprob is None else _by_text(likely) for _, logprob, likely in tokens],
        "text_offset": offsets,
    }


def _by_text(likely: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Tokens may have one text, as parts of characters do: the likeliest of them counts."""
    return dict(reversed(likely))


def _told_of(reply: LiveReply, task: LiveTask, result: Mapping[str, Any]) -> dict[str, Any]:
    return {"job": reply.job.id, "seed": task.given["seed"], "finish_reason": result["finish_reason"]}
