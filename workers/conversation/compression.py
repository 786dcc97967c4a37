"""Policy summarise: what to compress when a prompt does not fit, and how the model is asked to do it. Pure.

Old exchanges (the first turn stays, the latest goes last) are compressed in blocks of about 1,500 tokens into 200, and
documents in parts of about 1,500 tokens into 100 each; shorter texts in proportion. Whatever has the most tokens goes
first, until the prompt fits. Each part is a generation of its own. What cannot be saved this way is trimmed.
"""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.config.errors import ContextError
from nightjar.jobs.parameters import Parameters, Policy, Resolved
from nightjar.jobs.records import Summary
from nightjar.jobs.sequences import Mode, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.cutting import pieces, shortened, whole_words
from nightjar.workers.conversation.emptiness import is_visible
from nightjar.workers.conversation.plan import Asked, PromptPlan, draft, plan_prompt
from nightjar.workers.conversation.prompts import Conversation, open_conversation
from nightjar.workers.conversation.turns import turn_draw
from nightjar.workers.engine.request import Generation

PART_TOKENS = 1_500
HISTORY_TOKENS = 200
DOCUMENT_TOKENS = 100
THINKING_TOKENS = 1_024
"""Added to a summary's tokens for models that reason before they write."""
# The instruction comes last: small models forget what stood before a long text.
ASK_HISTORY = (
    "{text}\n\nSummarise the conversation above in at most {tokens} tokens. Keep names, facts, and what was asked for "
    "and decided. Write the summary only."
)
ASK_DOCUMENT = (
    "{text}\n\nSummarise the text above in at most {tokens} tokens. Keep names, numbers and facts. Write the summary "
    "only."
)
ASK_BASE = "{text}\n\nSummary in at most {tokens} tokens:"


@dataclass(frozen=True, kw_only=True)
class SummaryPart:
    """One generation that summarises `text`."""

    text: str
    tokens: int
    target: int
    """How many tokens the summary may have."""
    conversation: Conversation
    plan: PromptPlan
    resolved: Resolved


@dataclass(frozen=True, kw_only=True)
class Task:
    """What to compress next: turns or a document."""

    turns: tuple[int, ...] = ()
    document: str | None = None
    parts: tuple[SummaryPart, ...]


def plan_compression(asked: Asked, resolved: Resolved) -> PromptPlan | Task:
    """The turn's plan, if it fits or nothing more can be compressed; else what to compress next."""
    plan = draft(asked)
    if plan.fits:
        return plan
    if asked.parameters.policy is Policy.SUMMARISE and (task := _task_or_none(asked, plan, resolved)) is not None:
        return task
    return plan_prompt(
        asked.conversation, asked.turn, asked.history, asked.parameters, asked.previous, asked.compression
    )


def next_task(asked: Asked, resolved: Resolved) -> Task | None:
    """What to compress next for a prompt that another model is given; None where it fits or nothing more can be."""
    plan = draft(asked)
    return None if plan.fits else _task_or_none(asked, plan, resolved)


def _task_or_none(asked: Asked, plan: PromptPlan, resolved: Resolved) -> Task | None:
    try:
        return _task(asked, plan, resolved)
    except ContextError:  # a context too small to summarise anything in
        return None


def summary_record(task: Task, number: int, generation: Generation, *, seed: int) -> Summary:
    """The record of one part's generation, cut to the part's target (a model that reasons may generate more).

    If the model wrote nothing, the beginning of the text stands for it.
    """
    part = task.parts[number]
    tokenizer = part.conversation.tokenizer
    draw = turn_draw(part.conversation, part.plan, part.resolved, generation, seed=seed)
    wrote = draw.reply.strip()
    if generation.finish_reason in ("length", "context"):
        wrote = whole_words(wrote)
    text = shortened(wrote if is_visible(wrote) else part.text, part.target, tokenizer)
    return Summary(
        turns=task.turns,
        document=task.document,
        part=number,
        text=text,
        tokens_before=part.tokens,
        tokens_after=len(tokenizer.tokenize(text, parse_special=False)),
        prompt_digest=part.plan.prompt_digest,
        seed=seed,
        finish_reason=generation.finish_reason,
        timings=generation.timings,
    )


