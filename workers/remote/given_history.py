"""A live request's conversation as turns that a chain can compress, and back as messages that are sent. Pure.

In a live request all that was said before is given: fixed messages, which no policy leaves out in a suite.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from nightjar.jobs.parameters import Policy
from nightjar.jobs.records import Draw, Timings, TurnRecord
from nightjar.jobs.sequences import DOCUMENT_PLACEHOLDER, FixedMessage, MessageRole, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.prompts import Compression, said_in_turn

_NEVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, kw_only=True)
class GivenHistory:
    """The same conversation, with its messages as turns and the records of their replies."""

    sequence: PromptSequence
    history: tuple[TurnRecord, ...]


def history_of(sequence: PromptSequence) -> GivenHistory | None:
    """None where it is no exchange after the other: one with tools, or two messages of one side in a row."""
    asked, replied = sequence.messages[::2], sequence.messages[1::2]
    if not asked or len(asked) != len(replied) or sequence.turns[0].answers is not None:
        return None
    if not all(_plain(message, MessageRole.USER) for message in asked):
        return None
    if not all(_plain(message, MessageRole.ASSISTANT) for message in replied):
        return None
    turns = (*(TurnSpec(prompt=message.text) for message in asked), *sequence.turns)
    if any(DOCUMENT_PLACEHOLDER.search(turn.prompt) for turn in turns):
        return None
    records = tuple(_record(n, asked[n].text, message.text) for n, message in enumerate(replied))
    return GivenHistory(sequence=sequence.model_copy(update={"messages": (), "turns": turns}), history=records)


def _plain(message: FixedMessage, role: MessageRole) -> bool:
    return message.role is role and bool(message.text) and not message.tool_calls


def _record(index: int, prompt: str, reply: str) -> TurnRecord:
    """It is read and never stored: of what only a generation has it holds nothing."""
    draw = Draw(
        seed=0,
        reply=reply,
        reply_ids=None,
        reported_tokens=0,
        raw_text=reply,
        finish_reason="stop",
        timings=Timings(queue_s=0, prefill_s=0, decode_s=0),
    )
    return TurnRecord(
        index=index,
        prompt=prompt,
        draws=(draw,),
        prompt_tokens=0,
        reused_tokens=0,
        prompt_digest="",
        policy=Policy.FULL,
        parameters={},
        sources={},
        chain="",
        fence=0,
        worker="",
        committed_at=_NEVER,
    )


def with_compression(sequence: PromptSequence, given: GivenHistory, compression: Compression) -> PromptSequence:
    """The request as it is sent: its messages without those that the summary stands for."""

    def said(turn: int) -> str:
        return said_in_turn(given.sequence, turn, compression, compression.turns)

    kept: list[FixedMessage] = []
    for record in given.history:
        if record.index not in compression.turns:
            asked, replied = sequence.messages[2 * record.index : 2 * record.index + 2]
            kept += [asked.model_copy(update={"text": said(record.index)}), replied]
    last = sequence.turns[0].model_copy(update={"prompt": said(len(given.history))})
    return sequence.model_copy(update={"messages": tuple(kept), "turns": (last,)})
