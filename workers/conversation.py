"""From a conversation to exact token ids: history and budget -> the prompt of a turn, and what was left out. Pure.

A prompt is built on the one before it: where the new text begins with the old prompt's text and the raw reply, its
ids are the old ids, the reply's own ids and the tokens of the remainder, so that only new tokens are computed. Where
it does not, the whole is tokenised anew and `reprefill_reason` says why. After a crash `replay` builds the same plans
again from the committed turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from config.errors import ContextError, NightjarError
from jobs.identity import ids_digest
from jobs.parameters import Parameters, Policy
from jobs.records import TurnRecord
from jobs.sequences import Mode
from workers.guards import encode
from workers.prompts import Compression, Conversation, Written, user_text, write
from workers.reasoning import is_open

REPLY_SHARE = 4
"""Room kept for a reply: at most the context divided by this."""
NOT_REBUILT = "resumed: the earlier prompt could not be rebuilt"


@dataclass(frozen=True, kw_only=True)
class PromptPlan:
    """The prompt of one turn. `max_tokens` is what the reply may use: the parameter's, or all that remains."""

    turn: int
    prompt: str
    """The user message, as given to the template."""
    ids: tuple[int, ...]
    text: str
    """The whole prompt's text."""
    max_tokens: int
    policy: Policy
    dropped_turns: tuple[int, ...] = ()
    system_merged: bool = False
    reasoning_open: bool = False
    reprefill_reason: str | None = None
    compression: Compression = field(default_factory=Compression)

    @property
    def prompt_digest(self) -> str:
        return ids_digest(self.ids)


def plan_prompt(
    conversation: Conversation,
    turn: int,
    history: Sequence[TurnRecord],
    parameters: Parameters,
    previous: PromptPlan | None = None,
    compression: Compression | None = None,
) -> PromptPlan:
    """The prompt of `turn` after the committed turns before it (`history`, all of them, in order).

    `previous` is the plan of the turn before, None for the first turn and where `replay` could not rebuild it.
    `compression` is what stands for turns and documents that did not fit; None keeps what the turn before had. Raises
    ContextError with the numbers where the prompt fits under no policy, TemplateError where it cannot be rendered.
    """
    assert [record.index for record in history] == list(range(turn))
    if conversation.sequence.mode is Mode.INDEPENDENT:
        history, previous = (), None
    if compression is None:
        compression = recorded_compression(history)
    dropped = previous.dropped_turns if previous else history[-1].dropped_turns if history else ()
    dropped = tuple(sorted({*dropped, *compression.turns}))
    plan = _build(conversation, turn, history, parameters, previous, dropped, compression)
    if _fits(plan, conversation, parameters):
        return plan
    if parameters.policy is Policy.FULL or len(history) <= len(dropped) + 1:
        raise context_error(plan, conversation, parameters)
    return _trimmed(conversation, turn, history, parameters, len(dropped), compression)


def replay(conversation: Conversation, history: Sequence[TurnRecord]) -> PromptPlan | None:
    """The plan of the last committed turn, rebuilt; None where there is none or its ids do not come out as recorded."""
    plan: PromptPlan | None = None
    for record in history:
        try:
            parameters = Parameters(**record.parameters)
            before = history[: record.index]
            compression = recorded_compression(history[: record.index + 1])
            plan = plan_prompt(conversation, record.index, before, parameters, plan, compression)
        except (NightjarError, ValueError):
            return None
        if plan.prompt_digest != record.prompt_digest:
            return None
    return plan


