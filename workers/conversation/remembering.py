"""Memory across conversations: how facts are put into the system prompt, and how they are asked for. Pure.

What a conversation is given is chosen once, at its beginning, by nearness to the first prompt, and stays: the system
prompt is the same in every turn. The facts stand in the order in which they were kept, so that a conversation that is
given the same ones begins with the same tokens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nightjar.jobs.parameters import Resolved
from nightjar.jobs.records import GivenFact, TurnRecord
from nightjar.jobs.sequences import Mode, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.compression import aside_parameters
from nightjar.workers.conversation.cutting import shortened
from nightjar.workers.conversation.plan import PromptPlan, plan_prompt, reply_room
from nightjar.workers.conversation.prompts import SEPARATOR, Conversation, open_conversation
from nightjar.workers.conversation.recall import DECIMALS, FloatVector, quotation

HEAD = "Known from earlier conversations:"
MOST_FROM_TURN = 3
FACT_CHARS = 120
"""Of one fact that a model writes."""
EXTRACTION_TOKENS = 256
"""Enough for as many facts as long as they may be, in JSON."""
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "facts": {
            "type": "array",
            "maxItems": MOST_FROM_TURN,
            "items": {"type": "string", "minLength": 1, "maxLength": FACT_CHARS},
        }
    },
    "required": ["facts"],
}
ASK = (
    "{text}\n\nWhich lasting facts does the exchange above state, that would be worth knowing in another conversation: "
    'names, places, numbers, preferences, decisions? Answer in JSON with the key "facts": a list of at most {most} '
    "short sentences, each understandable by itself; an empty list if there are none."
)


@dataclass(frozen=True, kw_only=True)
class StoredFact:
    """A fact of a memory with its unit vector."""

    id: str
    text: str
    vector: FloatVector


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """One generation that names the facts of an exchange."""

    conversation: Conversation
    plan: PromptPlan
    resolved: Resolved


def nearest_facts(
    query: FloatVector, facts: Sequence[StoredFact], count: Callable[[str], int], budget_tokens: int
) -> tuple[GivenFact, ...]:
    """The facts nearest to `query` that the budget holds, heading included, in the order of `facts`.

    One that is too long for what is left is passed over; of two equally near ones the later goes first.
    """
    if not facts:
        return ()
    near = np.round(np.array([fact.vector for fact in facts], np.float64) @ query.astype(np.float64), DECIMALS)
    left, chosen = budget_tokens - count(HEAD), set()
    for at in sorted(range(len(facts)), key=lambda at: (-near[at], -at)):
        tokens = count("\n" + _line(facts[at].text))
        if tokens <= left:
            chosen.add(at)
            left -= tokens
    return tuple(GivenFact(id=facts[at].id, text=facts[at].text) for at in sorted(chosen))


def memory_budget(resolved: Resolved, context: int) -> int:
    """Tokens that facts may take of a prompt."""
    return int((context - reply_room(resolved.values, context)) * resolved.values.memory_share)


def remembering(sequence: PromptSequence, given: Sequence[GivenFact], system: str | None) -> PromptSequence:
    """The sequence with the facts behind its system prompt, else behind `system`, the template's own."""
    if not given:
        return sequence
    facts = "\n".join([HEAD, *(_line(fact.text) for fact in given)])
    before = sequence.system or system
    return sequence.model_copy(update={"system": f"{before}{SEPARATOR}{facts}" if before else facts})


def given_facts(history: Sequence[TurnRecord]) -> tuple[GivenFact, ...]:
    """What a conversation that has begun was given."""
    memory = history[0].memory if history else None
    return memory.given if memory is not None else ()


def plan_extraction(parent: Conversation, asked: str, replied: str, resolved: Resolved) -> Extraction:
    """How the model is asked for the facts of an exchange, whose beginning is taken where it is very long.

    Raises ContextError where the context is too small to ask anything.
    """
    text = shortened(quotation(asked, replied), parent.context // 2, parent.tokenizer)
    mode = Mode.CHAT if parent.template else Mode.COMPLETION
    prompt = ASK.format(text=text, most=MOST_FROM_TURN)
    conversation = open_conversation(
        PromptSequence(id=f"{parent.sequence.id}: facts", mode=mode, turns=(TurnSpec(prompt=prompt),)),
        template=parent.template,
        tokenizer=parent.tokenizer,
        context=parent.context,
        bos_text=parent.bos_text,
    )
    values = aside_parameters(resolved.values, EXTRACTION_TOKENS, thinks=parent.markers is not None)
    asking = Resolved(values=values.model_copy(update={"json_schema": SCHEMA}), sources={})
    plan = plan_prompt(conversation, 0, (), asking.values)
    return Extraction(conversation=conversation, plan=plan, resolved=asking)


def extracted(reply: str) -> tuple[str, ...]:
    """The facts that a reply names, each in one line and once; none where it is not what was asked for."""
    try:
        answer = json.loads(reply)
    except ValueError:
        return ()
    facts = answer.get("facts") if isinstance(answer, dict) else None
    if not isinstance(facts, list):
        return ()
    lines = [" ".join(fact.split()) for fact in facts if isinstance(fact, str)]
    return tuple(dict.fromkeys(line for line in lines if line))[:MOST_FROM_TURN]


def _line(fact: str) -> str:
    return f"- {fact}"
