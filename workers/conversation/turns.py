"""What is asked for a turn and what is recorded of it: plan -> request; generations -> reply; reply -> record. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol

from nightjar.jobs.identity import chain_digest
from nightjar.jobs.parameters import ParameterSource, Resolved, resolve
from nightjar.jobs.records import Draw, Summary, TokenChance, TurnRecord
from nightjar.jobs.sequences import Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import JobKind
from nightjar.jobs.withheld import WITHHELD, choice_label
from nightjar.workers.conversation.emptiness import degenerate, empty, repeats_previous
from nightjar.workers.conversation.plan import PromptPlan
from nightjar.workers.conversation.prompts import Conversation
from nightjar.workers.conversation.reasoning import split_tokens
from nightjar.workers.conversation.replier import PromptFacts, Reply
from nightjar.workers.engine.request import Generation, Request, Tokenizer


class RunParameters(Protocol):
    """The part of a run that shapes parameters (`jobs.documents.Run` has it)."""

    set_parameters: dict[str, Any]
    set_model_parameters: dict[str, dict[str, Any]]


class SamplingFacts(Protocol):
    """The part of a model's facts that shapes parameters (`jobs.models.ModelFacts` has it)."""

    @property
    def name(self) -> str: ...

    @property
    def sampling_defaults(self) -> Mapping[str, Any]: ...


def turn_parameters(
    run: RunParameters,
    facts: SamplingFacts,
    registry_parameters: Mapping[str, Any],
    sequence: PromptSequence,
    turn: int,
    *,
    kind: JobKind,
    variant: Mapping[str, Any] = MappingProxyType({}),
) -> Resolved:
    """The parameters of one turn, each with the layer it came from. Raises ParameterError.

    `variant`: what the contestant's variant sets. `--set` is for the models that reply: a judge keeps its temperature
    unless `--set MODEL:key=value` names it.
    """
    set_for_all = run.set_parameters if kind is JobKind.REPLY else {}
    return resolve(
        [
            (ParameterSource.GGUF, facts.sampling_defaults),
            (ParameterSource.REGISTRY, registry_parameters),
            (ParameterSource.SUITE, sequence.parameters),
            (ParameterSource.TURN, sequence.turns[turn].parameters),
            (ParameterSource.VARIANT, variant),
            (ParameterSource.SET, set_for_all),
            (ParameterSource.SET_MODEL, run.set_model_parameters.get(facts.name, {})),
        ]
    )


def turn_request(conversation: Conversation, plan: PromptPlan, resolved: Resolved, *, id: str, seed: int) -> Request:
    """The engine's request for one draw of a turn."""
    return Request(
        id=id,
        prompt=plan.ids,
        max_tokens=plan.max_tokens,
        parameters=resolved.values,
        seed=seed,
        reasoning=conversation.markers,
        reasoning_open=plan.reasoning_open,
        replies=plan.replies,
    )


def turn_draw(
    conversation: Conversation, plan: PromptPlan, resolved: Resolved, generation: Generation, *, seed: int
) -> Draw:
    """A generation as a draw: without its reasoning, and checked for emptiness and degeneration."""
    ids = generation.token_ids
    parts = split_tokens(ids, generation.text, conversation.markers, conversation.tokenizer, opened=plan.reasoning_open)
    nothing = empty(parts.reply, unclosed=parts.unclosed)
    spoiled = degenerate(ids, reasoning_tokens=parts.reasoning_tokens, min_tokens=resolved.values.min_tokens)
    return Draw(
        seed=seed,
        reply=parts.reply,
        reasoning=parts.reasoning,
        reply_ids=ids,
        raw_text=parts.raw,
        finish_reason=generation.finish_reason,
        stop_string=generation.stop_string,
        reasoning_tokens=parts.reasoning_tokens,
        empty=nothing,
        degenerate=None if nothing else spoiled,
        mean_logprob=generation.mean_logprob,
        timings=generation.timings,
    )


