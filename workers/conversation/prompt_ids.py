"""The token ids of a rendered prompt: the old ids, the reply's own and the rest, or all of it tokenised again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nightjar.jobs.records import Draw, TurnRecord
from nightjar.workers.conversation.prompts import Compression, Conversation, Written
from nightjar.workers.conversation.special_tokens import Rendering, encode_rendering

NOT_REBUILT = "resumed: the earlier prompt could not be rebuilt"
UNKNOWN_IDS = "the last reply's tokens are not known"
TRIMMED = "history trimmed"
SUMMARISED = "history summarised"
RECALLED = "exchanges recalled"
DOCUMENTS = "documents summarised"
MUTE = "the template refuses an empty reply"
CUT = "a stop string cut the last reply inside a token"
STRIPPED = "the template strips reasoning from past replies"
REWRITTEN = "the template rewrites earlier turns"
TRIMS_REPLIES = "the template trims replies"
REWRITES_REPLIES = "the template rewrites past replies"


class Earlier(Protocol):
    """The part of the previous turn's plan that matters here (`workers.conversation.plan.PromptPlan` has it)."""

    @property
    def ids(self) -> tuple[int, ...]: ...
    @property
    def text(self) -> str: ...
    @property
    def dropped_turns(self) -> tuple[int, ...]: ...
    @property
    def reasoning_open(self) -> bool: ...
    @property
    def compression(self) -> Compression: ...


def ids_with_bos(conversation: Conversation, rendering: Rendering) -> list[int]:
    """The whole text tokenised at once, with BOS exactly once if the model or its template wants it."""
    tokenizer = conversation.tokenizer
    ids = encode_rendering(tokenizer, rendering)
    bos = tokenizer.bos
    if bos is not None and ids[:1] != [bos]:
        return [bos, *ids]
    if bos is None and conversation.bos_text:
        bos = next(iter(tokenizer.tokenize(conversation.bos_text, parse_special=True)), None)
    while bos is not None and ids[:2] == [bos, bos]:
        ids = ids[1:]
    return ids


def extended_ids(
    conversation: Conversation, written: Written, earlier: Earlier, last: TurnRecord, compression: Compression
) -> tuple[list[int] | None, str | None]:
    """(ids, None) if the new text begins with the old prompt's text and the raw reply; else (None, why not)."""
    if written.dropped_turns != earlier.dropped_turns:
        return None, SUMMARISED if written.dropped_turns == compression.turns else TRIMMED
    if compression != earlier.compression:
        return None, DOCUMENTS
    if last.draw.reply_ids is None:
        return None, UNKNOWN_IDS
    reply = _reply_ids(conversation, last.draw, last.draw.reply_ids)
    past, text = earlier.text + last.draw.raw_text, written.rendering.text
    if reply is None:
        return None, CUT
    if text.startswith(past):
        return [*earlier.ids, *reply, *encode_rendering(conversation.tokenizer, written.rendering, len(past))], None
    return None, _difference(earlier, last, text)


def _reply_ids(conversation: Conversation, draw: Draw, generated: Sequence[int]) -> Sequence[int] | None:
    """The ids that make up a reply's raw text; None if a stop string cut it inside a token."""
    tokenizer = conversation.tokenizer
    if draw.stop_string is None:
        return generated
    ids = list(generated)
    while ids and len(tokenizer.detokenize(ids)) > len(draw.raw_text):
        ids.pop()
    return ids if tokenizer.detokenize(ids) == draw.raw_text else None


def _difference(earlier: Earlier, last: TurnRecord, text: str) -> str:
    if last.draw.reasoning or earlier.reasoning_open:
        return STRIPPED
    if not text.startswith(earlier.text):
        return REWRITTEN
    trimmed = text.startswith(earlier.text + last.draw.raw_text.strip())
    return TRIMS_REPLIES if trimmed else REWRITES_REPLIES
