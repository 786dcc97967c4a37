"""OpenAI's chat requests as live requests, and what becomes of them as OpenAI's answers. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nightjar.jobs.identity import MOST_SEED
from nightjar.jobs.live.state import LiveEnd
from nightjar.jobs.live.text import LivePiece, TextPart
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.records import TokenChance
from nightjar.web.openai.refusals import RefusedFieldError
from nightjar.web.openai.schema import ChatRequest, SamplingFields

CACHED_IN = 128
"""Cached tokens are told in such steps: exact ones would tell what others asked."""
COST = "nightjar-cost-usd"
"""Header of an answer in one piece; a stream says it at its end, in `nightjar`."""
_SAME_NAME = (
    "frequency_penalty presence_penalty temperature top_p min_p typical_p xtc_probability xtc_threshold dry_multiplier "
    "dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers repeat_penalty repeat_last_n reasoning_budget"
).split()
_SAYS_NOTHING = ("refusal", "audio", "annotations", "function_call")
"""Of messages that come back as an answer had them; dropped where they are empty."""


def chat_asks(request: ChatRequest, model: str, user: str) -> list[LiveAsk]:
    """One for each choice. Raises RefusedFieldError, and UsageError."""
    ask = LiveAsk(
        user=user,
        model=model,
        messages=live_messages(request.messages),
        parameters=chat_parameters(request),
        store=request.store,
    )
    return each_choice(ask, request)


def each_choice(ask: LiveAsk, request: SamplingFields) -> list[LiveAsk]:
    """The same, once for each choice, with seeds that follow each other where one was given."""
    if request.seed is None or request.seed == -1:
        return [ask] * request.n
    return [replace(ask, seed=(request.seed + index) % (MOST_SEED + 1)) for index in range(request.n)]


def chat_parameters(request: ChatRequest) -> dict[str, Any]:
    """Generation parameters under Nightjar's names."""
    parameters = sampling_parameters(request)
    if request.max_completion_tokens is not None:
        parameters["max_tokens"] = request.max_completion_tokens
    form = request.response_format
    if form is not None and form.type != "text":
        if form.type == "json_schema" and form.json_schema is None:
            raise RefusedFieldError(
                "response_format.json_schema is missing.", param="response_format", code="invalid_value"
            )
        schema = {"type": "object"} if form.json_schema is None else form.json_schema.schema_
        _hold_to(parameters, "json_schema", schema, "response_format")
    if request.logprobs:
        parameters["top_logprobs"] = max(1, request.top_logprobs)
    variables = dict(request.chat_template_kwargs or {})
    if request.reasoning_effort is not None:
        variables.setdefault("reasoning_effort", request.reasoning_effort)
    return parameters | ({"template": variables} if variables else {})


def sampling_parameters(request: SamplingFields) -> dict[str, Any]:
    """What plain and chat completions share, under Nightjar's names."""
    given = {name: getattr(request, name) for name in _SAME_NAME}
    given["top_k"] = None if request.top_k is None else max(0, request.top_k)
    given["repeat_penalty"] = request.repetition_penalty if request.repeat_penalty is None else request.repeat_penalty
    given["stop"] = None if request.stop is None else [text for text in request.stop if text]
    given["max_tokens"] = request.max_tokens or (request.n_predict if (request.n_predict or 0) > 0 else None)
    given["logit_bias"] = None if request.logit_bias is None else _biases(request.logit_bias)
    parameters = {name: value for name, value in given.items() if value is not None}
    outputs = request.structured_outputs
    for name, value, field in (
        ("json_schema", request.json_schema, "json_schema"),
        ("json_schema", request.guided_json, "guided_json"),
        ("json_schema", outputs and outputs.json_, "structured_outputs"),
        ("grammar", request.grammar or None, "grammar"),
        ("grammar", request.guided_grammar or None, "guided_grammar"),
        ("grammar", outputs and outputs.grammar, "structured_outputs"),
    ):
        if value is not None:
            _hold_to(parameters, name, value, field)
    return parameters


def _hold_to(parameters: dict[str, Any], name: str, value: Any, field: str) -> None:
    if "json_schema" in parameters or "grammar" in parameters:
        raise RefusedFieldError(
            "The reply can be held to one schema or grammar; this request has two.", param=field, code="invalid_value"
        )
    parameters[name] = value


def _biases(given: Mapping[str, float]) -> dict[int, float]:
    for token in given:
        if not (token.isascii() and token.isdigit() and len(token) < 10):
            raise RefusedFieldError(f"{token!r} is no token id.", param="logit_bias", code="invalid_value")
    return {int(token): bias for token, bias in given.items()}


def live_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """As `jobs.live_request` reads them. Raises RefusedFieldError."""
    return [_message(message, number) for number, message in enumerate(messages)]


def _message(message: Mapping[str, Any], number: int) -> dict[str, Any]:
    said = {key: value for key, value in message.items() if value is not None}
    for name in _SAYS_NOTHING:
        if not said.get(name, True):
            del said[name]
    if "reasoning" in said:  # vLLM's name
        said.setdefault("reasoning_content", said.pop("reasoning"))
    parts = said.get("content")
    if isinstance(parts, list):
        for part in parts:
            kind = part.get("type") if isinstance(part, Mapping) else None
            if kind != "text":
                raise RefusedFieldError(
                    f"Message {number + 1} has a part of type {kind!r}; only parts of type text can be used yet.",
                    param=f"messages.{number}.content",
                    code="not_yet_supported",
                )
    if isinstance(said.get("tool_calls"), list):
        said["tool_calls"] = [_call(call) for call in said["tool_calls"]]
    return said


