"""JSON from clients: what MongoDB could not hold is refused where it enters."""

from __future__ import annotations

import json
import math
from typing import Any

from fastapi import Request

from nightjar.config.surrogates import has_surrogate
from nightjar.web.openai.refusals import RefusedFieldError

_MOST_INT = 2**63 - 1


async def read_json(request: Request) -> Any:
    """The body. Raises RefusedFieldError."""
    text = await request.body()
    try:
        return parse_body(text)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RefusedFieldError(
            f"The body is not JSON that can be used: {why}", param=None, code="invalid_body"
        ) from None


def parse_body(text: bytes) -> Any:
    """Raises ValueError, RecursionError."""
    value = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_constant, object_pairs_hook=_object)
    if b"\\ud" in text.lower() and has_surrogate(json.dumps(value, ensure_ascii=False)):
        raise ValueError("it has half of a surrogate pair.")
    return value


def _whole(text: str) -> int:
    value = int(text) if len(text) < 21 else _MOST_INT + 1
    if abs(value) > _MOST_INT:
        raise ValueError(f"the number {text[:24]} is too large.")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:24]} is too large.")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if any("\0" in key for key, _ in pairs):
        raise ValueError("the name of a field has a NUL character.")
    return dict(pairs)
