"""What an endpoint is sent of a conversation: messages, estimates of their tokens, what is left out. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.config.errors import ContextError
from nightjar.jobs.parameters import Parameters, Policy
from nightjar.jobs.records import TurnRecord
from nightjar.jobs.sequences import Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.prompts import Compression, said_in_turn

BYTES_PER_TOKEN = 4
"""Of ordinary text, roughly; only used where a server does not count."""
UNCOMPRESSED = Compression()
PER_MESSAGE = 8
"""Tokens a template adds around a message."""


@dataclass(frozen=True, kw_only=True)
class AskedMessages:
    """A turn's messages. `prompt`: the user's text in it."""

    messages: tuple[dict[str, Any], ...]
    prompt: str
    dropped_turns: tuple[int, ...] = ()


def ask_messages(
    sequence: PromptSequence,
    turn: int,
    history: Sequence[TurnRecord],
    dropped: Sequence[int] = (),
    compression: Compression = UNCOMPRESSED,
) -> AskedMessages:
    """The conversation up to a turn, without the dropped ones; `compression` stands for those among them that it has,
    and for documents.
    """

    def asked(number: int) -> dict[str, Any]:
        text, answers = said_in_turn(sequence, number, compression, dropped), sequence.turns[number].answers
        return {"role": "user", "content": text} if answers is None else answers.for_template() | {"content": text}

    kept = [] if sequence.mode is Mode.INDEPENDENT else [record for record in history if record.index not in dropped]
    messages: list[dict[str, Any]] = [{"role": "system", "content": sequence.system}] if sequence.system else []
    messages += [message.for_template() for message in sequence.messages]
    for record in kept:
        messages += [asked(record.index), {"role": "assistant", "content": record.draw.reply}]
    return AskedMessages(
        messages=(*messages, asked(turn)),
        prompt=said_in_turn(sequence, turn, compression, dropped),
        dropped_turns=tuple(sorted(dropped)),
    )


def fit_messages(
    sequence: PromptSequence,
    turn: int,
    history: Sequence[TurnRecord],
    parameters: Parameters,
    context: int | None,
    dropped: Sequence[int] = (),
    compression: Compression = UNCOMPRESSED,
) -> AskedMessages:
    """The same with the oldest turns left out while it does not fit by estimate; system and first turn stay.

    `context`: None where nobody said what the model holds. Raises ContextError where the policy is `full`, or nothing
    is left to leave out.
    """
    gone = list(dropped)
    while True:
        asked = ask_messages(sequence, turn, history, gone, compression)
        needed = estimate(asked.messages, sequence.tools) + reply_room_of(parameters, context)
        if context is None or needed <= context:
            return asked
        if (next_gone := droppable(sequence, history, parameters, gone)) is None:
            raise ContextError(
                f"The prompt of turn {turn + 1} has about {needed} tokens with the room for its reply, and the model's "
                f"context is {context} (`context` in models.toml).",
                tokens=needed,
                context=context,
            )
        gone.append(next_gone)


def droppable(
    sequence: PromptSequence, history: Sequence[TurnRecord], parameters: Parameters, dropped: Sequence[int]
) -> int | None:
    """The turn that is left out next; None where the policy or the conversation has none."""
    if parameters.policy is not Policy.TRIM or sequence.mode is Mode.INDEPENDENT:
        return None
    left = [record.index for record in history if record.index not in dropped and record.index > 0]
    return left[0] if left else None


def reply_room_of(parameters: Parameters, context: int | None) -> int:
    """Tokens kept for the reply."""
    return parameters.max_tokens if context is None else min(parameters.max_tokens, context // 4)


def estimate(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> int:
    """About how many tokens messages have, with the tools that stand before them."""
    given = sum(PER_MESSAGE + estimate_text(json.dumps(tool, ensure_ascii=False)) for tool in tools)
    return given + sum(PER_MESSAGE + estimate_text(str(message.get("content") or "")) for message in messages)


def estimate_text(text: str) -> int:
    """About how many tokens a text has; at least one if there is any."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def most_tokens(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> int:
    """More tokens than the messages can have, but for strange texts: a token for every two bytes."""
    return 64 + 2 * estimate(messages, tools)