def _call(call: Any) -> Any:
    """Chat templates read a call's arguments as an object; OpenAI's are the text of one."""
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), str):
        return call
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        return call
    return {**call, "function": {**function, "arguments": arguments}} if isinstance(arguments, dict) else call


@dataclass(frozen=True, kw_only=True)
class ChatShape:
    """How the answers to one chat request look. `created`: seconds since 1970."""

    id: str
    created: int
    model: str
    top_logprobs: int | None = None
    """None: no log-probabilities were asked for."""

    def completion(self, ends: Sequence[LiveEnd]) -> dict[str, Any]:
        """The whole answer."""
        choices = [self._choice(index, end, message=_said(end)) for index, end in enumerate(ends)]
        return self._head("chat.completion") | {
            "choices": choices,
            "usage": token_usage(ends, len(ends)),
            "nightjar": [told_of(end) for end in ends],
        }

    def opening(self, index: int) -> dict[str, Any]:
        """The first chunk of a choice."""
        return self._chunk(index, {"role": "assistant", "content": ""})

    def piece(self, index: int, piece: LivePiece) -> dict[str, Any]:
        """A chunk with text."""
        name = "reasoning_content" if piece.part is TextPart.REASONING else "content"
        return self._chunk(index, {name: piece.text})

    def closing(self, index: int, end: LiveEnd) -> dict[str, Any]:
        """The last chunk of a choice."""
        return self._head("chat.completion.chunk") | {
            "choices": [self._choice(index, end, delta={})],
            "nightjar": [told_of(end)],
        }

    def usage(self, ends: Sequence[LiveEnd]) -> dict[str, Any]:
        """The last chunk of all, where it was asked for."""
        return self._head("chat.completion.chunk") | {"choices": [], "usage": token_usage(ends, len(ends))}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _chunk(self, index: int, delta: Mapping[str, Any]) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
        return self._head("chat.completion.chunk") | {"choices": [choice]}

    def _choice(self, index: int, end: LiveEnd, **said: Any) -> dict[str, Any]:
        return {
            "index": index,
            **said,
            "logprobs": None if self.top_logprobs is None else {"content": _chances(end, self.top_logprobs)},
            "finish_reason": openai_finish(end),
            "stop_reason": end.stop_string,
        }


def _said(end: LiveEnd) -> dict[str, Any]:
    reasoning = {"reasoning_content": end.reasoning} if end.reasoning else {}
    return {"role": "assistant", "content": end.reply, "refusal": None, **reasoning}


def visible_chances(end: LiveEnd) -> tuple[TokenChance, ...]:
    """Those of the reply itself; the reasoning's stand before them."""
    return end.chances[end.reasoning_tokens :]


def _chances(end: LiveEnd, top: int) -> list[dict[str, Any]]:
    return [
        _chance(token.text, token.logprob) | {"top_logprobs": [_chance(*likely) for likely in token.top[:top]]}
        for token in visible_chances(end)
    ]


def _chance(text: str, logprob: float) -> dict[str, Any]:
    """`bytes` are null where the token is a part of a character."""
    return {"token": text, "logprob": logprob, "bytes": None if "\ufffd" in text else list(text.encode())}


def openai_finish(end: LiveEnd) -> str:
    """OpenAI knows of no other limit than length; which one it was is in `nightjar`."""
    return "stop" if end.finish_reason == "stop" else "length"


def told_cost(ends: Sequence[LiveEnd]) -> dict[str, str]:
    """The header that says what endpoints were paid for an answer; none where that is not known, or none was asked."""
    paid = [end.usd for end in ends if end.remote]
    known = [usd for usd in paid if usd is not None]
    return {COST: f"{sum(known):.10f}".rstrip("0").rstrip(".")} if paid and len(known) == len(paid) else {}


def token_usage(ends: Sequence[LiveEnd], choices: int) -> dict[str, Any]:
    """Tokens of one request: each prompt is counted once, whatever the number of its choices."""
    prompt = sum(end.prompt_tokens for end in ends[::choices])
    cached = sum(end.reused_tokens for end in ends[::choices]) // CACHED_IN * CACHED_IN
    completion = sum(end.reply_tokens for end in ends)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": sum(end.reasoning_tokens for end in ends)},
    }


def told_of(end: LiveEnd) -> dict[str, Any]:
    """What OpenAI's shape has no room for: how to have a reply again, and where its time went."""
    return (
        {
            "job": end.job,
            "seed": end.seed,
            "finish_reason": end.finish_reason,
            "queue_s": round((end.claim_s or 0.0) + end.queue_s, 6),
            "prefill_s": round(end.prefill_s, 6),
            "decode_s": round(end.decode_s, 6),
        }
        | ({} if end.usd is None else {"cost_usd": end.usd})
        | ({"cached": True} if end.cached else {})
    )
