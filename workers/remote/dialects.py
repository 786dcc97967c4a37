"""The body of a chat request as each server's dialect wants it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nightjar.jobs.parameters import Parameters
from nightjar.jobs.remote_models import SEEDED, TAKEN, Dialect

_NAMES: Mapping[Dialect, Mapping[str, str]] = {
    Dialect.LLAMA_SERVER: {
        "dry_sequence_breakers": "dry_sequence_breakers",
        "repeat_last_n": "repeat_last_n",
    },
    Dialect.VLLM: {"repeat_penalty": "repetition_penalty", "template": "chat_template_kwargs"},
    Dialect.OPENAI: {"max_tokens": "max_completion_tokens"},
}
"""What a parameter is called elsewhere; the others are called as here."""
_APART = frozenset({"json_schema", "stop", "template", "max_tokens"})


def chat_body(
    dialect: Dialect,
    model: str,
    messages: Sequence[Mapping[str, Any]],
    parameters: Parameters,
    *,
    seed: int,
    omit: Sequence[str] = (),
    tools: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """What is sent as JSON. `omit`: parameters that the registry keeps from this model; `tools`: the sequence's."""
    names = _NAMES.get(dialect, {})
    taken = TAKEN[dialect] - set(omit)
    if parameters.dry_penalty_last_n == -1:  # the whole context, as without it; newer llama-servers refuse the number
        taken -= {"dry_penalty_last_n"}
    body: dict[str, Any] = {
        "model": model,
        "messages": [dict(message) for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    values = parameters.model_dump(mode="json")
    body |= {names.get(key, key): values[key] for key in sorted(taken - _APART)}
    if "max_tokens" in taken:
        body[names.get("max_tokens", "max_tokens")] = parameters.max_tokens
    if parameters.stop and "stop" in taken:
        body["stop"] = list(parameters.stop)
    if parameters.template and "template" in taken:
        body["chat_template_kwargs"] = dict(parameters.template)
    if parameters.json_schema is not None and "json_schema" in taken:
        body["response_format"] = _held_to(dialect, parameters.json_schema)
    if tools:
        body["tools"] = [dict(tool) for tool in tools]
    if dialect in SEEDED:
        body["seed"] = seed
    return body


def _held_to(dialect: Dialect, schema: Mapping[str, Any]) -> dict[str, Any]:
    named: dict[str, Any] = {"name": "reply", "schema": dict(schema)}
    if dialect is Dialect.OPENAI:
        named["strict"] = False  # the strict subset refuses many schemas; the reply is checked here anyway
    return {"type": "json_schema", "json_schema": named}
