"""One conversation's memory: what it is given at its beginning, and what is kept of its turns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nightjar.config.errors import ContextError, ModelError
from nightjar.jobs.memory import KeptTurn, MemoryScope, memory_scope
from nightjar.jobs.records import GivenFact, TurnMemory
from nightjar.jobs.states import JobKind
from nightjar.workers.conversation.remembering import (
    extracted,
    memory_budget,
    nearest_facts,
    plan_extraction,
    remembering,
)
from nightjar.workers.conversation.turns import turn_draw, turn_request

if TYPE_CHECKING:
    from nightjar.jobs.documents import Job, Run
    from nightjar.jobs.parameters import Resolved
    from nightjar.jobs.search.text_embedder import TextEmbedder
    from nightjar.jobs.sequences import Sequence as PromptSequence
    from nightjar.workers.conversation.memories import Memories
    from nightjar.workers.conversation.prompts import Conversation
    from nightjar.workers.conversation.replier import Reply
    from nightjar.workers.conversation.summaries import Think
    from nightjar.workers.engine.request import Engine, Generation, Request

CANNOT = (
    "Facts of a memory are found by a small embedding model, and none can be used on this host: `memory_model` is not "
    "set, or names one that cannot be loaded (the worker's log says why). Name another one, or leave `memory` out."
)


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """A conversation's memory, and the sequence with what it is given."""

    scope: MemoryScope
    sequence: PromptSequence
    given: tuple[GivenFact, ...]
    chosen_by: str | None
    job: Job
    memories: Memories
    embedder: TextEmbedder

    async def keep(
        self,
        conversation: Conversation,
        resolved: Resolved,
        reply: Reply,
        turn: int,
        generate: Callable[[Request], Awaitable[Generation]],
        *,
        seed: int,
    ) -> TurnMemory:
        """What belongs on the turn's record, after its facts are kept. Raises as the engine and the store do.

        Nothing is kept of an unusable reply, nor where the context is too small to ask.
        """
        record = TurnMemory(name=self.scope.name, given=self.given, chosen_by=self.chosen_by)
        draw = reply.draws[0]
        if not self.scope.writes or draw.empty is not None or draw.degenerate is not None:
            return record
        try:
            extraction = plan_extraction(conversation, reply.prompt.text, draw.reply, resolved)
        except ContextError:
            return record
        name = f"{self.job.id}.{self.job.fence}.{turn}.facts"
        request = turn_request(extraction.conversation, extraction.plan, extraction.resolved, id=name, seed=seed)
        generation = await generate(replace(request, final=True))
        answer = turn_draw(extraction.conversation, extraction.plan, extraction.resolved, generation, seed=seed)
        key = KeptTurn(job=self.job.id, turn=turn, fence=self.job.fence, model=self.job.contestant)
        kept = await self.memories.keep(self.scope, key, extracted(answer.reply), self.embedder)
        return record.model_copy(update={"kept": kept})


@dataclass(frozen=True, kw_only=True)
class MemoryAccess:
    """What a model needs to remember. `memories` and `embedder`: None where there are none."""

    memories: Memories | None
    embedder: TextEmbedder | None
    engine: Engine
    system: str | None
    """The system prompt of the model's template, for sequences without one."""
    think: Think


async def open_memory(
    access: MemoryAccess, job: Job, run: Run, sequence: PromptSequence, resolved: Resolved
) -> Remembered | None:
    """The job's memory, as `resolved` (of its first turn) names it; None where it has none. A conversation that has
    begun keeps what it was given.

    Raises ModelError where there is no embedder, ServiceError.
    """
    if job.kind is not JobKind.REPLY or resolved.values.memory is None:
        return None
    memories, embedder = access.memories, access.embedder
    if memories is None or embedder is None:
        raise ModelError(CANNOT)
    user = job.live.user if job.live is not None else None
    scope = memory_scope(resolved.values.memory, run=run.id, run_name=run.name, contestant=job.contestant, user=user)
    begun = job.turns[0].memory if job.turns else None
    given, chosen_by = (begun.given, begun.chosen_by) if begun is not None else ((), None)
    if not job.turns and (facts := await memories.facts(scope, embedder)):
        chosen_by = embedder.facts.digest
        [query] = await embedder.embed([sequence.prompt_text(0)])
        tokenizer, budget = access.engine.tokenizer, memory_budget(resolved, access.engine.load.context)

        def count(text: str) -> int:
            return len(tokenizer.tokenize(text, parse_special=False))

        given = await access.think(lambda: nearest_facts(query, facts, count, budget))
    return Remembered(
        scope=scope,
        sequence=remembering(sequence, given, access.system),
        given=given,
        chosen_by=chosen_by,
        job=job,
        memories=memories,
        embedder=embedder,
    )