def _task(asked: Asked, plan: PromptPlan, resolved: Resolved) -> Task | None:
    history, documents = _old_exchanges(asked, plan), _documents(asked)
    if history is None and not documents:
        return None
    document = max(documents, key=lambda name: documents[name], default=None)
    if document is not None and (history is None or documents[document] > _count(asked, history[1])):
        text = next(d.text for d in asked.conversation.sequence.documents if d.name == document)
        parts = _parts(asked, text, DOCUMENT_TOKENS, ASK_DOCUMENT, resolved)
        return Task(document=document, parts=parts)
    assert history is not None
    turns, text = history
    parts = _parts(asked, text, HISTORY_TOKENS, ASK_HISTORY, resolved)
    return Task(turns=turns, parts=parts)


def _old_exchanges(asked: Asked, plan: PromptPlan) -> tuple[tuple[int, ...], str] | None:
    """The turns that the next summary will stand for, including those of the last one, and their text."""
    compressed = asked.compression.turns
    left = [record for record in asked.history[1:] if record.index not in plan.dropped_turns]
    if not left:
        return None
    text = f"Earlier: {asked.compression.summary}\n\n" if asked.compression.summary else ""
    taken = []
    for record in left[:-1] or left:
        prompt = asked.conversation.sequence.prompt_text(record.index, dict(asked.compression.documents))
        text += f"User: {prompt}\n\nAssistant: {record.draw.reply}\n\n"
        taken.append(record.index)
        if _count(asked, text) >= PART_TOKENS:
            break
    if _count(asked, text) <= _target(0, HISTORY_TOKENS):
        return None
    return tuple(sorted({*compressed, *taken})), text.rstrip()


def _documents(asked: Asked) -> dict[str, int]:
    """The tokens of each document that is not compressed yet and is longer than its summary may be."""
    sizes = {
        document.name: _count(asked, document.text)
        for document in asked.conversation.sequence.documents
        if document.name not in asked.compression.documents
    }
    return {name: size for name, size in sizes.items() if size > DOCUMENT_TOKENS}


def _parts(asked: Asked, text: str, most_each: int, question: str, resolved: Resolved) -> tuple[SummaryPart, ...]:
    most = min(PART_TOKENS, asked.conversation.context // 2)
    cut = pieces(text, most, asked.conversation.tokenizer)
    return tuple(_part(asked, piece, most_each, question, resolved) for piece in cut)


def _target(tokens: int, most: int) -> int:
    """A summary's tokens for a text of so many: `most` for a whole part, less in proportion, at least a quarter."""
    return max(most // 4, min(most, most * tokens // PART_TOKENS))


def _part(asked: Asked, text: str, most: int, question: str, resolved: Resolved) -> SummaryPart:
    parent = asked.conversation
    tokens = _count(asked, text)
    target = _target(tokens, most)
    mode = Mode.CHAT if parent.template else Mode.COMPLETION
    prompt = (question if parent.template else ASK_BASE).format(tokens=target, text=text)
    conversation = open_conversation(
        PromptSequence(id=f"{parent.sequence.id}: summary", mode=mode, turns=(TurnSpec(prompt=prompt),)),
        template=parent.template,
        tokenizer=parent.tokenizer,
        context=parent.context,
        bos_text=parent.bos_text,
    )
    values = aside_parameters(resolved.values, target, thinks=parent.markers is not None)
    asking = Resolved(values=values, sources={})
    return SummaryPart(
        text=text,
        tokens=tokens,
        target=target,
        conversation=conversation,
        plan=plan_prompt(conversation, 0, (), asking.values),
        resolved=asking,
    )


def aside_parameters(given: Parameters, target: int, *, thinks: bool) -> Parameters:
    """Of what is asked beside a turn, for at most `target` tokens: the turn's, without its limits, structure and
    redraws, which do not concern it; and the likeliest tokens: it is to hold what was said, and the same text has the
    same one.
    """
    own = given.reasoning_budget
    return given.model_copy(
        update={
            "max_tokens": target + (THINKING_TOKENS if thinks else 0),
            "temperature": 0.0,
            "min_tokens": 0,
            "stop": (),
            "grammar": None,
            "json_schema": None,
            "retry_empty": 0,
            "reasoning_budget": THINKING_TOKENS if own is None else min(own, THINKING_TOKENS),
            "policy": Policy.FULL,
            "memory": None,
        }
    )


def _count(asked: Asked, text: str) -> int:
    return len(asked.conversation.tokenizer.tokenize(text, parse_special=False))
