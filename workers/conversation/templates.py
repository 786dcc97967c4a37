"""A model's own chat template: rendering a conversation exactly as the model was trained to see it. Pure.

The reference is transformers' `apply_chat_template`; docs/templates.md says how the two were compared. Rendering
happens in a metered sandbox (`template_sandbox.py`), for models in a process of its own (`template_process.py`); the
date a template sees is the run's, never the clock's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nightjar.config.errors import TemplateError
from nightjar.jobs.identity import digest
from nightjar.workers.conversation.template_render import TEMPLATE_REMEDY, Renderer, SandboxRenderer
from nightjar.workers.engine.markers import Markers, detect

Message = dict[str, Any]
_PROBE = "nightjar-probe"


@dataclass(frozen=True, kw_only=True)
class _Dialect:
    """How a template wants its messages: content as typed parts, an (empty) list of tools if it loops over them."""

    typed: bool
    tools: bool

    def message(self, message: Message) -> Message:
        given = dict(message)
        if "reasoning_content" in given:  # older templates read other names
            thoughts = given["reasoning_content"]
            given = {"thinking": thoughts, "reasoning": thoughts, **given}
        if self.typed and isinstance(given.get("content"), str):
            given["content"] = [{"type": "text", "text": given["content"]}]
        return given


class ChatTemplate:
    """A compiled chat template. Raises TemplateError, with the template's line, if it does not compile or render.

    `date` is an ISO date. Without a `renderer` it renders in this process, which is for templates of our own: a
    stranger's belongs in a `RendererProcess`. Do not render from two threads at once.
    """

    def __init__(
        self,
        source: str | Mapping[str, str] | Sequence[Mapping[str, str]],
        *,
        bos_text: str = "",
        eos_text: str = "",
        date: str,
        system: str | None = None,
        reasoning: tuple[str, str] | None = None,
        renderer: Renderer | None = None,
    ) -> None:
        self.source = default_template(source)
        self.system = system
        """What the model's own settings say to a conversation without a system message."""
        self._tokens = {"bos_token": bos_text, "eos_token": eos_text}
        self._date = date
        self._registered = Markers(open=reasoning[0], close=reasoning[1]) if reasoning else None
        self._renderer = renderer or SandboxRenderer()
        self._renderer.compile(self.source, date)

    def reads(self, variable: str) -> bool:
        """Whether the variable's name occurs in the template."""
        return re.search(rf"\b{re.escape(variable)}\b", self.source) is not None

    @property
    def digest(self) -> str:
        """Digest of the template's text."""
        return digest(self.source)

    def render(
        self,
        messages: Sequence[Message],
        *,
        variables: Mapping[str, Any] | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        """The conversation's text, as the template writes messages of {role, content, ...}.

        `variables` are further ones that the template may read (`enable_thinking`, say).
        """
        return self._render(messages, self._dialect, variables or {}, add_generation_prompt)

    def _render(
        self,
        messages: Sequence[Message],
        dialect: _Dialect,
        further: Mapping[str, Any],
        add_generation_prompt: bool = True,
    ) -> str:
        given = [dialect.message(message) for message in messages]
        variables = {
            "messages": given,
            "tools": [] if dialect.tools else None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
            **self._tokens,
            **further,
        }
        return self._renderer.render(self.source, self._date, variables)

    @cached_property
    def markers(self) -> Markers | None:
        """How the model writes reasoning: by the registry, else by what the template's source or rendering contains."""
        thinking = [
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": "a", "reasoning_content": "r"},
        ]
        return self._registered or detect(self.source) or detect(self._tried(thinking))

    @cached_property
    def takes_system(self) -> bool:
        """Whether a system message arrives in the text; some templates raise on one, some drop it."""
        return _PROBE in self._tried([{"role": "system", "content": _PROBE}, {"role": "user", "content": "u"}])

    @cached_property
    def reasoning_in_fields(self) -> bool:
        """Whether past reasoning belongs in a field of its own (`reasoning_content`, `thinking`).

        It does if the template knows such a field and does not itself take reasoning out of the content.
        """
        if self.markers is None or not re.search(r"reasoning_content|\bthinking\b|message\.reasoning\b", self.source):
            return False
        thoughts, reply = f"{_PROBE}-thoughts", f"{_PROBE}-reply"
        written = f"{self.markers.open}{thoughts}{self.markers.close}{reply}"
        past = [
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": written},
            {"role": "user", "content": "v"},
        ]
        text = self._tried(past)
        return reply not in text or thoughts in text

    @cached_property
    def _dialect(self) -> _Dialect:
        """The first dialect in which a user's text arrives in the rendering; the plain one if it does in none."""
        dialects = [_Dialect(typed=typed, tools=tools) for tools in (False, True) for typed in (False, True)]
        for dialect in dialects:
            try:
                if _PROBE in self._render([{"role": "user", "content": _PROBE}], dialect, {}):
                    return dialect
            except TemplateError:
                continue
        return dialects[0]

    def _tried(self, messages: list[Message]) -> str:
        try:
            return self.render(messages)
        except TemplateError:
            return ""


def default_template(source: str | Mapping[str, str] | Sequence[Mapping[str, str]]) -> str:
    """The template's text; of several (a mapping, a list, JSON of either) the one named "default", else the first."""
    if isinstance(source, str):
        if not re.match(r"\s*(\[\s*\{\s*\"|\{\s*\")", source):
            return source
        try:
            named = _named(json.loads(source))
        except (ValueError, RecursionError, KeyError, TypeError):  # text after all
            return source
    else:
        named = _named(source)
    if not named:
        raise TemplateError(f"The file names no chat template. {TEMPLATE_REMEDY}")
    return named.get("default") or next(iter(named.values()))


def _named(templates: Any) -> dict[str, str]:
    pairs = templates.items() if isinstance(templates, Mapping) else [(t["name"], t["template"]) for t in templates]
    named = {str(name): text for name, text in pairs}
    if not all(isinstance(text, str) for text in named.values()):
        raise TypeError("a template is text")
    return named


def merge_system(messages: Sequence[Message]) -> list[Message]:
    """The messages with the system message put before the first user message's text, two line breaks between."""
    system, first, *rest = messages
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest]
