"""Plans a turn, asking the model for summaries if policy summarise needs them (`compression.py` decides)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from nightjar.jobs.identity import MOST_SEED
from nightjar.jobs.lanes import all_together
from nightjar.jobs.parameters import Resolved
from nightjar.jobs.records import Summary
from nightjar.workers.conversation.compression import plan_compression, summary_record
from nightjar.workers.conversation.plan import Asked, PromptPlan
from nightjar.workers.conversation.turns import turn_request
from nightjar.workers.engine.request import Generation, Request

T = TypeVar("T")


class Think(Protocol):
    """Runs pure work (rendering, tokenising), possibly in a thread."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


async def plan_turn(
    asked: Asked,
    resolved: Resolved,
    generate: Callable[[Request], Awaitable[Generation]],
    think: Think,
    *,
    id: str,
    seed: int,
) -> tuple[PromptPlan, tuple[Summary, ...]]:
    """The plan of a turn, and the summaries made for it, which belong on its record.

    `seed` is the turn's; summaries take the numbers after it. Raises what `plan_prompt` raises.
    """
    made: list[Summary] = []
    while True:
        decision = await think(partial(plan_compression, asked, resolved))
        if isinstance(decision, PromptPlan):
            return decision, tuple(made)
        seeds = [(seed + 1 + len(made) + number) & MOST_SEED for number in range(len(decision.parts))]
        requests = [
            turn_request(part.conversation, part.plan, part.resolved, id=f"{id}.summary{len(made) + n}", seed=seeds[n])
            for n, part in enumerate(decision.parts)
        ]
        generations = await all_together(generate(replace(request, final=True)) for request in requests)
        for number, generation in enumerate(generations):
            made.append(summary_record(decision, number, generation, seed=seeds[number]))
            asked = replace(asked, compression=asked.compression.and_summary(made[-1]))