def token_chances(generation: Generation, tokenizer: Tokenizer) -> tuple[TokenChance, ...]:
    """The probabilities of a generation's tokens, as texts; a control token's text is empty."""

    def text(token: int) -> str:
        return tokenizer.detokenize([token])

    return tuple(
        TokenChance(
            text=text(entry.token),
            logprob=entry.logprob,
            top=tuple((text(token), logprob) for token, logprob in entry.top),
        )
        for entry in generation.logprobs
    )


def turn_reply(
    plan: PromptPlan,
    resolved: Resolved,
    draws: Sequence[Draw],
    first: Generation,
    summaries: Sequence[Summary] = (),
    recalled_by: str | None = None,
) -> Reply:
    """A turn's reply. `first` is the generation of the first draw, whose prompt counts are recorded."""
    prompt = PromptFacts(
        text=plan.prompt,
        tokens=first.prompt_tokens,
        reused_tokens=first.reused_tokens,
        digest=plan.prompt_digest,
        reprefill_reason=plan.reprefill_reason,
        policy=plan.policy,
        dropped_turns=plan.dropped_turns,
        recalled_turns=plan.recalled_turns,
        recalled_by=recalled_by,
        system_merged=plan.system_merged,
    )
    return Reply(prompt=prompt, draws=tuple(draws), summaries=tuple(summaries), parameters=resolved)


def turn_record(
    reply: Reply,
    sequence: PromptSequence,
    history: Sequence[TurnRecord],
    *,
    fence: int,
    worker: str,
    now: datetime,
    shared: bool = False,
) -> TurnRecord:
    """The committed form of the reply to the turn after `history`."""
    if sequence.withheld:
        reply = unquoted(reply)
    index, prompt, draw = len(history), reply.prompt, reply.draws[0]
    said = draw.raw_text if draw.reply_ids is None else draw.reply_ids
    weighed = reply.likelihoods is not None
    if reply.likelihoods is not None:
        said = reply.likelihoods.model_dump_json()
    return TurnRecord(
        index=index,
        name=sequence.turns[index].name,
        prompt=prompt.text,
        draws=tuple(_seen_beside(draw, reply, sequence, history) for draw in reply.draws),
        prompt_tokens=prompt.tokens,
        reused_tokens=prompt.reused_tokens,
        prompt_digest=prompt.digest,
        reprefill_reason=prompt.reprefill_reason,
        policy=prompt.policy,
        dropped_turns=prompt.dropped_turns,
        recalled_turns=prompt.recalled_turns,
        recalled_by=prompt.recalled_by,
        summaries=reply.summaries,
        memory=reply.memory,
        system_merged=prompt.system_merged,
        parameters={} if weighed else reply.parameters.values.model_dump(mode="json"),  # nothing was sampled
        sources={} if weighed else reply.parameters.sources,
        shared=shared,
        likelihoods=reply.likelihoods,
        chain=chain_digest(history[-1].chain if history else "", index, prompt.text, said),
        fence=fence,
        worker=worker,
        committed_at=now,
    )


def unquoted(reply: Reply) -> Reply:
    """The reply to a withheld turn, without any text: of choices it names the likeliest."""
    assert reply.likelihoods is not None, "only given texts are withheld"
    values = [choice.logprob for choice in reply.likelihoods.choices]
    said = choice_label(values.index(max(values))) if values else ""
    draws = tuple(draw.model_copy(update={"reply": said, "raw_text": said}) for draw in reply.draws)
    return replace(reply, prompt=replace(reply.prompt, text=WITHHELD), draws=draws)


def _seen_beside(draw: Draw, reply: Reply, sequence: PromptSequence, history: Sequence[TurnRecord]) -> Draw:
    """The draw, marked where it is the reply before it again. An empty or degenerate one has its reason already."""
    alone = not history or sequence.mode is Mode.INDEPENDENT or sequence.scored
    alone = alone or sequence.turns[len(history)].may_repeat
    if alone or draw.empty is not None or draw.degenerate is not None:
        return draw
    again = repeats_previous(draw, reply.prompt.text, history[-1])
    return draw if again is None else draw.model_copy(update={"repeats_previous": again})
