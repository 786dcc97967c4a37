"""What a model is told for each of the service's routes, and how its reply is brought into form. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

WORDS_PER_TOKEN = 0.6
"""Fewer than models need: what is asked for in words then ends before the limit in tokens does."""
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]]*(?=\s|$)")


def summary_prompt(text: str, most_tokens: int) -> str:
    """Asks for a summary."""
    return (
        f"Summarize the text below in at most {_words(most_tokens)} words. Keep names, numbers, dates and decisions. "
        f"Write the summary alone.\n\n{text}"
    )


def compression_prompt(text: str, most_tokens: int) -> str:
    """Asks for the same facts in fewer words."""
    return (
        f"Rewrite the text below in at most {_words(most_tokens)} words, so that every fact in it can still be looked "
        "up: names, numbers, dates, places, decisions. Leave out what carries no fact. Write the text alone."
        f"\n\n{text}"
    )


def extraction_prompt(message: str, function: Mapping[str, Any]) -> str:
    """Asks for a function's arguments; the reply is held to their schema besides."""
    about = " ".join(str(function[key]) for key in ("name", "description") if function.get(key))
    return (
        f"Read the arguments of the function{f' ({about})' if about else ''} out of the message below. Answer with a "
        f"JSON object of the arguments alone.\n\nMessage: {message}"
    )


def arguments_schema(function: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of the arguments: a function's `parameters`, or the schema itself; `properties` make an object."""
    inner = function.get("parameters")
    schema = dict(inner) if isinstance(inner, Mapping) and "properties" not in function else dict(function)
    if "properties" in schema:
        schema.setdefault("type", "object")
    return {key: value for key, value in schema.items() if key not in ("name", "description", "strict")}


def whole_sentences(text: str) -> str:
    """Of a text that was cut off: up to its last whole sentence, where it has one."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else text


def _words(tokens: int) -> int:
    return max(1, int(tokens * WORDS_PER_TOKEN))
