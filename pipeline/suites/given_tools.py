"""Functions that a suite gives its models to call: as OpenAI's protocol has them, or short. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import regex
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from nightjar.jobs.sequences import PLAIN, Mode
from nightjar.pipeline.scoring.schema_check import check_json_schema

TOOL_NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
MOST_TOOLS = 128
_FIELDS = ("name", "description", "parameters", "strict")
_FORM = "a tool is `{name, description, parameters}`, or `{type: function, function: {...}}` around one"


def _tool(value: Any) -> dict[str, Any]:
    """In the form that endpoints take."""
    whole = isinstance(value, Mapping) and "function" in value
    function = value["function"] if whole else value
    if not isinstance(function, Mapping) or (whole and {*value} - {"type", "function"}):
        raise ValueError(f"{_FORM}.")
    if whole and value.get("type", "function") != "function":
        raise ValueError(f"only tools of the type function can be given, not {value['type']!r}.")
    if unknown := sorted(map(str, {*function} - {*_FIELDS})):
        raise ValueError(f"a tool has no {', '.join(unknown)}: {_FORM}.")
    name, description = function.get("name"), function.get("description", "")
    if not isinstance(name, str) or regex.match(TOOL_NAME_PATTERN, name) is None:
        raise ValueError("a tool's name is 1 to 64 letters, digits, _ and -.")
    if not isinstance(description, str):
        raise ValueError(f"the description of {name!r} is a text.")
    parameters = function.get("parameters", {"type": "object", "properties": {}})
    try:
        check_json_schema(parameters)
    except ValueError as error:
        raise ValueError(f"the parameters of {name!r}: {error}") from None
    said = {"name": name} | ({"description": description} if description else {}) | {"parameters": dict(parameters)}
    return {"type": "function", "function": said | ({"strict": True} if function.get("strict") is True else {})}


def _distinct(tools: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    names = [tool["function"]["name"] for tool in tools or ()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two tools have the name {twice[0]!r}.")
    return tools


_SHORT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": TOOL_NAME_PATTERN},
        "description": {"type": "string"},
        "parameters": {"type": "object", "description": "JSON Schema of the arguments."},
        "strict": {"type": "boolean"},
    },
    "required": ["name"],
    "additionalProperties": False,
}
_WHOLE: dict[str, Any] = {
    "type": "object",
    "properties": {"type": {"const": "function"}, "function": _SHORT},
    "required": ["function"],
    "additionalProperties": False,
}
Tool = Annotated[Any, BeforeValidator(_tool), WithJsonSchema({"anyOf": [_SHORT, _WHOLE]})]
Tools = Annotated[list[Tool], Field(max_length=MOST_TOOLS), AfterValidator(_distinct)]


def tools_problem(tools: object, mode: Mode, *, scored: bool) -> str | None:
    """Why such a sequence cannot have tools; None where it has none, or may."""
    if not tools:
        return None
    if mode in PLAIN:
        return f"tools are for chats, and `mode: {mode}` is none. Leave them out, or write `tools: []` here."
    return "given texts are scored here, and nothing is written that could call a tool." if scored else None
