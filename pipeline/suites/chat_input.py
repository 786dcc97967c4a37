"""Prompts that other tools write as a list of chat messages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nightjar.pipeline.suites.located import Located, Path
from nightjar.pipeline.suites.variables import documents_in


def read_input(source: Located, path: Path, value: Any) -> tuple[str | None, str]:
    """System prompt and user message of one turn. `value`: a text, or messages [system, user].

    Raises SuiteError, also for an assistant's messages: Nightjar generates every reply itself.
    """
    if isinstance(value, str):
        return None, checked_prompt(source, path, value)
    if not isinstance(value, list) or not value:
        raise source.error(path, "must be a text, or a list of messages with role and content.")
    texts: dict[str, str] = {}
    for index, item in enumerate(value):
        here = (*path, index)
        role = item.get("role") if isinstance(item, Mapping) else None
        if role not in ("system", "user"):
            raise source.unsupported(
                here,
                f"a message with the role {role!r} cannot be used: a turn is one user message, optionally after "
                "a system message. Nightjar generates every reply; write a conversation as a suite of several turns.",
            )
        if role in texts or (role == "system" and texts):
            raise source.error(here, "two user messages, or a system message that is not the first.")
        texts[role] = checked_prompt(source, (*here, "content"), _content(source, here, item))
    if "user" not in texts:
        raise source.error(path, "there is no user message.")
    return texts.get("system"), texts["user"]


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
