"""Ollama's prompt templates (Go's text/template), translated to Jinja. Pure.

Covers what models' templates use: fields, variables, if / else / range, and the comparing functions. Whatever else
appears makes the translation fail as a whole, and the template of the model file is used instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|`[^`]*`|:=|[()|,=]|\$?\.?[A-Za-z_$][\w.]*|\$|\.|-?\d+')
_ROOT = {"System": "system", "Prompt": "prompt", "Response": "response", "Messages": "messages", "Tools": "tools"}
_ITEM = {"Role": "role", "Content": "content", "ToolCalls": "tool_calls", "Thinking": "thinking"}
_OPERATORS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


class Untranslatable(Exception):
    """The template uses something that has no translation here."""


@dataclass
class _Block:
    """A list of parts: Jinja source, or a nested block with its opening and closing tags."""

    parts: list[str | _Block] = field(default_factory=list)
    opening: str = ""
    closing: str = ""


def to_jinja(template: str) -> str:
    """The Jinja template that renders `messages` as Ollama does. Raises Untranslatable."""
    names = set(re.findall(r"\.(\w+)", " ".join(_actions(template))))
    if "Messages" not in names and "Response" not in names:
        template += "{{ .Response }}"
    head = (
        "{%- set v = namespace() -%}{%- set m = namespace(system='') -%}"
        "{%- for message in messages if message.role == 'system' -%}"
        "{%- set m.system = m.system + ('\\n\\n' if m.system else '') + message.content -%}{%- endfor -%}"
    )
    if "Messages" in names:
        body = _source(_parse(template))
        return head + "{%- set system = m.system -%}" + body
    full, cut = _source(_parse(template)), _source(_cut(_parse(template)))
    return (
        f"{head}{{%- macro turn(system, prompt, response) -%}}{full}{{%- endmacro -%}}"
        f"{{%- macro last(system, prompt, response) -%}}{cut}{{%- endmacro -%}}" + _LEGACY
    )


_LEGACY = (
    "{%- set t = namespace(system=m.system, prompt='', response='') -%}"
    "{%- for message in messages -%}"
    "{%- if message.role == 'user' -%}"
    "{%- if t.response -%}{{ turn(t.system, t.prompt, t.response) }}"
    "{%- set t.system = '' -%}{%- set t.response = '' -%}{%- endif -%}"
    "{%- set t.prompt = message.content -%}"
    "{%- elif message.role == 'assistant' -%}{%- set t.response = message.content -%}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if t.response and not add_generation_prompt -%}{{ turn(t.system, t.prompt, t.response) }}"
    "{%- else -%}{{ last(t.system, t.prompt, t.response) }}{%- endif -%}"
)
"""Templates older than Ollama's messages are rendered once for each exchange; the last ends at the response."""


def _actions(template: str) -> list[str]:
    return re.findall(r"\{\{(.*?)\}\}", template, re.DOTALL)


def _parse(template: str) -> _Block:
    stack = [_Block()]
    scopes = [""]  # the variable that "." means; "" at the root
    for text, action in _pieces(template):
        if text:
            stack[-1].parts.append("{{ " + _quoted(text) + " }}")
        if action is None:
            continue
        word, _, rest = action.partition(" ")
        if word == "if":
            _open(stack, f"{{%- if {_expression(rest, scopes)} -%}}", "{%- endif -%}")
            scopes.append(scopes[-1])
        elif word == "range":
            _open_range(stack, scopes, rest)
        elif word == "end":
            _close(stack, scopes)
        elif not action.startswith("/*"):
            stack[-1].parts.append(_else(rest, scopes) if word == "else" else _statement(action, scopes))
    if len(stack) != 1:
        raise Untranslatable("a block without an end")
    return stack[0]


def _pieces(template: str) -> Iterator[tuple[str, str | None]]:
    """Texts, each with the action that follows it; dashes trim whitespace."""
    at, trim_left = 0, False
    for match in re.finditer(r"\{\{(-\s)?(.*?)(\s-)?\}\}", template, re.DOTALL):
        text = template[at : match.start()]
        text = text.lstrip() if trim_left else text
        yield (text.rstrip() if match[1] else text), match[2].strip()
        at, trim_left = match.end(), bool(match[3])
    tail = template[at:]
    yield (tail.lstrip() if trim_left else tail), None


def _open(stack: list[_Block], opening: str, closing: str) -> None:
    block = _Block(opening=opening, closing=closing)
    stack[-1].parts.append(block)
    stack.append(block)


def _close(stack: list[_Block], scopes: list[str]) -> None:
    if len(stack) == 1:
        raise Untranslatable("an end without a beginning")
    stack.pop()
    scopes.pop()


def _else(rest: str, scopes: list[str]) -> str:
    condition = rest.strip()
    if not condition:
        return "{%- else -%}"
    if not condition.startswith("if "):
        raise Untranslatable(f"else {condition}")
    return f"{{%- elif {_expression(condition.removeprefix('if '), scopes)} -%}}"


