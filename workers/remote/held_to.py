"""Whether a reply is what was asked for: its structure is checked here, whatever the endpoint promises. Pure."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from referencing import Registry
from referencing.exceptions import Unresolvable

from nightjar.jobs.parameters import Parameters
from nightjar.jobs.records import MISFIT
from nightjar.jobs.remote_models import TokenUse
from nightjar.workers.conversation.emptiness import SPAN_TIMES, SPAN_TOKENS

SAID_CHARS_OF_SCHEMA = 200


def spoilt(reply: str, use: TokenUse, parameters: Parameters, *, withheld: bool = False) -> str | None:
    """Why a reply that is not empty is a failure of its model all the same; None if it is not."""
    if withheld:
        return "cut short by the endpoint's content filter"
    visible = use.reply - use.reasoning
    if visible < parameters.min_tokens and not use.estimated:
        return f"{visible} {'token' if visible == 1 else 'tokens'}, min_tokens is {parameters.min_tokens}"
    if _loops(reply.split()):
        return f"{SPAN_TOKENS}-word span {SPAN_TIMES} times running"
    return None if parameters.json_schema is None else _misfit(reply, parameters.json_schema)


def _loops(words: list[str]) -> bool:
    running = 0
    for now, earlier in zip(words[SPAN_TOKENS:], words, strict=False):
        running = running + 1 if now == earlier else 0
        if running == SPAN_TOKENS * (SPAN_TIMES - 1):
            return True
    return False


def _misfit(reply: str, schema: dict[str, Any]) -> str | None:
    """Why the reply does not match its schema. No reference of a schema is ever fetched."""
    try:
        value = json.loads(reply)
    except (ValueError, RecursionError):
        return f"{MISFIT}: it is no JSON"
    validator = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        error = jsonschema.exceptions.best_match(validator(schema, registry=Registry()).iter_errors(value))
    except (Unresolvable, RecursionError):
        return None  # a schema that cannot be resolved says nothing of the reply
    return None if error is None else f"{MISFIT}: {error.message[:SAID_CHARS_OF_SCHEMA]}"
