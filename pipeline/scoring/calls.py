"""Function calls as models write them. Pure.

These forms are read: a JSON object alone, in a fenced block or among other text; `<tool_call>{...}</tool_call>` and
`[TOOL_CALLS][{...}]` around one; `<function=name>{...}</function>`; objects of the form `{"name", "arguments"}`,
`{"name", "parameters"}`, `{"function": {"name", "arguments"}}` and `{"function": name, ...}`, with arguments as an
object or as JSON text. A call written as Python, `name(city="Paris")`, is read if it has only plain values.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import regex

from nightjar.pipeline.scoring.json_checks import DECODER

MAX_STARTS = 200
"""How many places in a reply are tried as the start of JSON."""
MAX_CHARS = 200_000
_TAGGED = regex.compile(r"<function=([\w.-]+)>\s*(?=\{)")


@dataclass(frozen=True, kw_only=True)
class FunctionCall:
    """`name` is None for a plain object, whose fields are the arguments."""

    name: str | None
    arguments: Mapping[str, Any]

    @property
    def shown(self) -> str:
        return f"{self.name or ''}({json.dumps(self.arguments, ensure_ascii=False, default=str)})"[:200]


def find_call(reply: str, function: str | None) -> FunctionCall | None:
    """The first call of the function, else the first call of any; None if there is none.

    Without a function: the first call, or else the first plain object.
    """
    calls = list(_calls(reply[:MAX_CHARS], function))
    if function is not None:
        calls = [call for call in calls if call.name is not None]
        return next((call for call in calls if call.name == function), calls[0] if calls else None)
    return next((call for call in calls if call.name is not None), calls[0] if calls else None)


def _calls(reply: str, function: str | None) -> Iterator[FunctionCall]:
    for tagged in _TAGGED.finditer(reply):
        read = _read(reply, tagged.end())
        if read is not None and isinstance(read[0], dict):
            yield FunctionCall(name=tagged.group(1), arguments=read[0])
    for data in _objects(reply):
        for item in data if isinstance(data, list) else [data]:
            if isinstance(item, dict):
                yield _call(item)
    if function is not None:
        yield from _pythonic(reply, function)


def _call(data: dict[str, Any]) -> FunctionCall:
    inner = data.get("function")
    if isinstance(inner, dict) and isinstance(inner.get("name"), str):
        return _call(inner)
    name = data.get("name") if isinstance(data.get("name"), str) else inner
    if isinstance(name, str):
        for key in ("arguments", "parameters"):
            arguments = _arguments(data.get(key))
            if arguments is not None:
                return FunctionCall(name=name, arguments=arguments)
    return FunctionCall(name=None, arguments=data)


def _arguments(value: Any) -> dict[str, Any] | None:
    if isinstance(value, str):
        try:
            value = DECODER.decode(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def _objects(reply: str) -> Iterator[Any]:
    """JSON objects and lists, from left to right; what lies inside another one is not given separately."""
    at = 0
    for _ in range(MAX_STARTS):
        start = min((position for mark in "{[" if (position := reply.find(mark, at)) >= 0), default=-1)
        if start < 0:
            return
        read = _read(reply, start)
        if read is None:
            at = start + 1
        else:
            data, at = read
            yield data


def _read(reply: str, start: int) -> tuple[Any, int] | None:
    try:
        return DECODER.raw_decode(reply, start)
    except (ValueError, RecursionError):
        return None


def _pythonic(reply: str, function: str) -> Iterator[FunctionCall]:
    for opening in regex.finditer(rf"(?<![\w.]){regex.escape(function)}\(", reply):
        for closing in regex.finditer(r"\)", reply, pos=opening.end(), endpos=opening.end() + 2000):
            try:
                node = ast.parse(reply[opening.start() : closing.end()], mode="eval").body
                if isinstance(node, ast.Call) and not node.args and all(word.arg for word in node.keywords):
                    yield FunctionCall(
                        name=function,
                        arguments={str(word.arg): ast.literal_eval(word.value) for word in node.keywords},
                    )
                    break
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
