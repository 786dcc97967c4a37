"""Prompts that come from a program or a person, not from a suite: a list of chat messages, or a text to go on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nightjar.config.errors import UsageError
from nightjar.config.surrogates import has_surrogate
from nightjar.jobs.parameters import Parameters
from nightjar.workers.conversation.plan import PromptPlan, reply_room
from nightjar.workers.conversation.prompt_ids import ids_with_bos
from nightjar.workers.conversation.prompts import Conversation, render_messages
from nightjar.workers.conversation.reasoning import is_open
from nightjar.workers.conversation.special_tokens import Rendering
from nightjar.workers.conversation.templates import Message

ROLES = ("system", "user", "assistant")
TEXTS = {"content", "reasoning_content"}


def read_messages(given: str | Sequence[Mapping[str, Any]]) -> list[Message]:
    """Chat messages of {role, content}; a text is one message of the user's. Raises UsageError that names the message.

    A system message comes first or not at all, and the last message is the user's: it is what is replied to.
    """
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else [dict(message) for message in given]
    if not messages:
        raise UsageError("There are no messages. Give at least one: {'role': 'user', 'content': '...'}.")
    for number, message in enumerate(messages):
        _check(message, f"Message {number + 1} of {len(messages)}", first=number == 0)
    if messages[-1]["role"] != "user":
        raise UsageError(f"The last message is the {messages[-1]['role']}'s; the last must be the user's.")
    return messages


def _check(message: Message, where: str, *, first: bool) -> None:
    if message.get("role") not in ROLES:
        raise UsageError(f"{where} has the role {message.get('role')!r}; it must be one of {', '.join(ROLES)}.")
    if message["role"] == "system" and not first:
        raise UsageError(f"{where} is a system message; only the first may be one.")
    if unknown := message.keys() - {"role", *TEXTS}:
        raise UsageError(f"{where} has {sorted(unknown)[0]!r}; a message has role, content and reasoning_content.")
    for name in TEXTS & message.keys() | {"content"}:
        text = message.get(name)
        if not isinstance(text, str):
            raise UsageError(f"{where}: {name} must be text, and is {type(text).__name__}.")
        if has_surrogate(text):
            raise UsageError(f"{where}: {name} is not valid Unicode (it has half of a surrogate pair).")


def plan_messages(conversation: Conversation, messages: Sequence[Message], parameters: Parameters) -> PromptPlan:
    """The prompt of messages as `read_messages` gives them, by the model's template; it may not fit.

    Without a system message the registry's is used. Raises TemplateError.
    """
    template = conversation.template
    assert template is not None, "a chat has a template"
    default = [{"role": "system", "content": template.system}] if template.system else []
    said = [*(default if messages[0]["role"] != "system" else ()), *messages]
    rendering, merged = render_messages(template, conversation.tokenizer, said, parameters.template)
    return _plan(conversation, rendering, parameters, messages[-1]["content"], merged=merged)


def plan_text(conversation: Conversation, text: str, parameters: Parameters) -> PromptPlan:
    """The prompt of a text that the model goes on, without a template; it may not fit."""
    return _plan(conversation, Rendering(text=text, plain=True), parameters, text)


def _plan(
    conversation: Conversation, rendering: Rendering, parameters: Parameters, prompt: str, *, merged: bool = False
) -> PromptPlan:
    ids = tuple(ids_with_bos(conversation, rendering))
    context = conversation.context
    return PromptPlan(
        turn=0,
        prompt=prompt,
        ids=ids,
        text=rendering.text,
        max_tokens=max(1, min(parameters.max_tokens, context - len(ids))),
        policy=parameters.policy,
        fits=len(ids) + reply_room(parameters, context) <= context,
        system_merged=merged,
        reasoning_open=is_open(rendering.text, conversation.markers),
    )
