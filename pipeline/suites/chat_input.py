"""Prompts that other tools write as a list of chat messages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nightjar.jobs.sequences import FixedMessage, MessageRole
from nightjar.pipeline.suites.located import Located, Path
from nightjar.pipeline.suites.variables import documents_in


@dataclass(frozen=True, kw_only=True)
class ChatInput:
    """One turn of another tool's: what stands before its prompt, and the prompt."""

    system: str | None = None
    messages: tuple[FixedMessage, ...] = ()
    prompt: str


def read_input(source: Located, path: Path, value: Any) -> ChatInput:
    """`value`: a text, or messages: the system's, users' and assistants' in turns, the last one a user's.

    Raises SuiteError.
    """
    if isinstance(value, str):
        return ChatInput(prompt=checked_prompt(source, path, value))
    if not isinstance(value, list) or not value:
        raise source.error(path, "must be a text, or a list of messages with role and content.")
    said: list[tuple[str, str]] = []
    for index, item in enumerate(value):
        here = (*path, index)
        role = item.get("role") if isinstance(item, Mapping) else None
        if role not in ("system", "user", "assistant"):
            raise source.unsupported(here, f"a message with the role {role!r} cannot be used here.")
        if said and (role == "system" or said[-1][0] == role):
            raise source.error(here, f"two {role} messages in a row, or a system message that is not the first.")
        said.append((role, checked_prompt(source, (*here, "content"), _content(source, here, item))))
    if said[-1][0] != "user":
        raise source.error(path, "the last message is not the user's: there is nothing to reply to.")
    system = said[0][1] if said[0][0] == "system" else None
    before = said[0 if system is None else 1 : -1]
    messages = tuple(FixedMessage(role=MessageRole(role), text=text) for role, text in before)
    return ChatInput(system=system, messages=messages, prompt=said[-1][1])


def _content(source: Located, path: Path, item: Mapping[str, Any]) -> Any:
    """The text of a message; text parts are joined, other parts are refused."""
    content = item.get("content")
    if not isinstance(content, list):
        return content
    for index, part in enumerate(content):
        if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise source.unsupported((*path, "content", index), "only parts of type text can be used.")
    return "".join(part["text"] for part in content)


def checked_prompt(source: Located, path: Path, text: Any) -> str:
    """A prompt's text. Raises SuiteError if it is empty or no text, or contains `{{documents...}}`."""
    if not isinstance(text, str) or not text.strip():
        raise source.error(path, "must be a text that is not empty.")
    if documents_in(text):
        raise source.error(path, "{{documents...}} in a prompt is not known in this format.")
    return text
