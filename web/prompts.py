"""Prompts of conversations as their models read them; the command that renders them is run by the room above."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nightjar.config.errors import QueueFullError

KEPT = 32
MOST_OPEN = 8
"""Conversations that wait to be rendered; more are not taken."""
FULL_RETRY_S = 5.0
PromptCommand = Callable[[str, str, str], Awaitable[Mapping[str, Any]]]
"""Runs `nightjar show --rendered --json` of a run, a sequence and a contestant; what it said."""


@dataclass(frozen=True, kw_only=True)
class PromptQuestion:
    """A conversation as it is: another fence, or another turn, makes it another question."""

    run: str
    sequence: str
    contestant: str
    job: str
    fence: int
    turns: int


@dataclass(frozen=True, kw_only=True)
class RenderedPrompts:
    """What is known of its prompts. `texts`: of the committed turns; `under_way`: of the one being replied to."""

    texts: tuple[str | None, ...]
    under_way: str | None
    notes: tuple[str, ...]
    """Why some cannot be known here."""


@dataclass(kw_only=True)
class Prompts:
    """Of one server: it renders one conversation at a time, and keeps the newest."""

    command: PromptCommand
    told: Callable[[], None] = lambda: None
    """Called when one has been rendered, or could not be."""
    _tasks: OrderedDict[PromptQuestion, asyncio.Task[RenderedPrompts]] = field(default_factory=OrderedDict)
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def look(self, asked: PromptQuestion, patience_s: float) -> RenderedPrompts | None:
        """Its prompts; None while they are being rendered. Raises NightjarError, QueueFullError."""
        task = self._tasks.get(asked)
        if task is None:
            if sum(not each.done() for each in self._tasks.values()) >= MOST_OPEN:
                raise QueueFullError(
                    f"{MOST_OPEN} conversations are being rendered. Ask again in {FULL_RETRY_S:.0f} s.",
                    retry_after_s=FULL_RETRY_S,
                )
            task = self._tasks[asked] = asyncio.create_task(self._render(asked))
            task.add_done_callback(lambda _: self.told())
            ended = [question for question, each in self._tasks.items() if each.done()]
            for question in ended[: max(0, len(self._tasks) - KEPT)]:
                del self._tasks[question]
        done, _ = await asyncio.wait({task}, timeout=patience_s)
        if not done:
            return None
        if task.exception() is not None and self._tasks.get(asked) is task:
            del self._tasks[asked]  # asked again, it is tried again
        return task.result()

    async def _render(self, asked: PromptQuestion) -> RenderedPrompts:
        async with self._turn:
            told = await self.command(asked.run, asked.sequence, asked.contestant)
        found = next((each for each in told["conversations"] if each["job"] == asked.job), None)
        return RenderedPrompts(
            texts=() if found is None else tuple(turn["rendered"] for turn in found["turns"]),
            under_way=None if found is None else found["under_way"],
            notes=tuple(told["notes"]),
        )

    async def close(self) -> None:
        """Gives up what is being rendered."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
