"""From a conversation to exact token ids: history and budget -> a turn's prompt, and what was left out. Pure.

A prompt builds on the one before it: if the new text begins with the old prompt's text and the raw reply, its ids are
the old ids, the reply's own ids and the tokens of the rest, so that only new tokens are computed. Otherwise all of it
is tokenised again and `reprefill_reason` says why. After a crash `replay` rebuilds the same plans from the committed
turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from nightjar.config.errors import ContextError, NightjarError, TemplateError
from nightjar.jobs.identity import ids_digest
from nightjar.jobs.parameters import Parameters, Policy
from nightjar.jobs.records import TurnRecord
from nightjar.jobs.sequences import Mode
from nightjar.workers.conversation.prompt_ids import (
    MUTE,
    NOT_REBUILT,
    RECALLED,
    REWRITES_REPLIES,
    TRIMMED,
    TRIMS_REPLIES,
    extended_ids,
    ids_with_bos,
)
from nightjar.workers.conversation.prompts import Compression, Conversation, Written, write_prompt
from nightjar.workers.conversation.reasoning import is_open

REPLY_SHARE = 4
"""The room kept for a reply is at most the context divided by this."""


@dataclass(frozen=True, kw_only=True)
class PromptPlan:
    """The prompt of one turn. `max_tokens` is what the reply may use: the parameter's value, or all that is left."""

    turn: int
    prompt: str
    """The user message, as given to the template."""
    ids: tuple[int, ...]
    text: str
    """The whole prompt's text."""
    max_tokens: int
    policy: Policy
    fits: bool
    """Whether the prompt fits the context together with the room kept for the reply."""
    dropped_turns: tuple[int, ...] = ()
    bare_replies: tuple[int, ...] = ()
    """Turns whose replies were given without their leading white space, since the template writes its own."""
    system_merged: bool = False
    reasoning_open: bool = False
    reprefill_reason: str | None = None
    compression: Compression = field(default_factory=Compression)
    recalled_turns: tuple[int, ...] = ()
    """Of the dropped turns, those that are quoted in front of the user message."""
    unquoted: PromptPlan | None = None
    """The same prompt without what was recalled for it, which the next one goes on from; None if nothing was."""
    replies: tuple[tuple[int, int], ...] = ()
    """Where the ids of earlier replies are in `ids`, [start, end): the engine may compute them as it did at first."""

    @property
    def prompt_digest(self) -> str:
        """Digest of the ids."""
        return ids_digest(self.ids)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a plan is made from: a turn, all committed turns before it, and the plan of the turn before.

    `previous` is None for the first turn, and if `replay` could not rebuild it. `compression` stands for turns and
    documents that did not fit, `recalled` are turns that did not and are quoted.
    """

    conversation: Conversation
    turn: int
    history: Sequence[TurnRecord]
    parameters: Parameters
    previous: PromptPlan | None
    compression: Compression
    recalled: tuple[int, ...] = ()
    limit: int | None = None
    """Tokens that the prompt may have where another model is given it; None: what the context leaves."""

    @property
    def room(self) -> int:
        """Tokens kept free for the reply."""
        return reply_room(self.parameters, self.conversation.context)

    @property
    def most(self) -> int:
        """Tokens that the prompt may have."""
        return self.conversation.context - self.room if self.limit is None else self.limit

    @property
    def recalled_most(self) -> int:
        """Of those, how many recalled exchanges may take (policy recall)."""
        return int(self.most * self.parameters.recall_share)


def reply_room(parameters: Parameters, context: int) -> int:
    """Tokens kept free for a reply, of those that the context holds."""
    return max(1, min(parameters.max_tokens, context // REPLY_SHARE))


def plan_prompt(
    conversation: Conversation,
    turn: int,
    history: Sequence[TurnRecord],
    parameters: Parameters,
    previous: PromptPlan | None = None,
    compression: Compression | None = None,
    recalled: Sequence[int] = (),
) -> PromptPlan:
    """The prompt of `turn`, with older turns left out as necessary; see `Asked`.

    `compression` None keeps what earlier turns had. `summaries.py` handles policy summarise; what that cannot save
    is trimmed here, in the end the summary itself. `recalling.py` chooses what is `recalled`. Raises ContextError with
    the numbers if the prompt does not fit, TemplateError if it cannot be rendered.
    """
    asked = ask(conversation, turn, history, parameters, previous, compression)
    if parameters.policy is Policy.RECALL:
        return plan_quoting(asked, plan_window(asked), recalled)
    try:
        return _fitting(asked)
    except ContextError:
        if not asked.compression.summary or parameters.policy is Policy.FULL:
            raise
    plan = _fitting(replace(asked, compression=replace(asked.compression, summary=""), previous=None))
    return replace(plan, compression=asked.compression, reprefill_reason=TRIMMED)


def _fitting(asked: Asked) -> PromptPlan:
    plan = draft(asked)
    if plan.fits:
        return plan
    droppable = _droppable(asked, plan)
    if asked.parameters.policy is Policy.FULL or not droppable:
        raise context_error(asked, plan)
    return _trimmed(asked, plan, droppable)


def plan_window(asked: Asked) -> PromptPlan:
    """Policy recall, with nothing recalled yet. Raises ContextError.

    As soon as something does not fit, the share of `recall_share` is kept free. The oldest exchanges are then left out
    in steps, until the rest takes half of its part: while it grows again, every prompt extends the one before.
    """
    plan = draft(asked)
    window = asked.most - asked.recalled_most
    if len(plan.ids) <= (window if plan.dropped_turns else asked.most):
        return plan
    droppable = _droppable(asked, plan)
    for most in (window // 2, window):
        smaller = _dropped(asked, plan, droppable[:-1], most)
        if smaller is not None:
            return smaller
    return plan if plan.fits else _fitting(asked)


def plan_quoting(asked: Asked, window: PromptPlan, recalled: Sequence[int]) -> PromptPlan:
    """The prompt of `window` with these dropped turns quoted; it may not fit."""
    if not recalled:
        return window
    plan = _build(replace(asked, recalled=tuple(sorted(recalled))), window.dropped_turns, window.bare_replies)
    return replace(plan, unquoted=window, reprefill_reason=window.reprefill_reason or RECALLED)


def _droppable(asked: Asked, plan: PromptPlan) -> list[int]:
    """The turns that may be left out beside those that are; the first one stays."""
    return [record.index for record in asked.history[1:] if record.index not in plan.dropped_turns]


def ask(
    conversation: Conversation,
    turn: int,
    history: Sequence[TurnRecord],
    parameters: Parameters,
    previous: PromptPlan | None = None,
    compression: Compression | None = None,
) -> Asked:
    """What a plan is made from. Independent turns see no history; earlier summaries stay in force."""
    assert [record.index for record in history] == list(range(turn))
    if conversation.sequence.mode is Mode.INDEPENDENT:
        history, previous = (), None
    if previous is not None and previous.unquoted is not None:
        previous = previous.unquoted
    return Asked(
        conversation=conversation,
        turn=turn,
        history=history,
        parameters=parameters,
        previous=previous,
        compression=recorded_compression(history) if compression is None else compression,
    )


def draft(asked: Asked) -> PromptPlan:
    """The prompt with only that left out which earlier turns left out; it may not fit."""
    last = asked.history[-1] if asked.history else None
    dropped = asked.previous.dropped_turns if asked.previous else last.dropped_turns if last else ()
    bare = asked.previous.bare_replies if asked.previous else ()
    return _build(asked, tuple(sorted({*dropped, *asked.compression.turns})), bare)


def replay(conversation: Conversation, history: Sequence[TurnRecord]) -> PromptPlan | None:
    """The rebuilt plan of the last committed turn; None if there is none or its ids differ from the recorded ones."""
    plans = list(rebuilt(conversation, history))
    return plans[-1] if plans and len(plans) == len(history) else None


def rebuilt(conversation: Conversation, history: Sequence[TurnRecord]) -> Iterator[PromptPlan]:
    """The plans of committed turns, up to the first whose ids are not those recorded."""
    plan: PromptPlan | None = None
    for turn, record in enumerate(history):
        try:
            parameters = Parameters(**record.parameters)
            compression = recorded_compression(history[: turn + 1])
            recalled = record.recalled_turns
            plan = plan_prompt(conversation, turn, history[:turn], parameters, plan, compression, recalled)
        except (NightjarError, ValueError):
            return
        if plan.prompt_digest != record.prompt_digest:
            return
        yield plan


def recorded_compression(history: Sequence[TurnRecord]) -> Compression:
    """All summaries made so far, combined."""
    compression = Compression()
    for record in history:
        for summary in record.summaries:
            compression = compression.and_summary(summary)
    return compression


def context_error(asked: Asked, plan: PromptPlan) -> ContextError:
    """The error of a prompt that does not fit: the numbers, and what to do."""
    full = asked.parameters.policy is Policy.FULL
    left_out = " with all older turns left out" if plan.dropped_turns and not full else ""
    remedy = " set `policy: trim`," if full and asked.history else ""
    return ContextError(
        f"Turn {plan.turn + 1} of sequence {asked.conversation.sequence.id!r} has {len(plan.ids):,} prompt tokens"
        f"{left_out}, and {asked.room:,} are kept for the reply: {len(plan.ids) + asked.room:,} in all, while the "
        f"context holds {asked.conversation.context:,}. Shorten the prompt,{remedy} or load the model with a larger "
        "`context`.",
        tokens=len(plan.ids) + asked.room,
        context=asked.conversation.context,
    )


def _trimmed(asked: Asked, tried: PromptPlan, droppable: list[int]) -> PromptPlan:
    """Drops the fewest oldest exchanges that make the prompt fit."""
    plan = _dropped(asked, tried, droppable, asked.most)
    if plan is not None:
        return plan
    raise context_error(asked, _build(asked, tuple(sorted({*tried.dropped_turns, *droppable})), tried.bare_replies))


def _dropped(asked: Asked, tried: PromptPlan, droppable: list[int], most: int) -> PromptPlan | None:
    """Drops the fewest oldest exchanges, at least one, that bring the prompt down to `most` tokens, by bisection; None
    if all of them do not.
    """

    def build(count: int) -> PromptPlan:
        dropped = tuple(sorted({*tried.dropped_turns, *droppable[:count]}))
        plan = _build(replace(asked, previous=None), dropped, tried.bare_replies)
        return replace(plan, reprefill_reason=TRIMMED)

    low, high = 1, len(droppable)
    if not droppable or len((best := build(high)).ids) > most:
        return None
    while low < high:
        middle = (low + high) // 2
        plan = build(middle)
        if len(plan.ids) <= most:
            best, high = plan, middle
        else:
            low = middle + 1
    return best


def _build(asked: Asked, dropped: tuple[int, ...], bare: tuple[int, ...]) -> PromptPlan:
    conversation, context = asked.conversation, asked.conversation.context
    written = _written(asked, dropped, bare)
    ids, reason = _ids(asked, written)
    if reason in (TRIMS_REPLIES, REWRITES_REPLIES) and asked.history[-1].draw.raw_text[:1].isspace():
        without = _written(asked, dropped, (*bare, asked.turn - 1))
        ids_without, reason_without = _ids(asked, without)
        if reason_without is None:
            written, ids, reason = without, ids_without, None
    if reason is not None and written.dropped_turns != dropped:
        reason = MUTE
    quoted_before = asked.history[-1].recalled_turns if asked.history else ()
    return PromptPlan(
        turn=asked.turn,
        prompt=written.prompt,
        ids=tuple(ids),
        text=written.rendering.text,
        max_tokens=max(1, min(asked.parameters.max_tokens, context - len(ids))),
        policy=asked.parameters.policy,
        fits=len(ids) <= asked.most,
        dropped_turns=written.dropped_turns,
        bare_replies=written.bare_replies,
        system_merged=written.system_merged,
        reasoning_open=is_open(written.rendering.text, conversation.markers),
        reprefill_reason=reason or (RECALLED if quoted_before else None),
        recalled_turns=asked.recalled,
        compression=asked.compression,
        replies=_replies(asked, ids) if reason is None else (),
    )


def _replies(asked: Asked, ids: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """The spans of the replies whose own ids are in the prompt."""
    if asked.previous is None or not asked.history:
        return ()
    start = len(asked.previous.ids)
    reply = asked.history[-1].draw.reply_ids or ()
    kept = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(reply, ids[start:], strict=False)))
    return (*asked.previous.replies, (start, start + kept))


def _written(asked: Asked, dropped: tuple[int, ...], bare: tuple[int, ...]) -> Written:
    """The rendered prompt; if the template refuses empty replies, their exchanges are left out too."""
    try:
        return _written_without(asked, dropped, bare)
    except TemplateError:
        mute = {record.index for record in asked.history if record.draw.empty} - {*dropped}
        if not mute:
            raise
    without = tuple(sorted({*dropped, *mute}))
    return _written_without(asked, without, bare)


def _written_without(asked: Asked, dropped: tuple[int, ...], bare: tuple[int, ...]) -> Written:
    conversation, turn, variables = asked.conversation, asked.turn, asked.parameters.template
    return write_prompt(
        conversation, turn, asked.history, asked.compression, dropped, bare, variables, recalled=asked.recalled
    )


def _ids(asked: Asked, written: Written) -> tuple[list[int], str | None]:
    """Ids, and why they do not extend the previous ones (None if they do, or if there are none)."""
    if not asked.history:
        return ids_with_bos(asked.conversation, written.rendering), None
    if asked.previous is None:
        return ids_with_bos(asked.conversation, written.rendering), NOT_REBUILT
    ids, reason = extended_ids(asked.conversation, written, asked.previous, asked.history[-1], asked.compression)
    if ids is None:
        return ids_with_bos(asked.conversation, written.rendering), reason
    return ids, None