def _open_range(stack: list[_Block], scopes: list[str], rest: str) -> None:
    names, assigned, source = rest.rpartition(":=")
    item = f"item{len(stack)}"
    _open(stack, f"{{%- for {item} in {_expression(source, scopes)} -%}}", "{%- endfor -%}")
    variables = [name.strip().lstrip("$") for name in names.split(",")] if assigned else []
    values = ["loop.index0", item] if len(variables) == 2 else [item]
    for variable, value in zip(variables, values, strict=False):
        if variable != "_":
            stack[-1].parts.append(f"{{%- set v.{variable} = {value} -%}}")
    scopes.append(item)


def _statement(action: str, scopes: list[str]) -> str:
    assignment = re.match(r"^\$(\w+)\s*:?=\s*(.+)$", action, re.DOTALL)
    if assignment:
        return f"{{%- set v.{assignment[1]} = {_expression(assignment[2], scopes)} -%}}"
    return f"{{{{ {_expression(action, scopes)} }}}}"


def _expression(text: str, scopes: list[str]) -> str:
    tokens = _TOKEN.findall(text)
    if _TOKEN.sub("", text).strip():
        raise Untranslatable(text)
    value, rest = _call(tokens, scopes)
    if rest:
        raise Untranslatable(text)
    return value


def _call(tokens: list[str], scopes: list[str]) -> tuple[str, list[str]]:
    """One function call or value, up to a closing parenthesis, and the remaining tokens."""
    if not tokens:
        raise Untranslatable("an empty expression")
    name = tokens[0]
    arguments, rest = [], tokens[1:] if _is_function(name) else tokens
    while rest and rest[0] != ")":
        value, rest = _value(rest, scopes)
        arguments.append(value)
    if not _is_function(name):
        if len(arguments) != 1:
            raise Untranslatable(" ".join(tokens))
        return arguments[0], rest
    return _apply(name, arguments), rest


def _is_function(token: str) -> bool:
    return token[0].isalpha() and token not in ("true", "false", "nil")


def _value(tokens: list[str], scopes: list[str]) -> tuple[str, list[str]]:
    first, rest = tokens[0], tokens[1:]
    if first == "(":
        value, rest = _call(rest, scopes)
        if not rest or rest[0] != ")":
            raise Untranslatable("a parenthesis is not closed")
        return f"({value})", rest[1:]
    if first[0] in '"`':
        return _literal(first), rest
    if first.lstrip("-").isdigit() or first in ("true", "false"):
        return first, rest
    if first == "nil":
        return "none", rest
    return _name(first, scopes), rest


def _literal(token: str) -> str:
    try:
        return _quoted(token[1:-1] if token[0] == "`" else json.loads(token))
    except ValueError:
        raise Untranslatable(token) from None


def _quoted(text: str) -> str:
    """A string of Jinja, which reads escapes of four hexadecimal digits as one character each."""
    return json.dumps(text, ensure_ascii=False)


def _name(token: str, scopes: list[str]) -> str:
    """`.Field`, `$.Field`, `$variable`, `$variable.Field`."""
    head, *fields = token.split(".")
    if head == "" and scopes[-1]:
        return ".".join([scopes[-1], *(_ITEM.get(name, name.lower()) for name in fields if name)])
    if head in ("", "$"):
        if len(fields) != 1 or not fields[0]:
            raise Untranslatable(token)
        return _ROOT.get(fields[0], f"v.root_{fields[0]}")
    if not head.startswith("$"):
        raise Untranslatable(token)
    return ".".join([f"v.{head[1:]}", *(_ITEM.get(name, name.lower()) for name in fields)])


def _apply(name: str, arguments: list[str]) -> str:
    if name in _OPERATORS and len(arguments) >= 2:
        left, *others = arguments
        return "(" + " or ".join(f"{left} {_OPERATORS[name]} {other}" for other in others) + ")"
    if name in ("and", "or") and arguments:
        return "(" + f" {name} ".join(arguments) + ")"
    if name == "not" and len(arguments) == 1:
        return f"(not {arguments[0]})"
    if name == "len" and len(arguments) == 1:
        return f"({arguments[0]}|length)"
    if name == "slice" and len(arguments) in (2, 3):
        return f"{arguments[0]}[{arguments[1]}:{arguments[2] if len(arguments) == 3 else ''}]"
    if name == "index" and len(arguments) == 2:
        return f"{arguments[0]}[{arguments[1]}]"
    if name == "json" and len(arguments) == 1:
        return f"({arguments[0]}|tojson)"
    raise Untranslatable(f"the function {name}")


def _cut(block: _Block) -> _Block:
    """The template up to and including the response, as Ollama renders the last exchange."""

    def copy(source: _Block) -> tuple[_Block, bool]:
        result = _Block(opening=source.opening, closing=source.closing)
        for part in source.parts:
            if isinstance(part, _Block):
                inner, has_response = copy(part)
                result.parts.append(inner)
            else:
                result.parts.append(part)
                has_response = part == "{{ response }}"
            if has_response:
                return result, True
        return result, False

    return copy(block)[0]


def _source(block: _Block) -> str:
    inner = "".join(part if isinstance(part, str) else _source(part) for part in block.parts)
    return block.opening + inner + block.closing
