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
from nightjar.workers.conversation.compression import Task, next_task, plan_compression, summary_record
from nightjar.workers.conversation.plan import Asked, PromptPlan
from nightjar.workers.conversation.prompts import Compression
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
        for summary in await _summarised(decision, generate, id=id, seed=seed, before=len(made)):
            made.append(summary)
            asked = replace(asked, compression=asked.compression.and_summary(summary))


async def compress_turn(
    asked: Asked,
    resolved: Resolved,
    generate: Callable[[Request], Awaitable[Generation]],
    think: Think,
    *,
    id: str,
    seed: int,
) -> tuple[Compression, tuple[Summary, ...]]:
    """The same for a prompt that another model is given: as far as it goes, and nothing is left out instead."""
    made: list[Summary] = []
    while (task := await think(partial(next_task, asked, resolved))) is not None:
        for summary in await _summarised(task, generate, id=id, seed=seed, before=len(made)):
            made.append(summary)
            asked = replace(asked, compression=asked.compression.and_summary(summary))
    return asked.compression, tuple(made)


async def _summarised(
    task: Task, generate: Callable[[Request], Awaitable[Generation]], *, id: str, seed: int, before: int
) -> list[Summary]:
    """The summaries of a task's parts. `before`: how many the turn has already."""
    seeds = [(seed + 1 + before + number) & MOST_SEED for number in range(len(task.parts))]
    requests = [
        turn_request(part.conversation, part.plan, part.resolved, id=f"{id}.summary{before + n}", seed=seeds[n])
        for n, part in enumerate(task.parts)
    ]
    generations = await all_together(generate(replace(request, final=True)) for request in requests)
    return [summary_record(task, n, generation, seed=seeds[n]) for n, generation in enumerate(generations)]