def reply_room(parameters: Parameters, context: int) -> int:
    """Tokens kept free for the reply."""
    return max(1, min(parameters.max_tokens, context // REPLY_SHARE))


def context_error(plan: PromptPlan, conversation: Conversation, parameters: Parameters) -> ContextError:
    room = reply_room(parameters, conversation.context)
    kept = "" if parameters.policy is Policy.FULL else " even with all older turns left out"
    remedy = "" if parameters.policy is not Policy.FULL else ", set `policy: trim`"
    return ContextError(
        f"Turn {plan.turn + 1} of sequence {conversation.sequence.id!r} has {len(plan.ids):,} prompt tokens{kept}, and "
        f"{room:,} are kept for the reply: {len(plan.ids) + room:,} in all, while the context holds "
        f"{conversation.context:,}. Shorten the prompt{remedy} or load the model with a larger `context`."
    )


def _fits(plan: PromptPlan, conversation: Conversation, parameters: Parameters) -> bool:
    return len(plan.ids) + reply_room(parameters, conversation.context) <= conversation.context


def recorded_compression(history: Sequence[TurnRecord]) -> Compression:
    """All summaries made so far; of turns, the newest holds the older ones."""
    compression = Compression()
    for summary in (summary for record in history for summary in record.summaries):
        if summary.document is None:
            compression = replace(compression, turns=summary.turns, summary=summary.text)
        else:
            compression = replace(compression, documents={**compression.documents, summary.document: summary.text})
    return compression


def _trimmed(
    conversation: Conversation,
    turn: int,
    history: Sequence[TurnRecord],
    parameters: Parameters,
    already: int,
    compression: Compression,
) -> PromptPlan:
    """Drops the fewest oldest exchanges that make the prompt fit; the first turn stays. Halves the range each time."""

    def build(count: int) -> PromptPlan:
        return _build(conversation, turn, history, parameters, None, tuple(range(1, count + 1)), compression)

    low, high = already + 1, len(history) - 1
    best = build(high)
    if not _fits(best, conversation, parameters):
        raise context_error(best, conversation, parameters)
    while low < high:
        middle = (low + high) // 2
        plan = build(middle)
        if _fits(plan, conversation, parameters):
            best, high = plan, middle
        else:
            low = middle + 1
    return best


def _build(
    conversation: Conversation,
    turn: int,
    history: Sequence[TurnRecord],
    parameters: Parameters,
    previous: PromptPlan | None,
    dropped: tuple[int, ...],
    compression: Compression,
) -> PromptPlan:
    written = write(conversation, turn, [r for r in history if r.index not in dropped], compression)
    ids, reason = _ids(conversation, written, history, previous, dropped, compression)
    return PromptPlan(
        turn=turn,
        prompt=user_text(conversation, turn, compression),
        ids=tuple(ids),
        text=written.rendering.text,
        max_tokens=max(1, min(parameters.max_tokens, conversation.context - len(ids))),
        policy=parameters.policy,
        dropped_turns=dropped,
        system_merged=written.system_merged,
        reasoning_open=is_open(written.rendering.text, conversation.markers),
        reprefill_reason=reason,
        compression=compression,
    )


def _ids(
    conversation: Conversation,
    written: Written,
    history: Sequence[TurnRecord],
    previous: PromptPlan | None,
    dropped: tuple[int, ...],
    compression: Compression,
) -> tuple[list[int], str | None]:
    """Ids of a prompt, and why they do not extend the ones before (None where they do, or nothing was before)."""
    if not history:
        return _whole(conversation, written), None
    last = history[-1]
    if previous is None:
        reason = "history trimmed" if dropped != last.dropped_turns else NOT_REBUILT
        return _whole(conversation, written), reason
    reply_ids = _ids_of_text(conversation, last)
    past = previous.text + last.draw.raw_text
    if dropped == previous.dropped_turns and reply_ids is not None and written.rendering.text.startswith(past):
        return [*previous.ids, *reply_ids, *encode(conversation.tokenizer, written.rendering, len(past))], None
    reason = _why_not(previous, last, written.rendering.text, dropped, compression, cut=reply_ids is None)
    return _whole(conversation, written), reason


def _whole(conversation: Conversation, written: Written) -> list[int]:
    """All of the text tokenised at once, with BOS exactly once where the model or its template wants it."""
    tokenizer = conversation.tokenizer
    ids = encode(tokenizer, written.rendering)
    bos = tokenizer.bos
    if bos is not None and ids[:1] != [bos]:
        return [bos, *ids]
    if bos is None and conversation.bos_text:
        bos = next(iter(tokenizer.tokenize(conversation.bos_text, parse_special=True)), None)
    while bos is not None and ids[:2] == [bos, bos]:
        ids = ids[1:]
    return ids


def _ids_of_text(conversation: Conversation, record: TurnRecord) -> list[int] | None:
    """The ids that make up a reply's raw text; None where a stop string cut it inside a token."""
    draw, tokenizer = record.draw, conversation.tokenizer
    ids = list(draw.reply_ids)
    if draw.stop_string is None:
        return ids
    while ids and len(tokenizer.detokenize(ids)) > len(draw.raw_text):
        ids.pop()
    return ids if tokenizer.detokenize(ids) == draw.raw_text else None


def _why_not(
    previous: PromptPlan,
    last: TurnRecord,
    text: str,
    dropped: tuple[int, ...],
    compression: Compression,
    *,
    cut: bool,
) -> str:
    """The reason in words, for the record."""
    if dropped != previous.dropped_turns:
        return "history summarised" if dropped == compression.turns else "history trimmed"
    if compression != previous.compression:
        return "documents summarised"
    if cut:
        return "a stop string cut the last reply inside a token"
    if last.draw.reasoning or previous.reasoning_open:
        return "the template strips reasoning from past replies"
    if not text.startswith(previous.text):
        return "the template rewrites earlier turns"
    if text.startswith(previous.text + last.draw.raw_text.strip()):
        return "the template trims replies"
    return "the template rewrites past replies"
