"""What a caller asks live, and the sequence that its conversation becomes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from nightjar.config.errors import ParameterError, UsageError
from nightjar.config.surrogates import has_surrogate
from nightjar.jobs.accounts.token_ledger import TokenPayer
from nightjar.jobs.identity import MOST_SEED
from nightjar.jobs.models import ModelFacts
from nightjar.jobs.parameters import check
from nightjar.jobs.remote_models import NEVER
from nightjar.jobs.sequences import FixedMessage, MessageRole, Mode, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence

SYSTEM = ("system", "developer")
_KNOWN = {"role", "content", "reasoning_content", "name", "tool_calls", "tool_call_id"}
_TEXTS = ("content", "reasoning_content", "name", "tool_call_id")


@dataclass(frozen=True, kw_only=True)
class LiveAsk:
    """One reply that somebody waits for. `text`, in the place of messages, is gone on with, without a template."""

    user: str
    model: str
    messages: Sequence[Mapping[str, Any]] = ()
    text: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    """None: any."""
    store: bool = True
    """False: its texts are dropped as soon as it has ended."""
    request: str | None = None
    """Id of the HTTP request that it is part of, as the log has it."""
    payer: TokenPayer | None = None
    """None: it came with no API token."""


class LiveRequest(BaseModel):
    """What only a job has that somebody waits for."""

    user: str
    seed: int
    store: bool = True
    """False: its texts are dropped at its end."""
    request: str | None = None
    """Id of the HTTP request that it is part of, as the log has it."""
    refused: dict[str, int] | None = None
    """The numbers of a prompt that does not fit the context: `tokens` and `context`."""


def refuse_unable(ask: LiveAsk, facts: ModelFacts) -> None:
    """Raises ParameterError, UsageError for what a model at an endpoint cannot do."""
    if facts.remote is None:
        return
    if ask.text is not None:
        raise UsageError(f"{ask.model!r} answers at an endpoint: it replies to messages, and goes on with no text.")
    for name in sorted(NEVER & ask.parameters.keys()):
        if ask.parameters[name]:
            raise ParameterError(f"{ask.model!r} answers at an endpoint, which cannot do {name}. Leave it out.")


def live_sequence(ask: LiveAsk, identity: str) -> PromptSequence:
    """The conversation as a sequence of one turn, called `identity`. Raises UsageError that names the message."""
    check(dict(ask.parameters), "the request")
    if ask.seed is not None and not 0 <= ask.seed <= MOST_SEED:
        raise UsageError(f"seed is {ask.seed}; it must be a whole number from 0 to {MOST_SEED}.")
    parameters = dict(ask.parameters)
    if ask.text is not None:
        if not ask.text:
            raise UsageError("The text to go on with is empty.")
        turn = TurnSpec(prompt=_checked(ask.text, "prompt"))
        return PromptSequence(id=identity, mode=Mode.COMPLETION, turns=(turn,), parameters=parameters)
    system, said = read_conversation(ask.messages)
    *before, last = said
    answers = last.model_copy(update={"text": ""}) if last.role is MessageRole.TOOL else None
    turn = TurnSpec(prompt=last.text, answers=answers)
    return PromptSequence(id=identity, system=system, messages=tuple(before), turns=(turn,), parameters=parameters)


def read_conversation(given: Sequence[Mapping[str, Any]]) -> tuple[str | None, list[FixedMessage]]:
    """The system prompt, and all other messages; the last is the user's or a tool's. Raises UsageError.

    System messages (or a developer's) stand first; several become one.
    """
    if not given:
        raise UsageError("There are no messages. Give at least one: {'role': 'user', 'content': '...'}.")
    system: list[str] = []
    said: list[FixedMessage] = []
    for number, message in enumerate(given):
        where = f"Message {number + 1} of {len(given)}"
        if message.get("role") in SYSTEM:
            if said:
                raise UsageError(f"{where} is a system message; those come before all others.")
            system.append(_read(message, where, MessageRole.USER).text)
        else:
            said.append(_read(message, where, _role(message, where)))
    if not said or said[-1].role is MessageRole.ASSISTANT:
        raise UsageError("The last message must be the user's, or a tool's result: it is what is replied to.")
    if not said[-1].text:
        raise UsageError("The last message is empty: there is nothing to reply to.")
    return "\n\n".join(text for text in system if text) or None, said


def _role(message: Mapping[str, Any], where: str) -> MessageRole:
    try:
        return MessageRole(str(message.get("role")))
    except ValueError:
        known = ", ".join([*SYSTEM, *map(str, MessageRole)])
        raise UsageError(f"{where} has the role {message.get('role')!r}; it must be one of {known}.") from None


def _read(message: Mapping[str, Any], where: str, role: MessageRole) -> FixedMessage:
    if unknown := sorted(message.keys() - _KNOWN):
        raise UsageError(f"{where} has {unknown[0]!r}; a message has {', '.join(sorted(_KNOWN))}.")
    calls = message.get("tool_calls") or []
    if calls and role is not MessageRole.ASSISTANT:
        raise UsageError(f"{where} has tool_calls; only an assistant's may.")
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) for call in calls):
        raise UsageError(f"{where}: tool_calls must be a list of calls.")
    texts = {name: _text(message.get(name), f"{where}: {name}") for name in _TEXTS}
    if texts["content"] is None and not calls:
        raise UsageError(f"{where}: content must be text.")
    return FixedMessage(
        role=role,
        text=texts["content"] or "",
        reasoning=texts["reasoning_content"],
        name=texts["name"],
        tool_calls=tuple(dict(call) for call in calls),
        tool_call_id=texts["tool_call_id"],
    )


def _text(value: Any, what: str) -> str | None:
    if isinstance(value, list):  # parts, as chat programs send them
        if any(not isinstance(part, Mapping) or part.get("type") != "text" for part in value):
            raise UsageError(f"{what} has a part that is no text; only parts of type text can be used.")
        value = "".join(str(part.get("text", "")) for part in value)
    if value is None:
        return None
    if not isinstance(value, str):
        raise UsageError(f"{what} must be text, and is {type(value).__name__}.")
    return _checked(value, what)


def _checked(text: str, what: str) -> str:
    if has_surrogate(text):
        raise UsageError(f"{what} is not valid Unicode (it has half of a surrogate pair).")
    return text
