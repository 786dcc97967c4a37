"""The prompts of a committed conversation as the model read them, rebuilt. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.jobs.records import TurnRecord
from nightjar.workers.conversation.plan import rebuilt
from nightjar.workers.conversation.prompts import Conversation


def rendered_prompts(conversation: Conversation, history: Sequence[TurnRecord]) -> list[str | None]:
    """The text of each turn's prompt; None from the first turn on whose ids are not those recorded."""
    texts: list[str | None] = [plan.text for plan in rebuilt(conversation, history)]
    return texts + [None] * (len(history) - len(texts))
