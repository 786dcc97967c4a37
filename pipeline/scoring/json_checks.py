"""Checks of replies that should be JSON. Pure."""

from __future__ import annotations

import json
from typing import Any

import regex

from nightjar.pipeline.scores import Score, passed, unscored
from nightjar.pipeline.scoring.schema_check import SchemaCheck, UndecidedError
from nightjar.pipeline.scoring.scorer import Context, ScoreFunction


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


DECODER = json.JSONDecoder(parse_constant=_refuse)
_FENCED = regex.compile(r"\A\s*```[A-Za-z0-9_-]*[ \t]*\n(.*?)\n?[ \t]*```\s*\Z", regex.DOTALL)


def is_json(value: Any) -> ScoreFunction:
    """`true`: the reply is JSON, alone or in one fenced code block; `strict`: with nothing around it."""
    if value is not True and value != "strict":
        raise ValueError(f"json takes true or strict, not {value!r}.")

    def check(context: Context) -> Score:
        try:
            reply_json(context.reply, fenced=value is True)
        except ValueError as error:
            return passed(False, reason=str(error))
        return passed(True)

    return check


def json_schema(value: Any) -> ScoreFunction:
    """The reply is JSON (alone or in one fenced code block) that the JSON Schema accepts."""
    schema = SchemaCheck(value)

    def check(context: Context) -> Score:
        try:
            refusal = schema.refusal(reply_json(context.reply, fenced=True))
        except ValueError as error:
            return passed(False, reason=str(error))
        except UndecidedError as error:
            return unscored(str(error))
        return passed(refusal is None, reason=refusal)

    return check


def reply_json(reply: str, *, fenced: bool) -> Any:
    """The JSON of a reply. Raises ValueError that says where it stops being JSON; NaN and Infinity are not."""
    block = _FENCED.match(reply) if fenced else None
    try:
        return DECODER.decode(block.group(1) if block else reply)
    except RecursionError:
        raise ValueError("not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
