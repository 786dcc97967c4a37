"""The prompts of a committed conversation as the model read them, rebuilt. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.config.errors import NightjarError
from nightjar.jobs.parameters import Parameters, Policy
from nightjar.jobs.records import TurnRecord
from nightjar.workers.conversation.plan import plan_prompt, rebuilt
from nightjar.workers.conversation.prompts import Conversation


def rendered_prompts(conversation: Conversation, history: Sequence[TurnRecord]) -> list[str | None]:
    """The text of each turn's prompt; None from the first turn on whose ids are not those recorded."""
    texts: list[str | None] = [plan.text for plan in rebuilt(conversation, history)]
    return texts + [None] * (len(history) - len(texts))


def coming_prompt(conversation: Conversation, history: Sequence[TurnRecord], parameters: Parameters) -> str | None:
    """The text of the next turn's prompt, of which nothing is recorded yet.

    None where it follows from more than what is recorded: something that does not fit is summarised or recalled for
    it, facts are chosen from a memory, or an earlier prompt is not as recorded.
    """
    if parameters.memory is not None and not history:
        return None
    plans = list(rebuilt(conversation, history))
    if len(plans) < len(history):
        return None
    try:
        plan = plan_prompt(conversation, len(history), history, parameters, plans[-1] if plans else None)
    except (NightjarError, ValueError):
        return None
    chosen = parameters.policy in (Policy.SUMMARISE, Policy.RECALL)
    return None if chosen and plan.dropped_turns else plan.text
