"""A `Replier` without an engine: it answers with texts from a list, as a worker of a remote model will."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.identity import digest, turn_seed
from nightjar.jobs.models import LoadFacts, ModelFacts, ModelKind, ModelSource
from nightjar.jobs.parameters import Parameters
from nightjar.jobs.records import Draw, Timings, TurnRecord
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.emptiness import empty
from nightjar.workers.conversation.replier import Listener, PromptFacts, Reply, Watch
from nightjar.workers.conversation.turns import turn_parameters
from nightjar.workers.engine.request import EngineStats

SLOTS = 2


@dataclass
class ScriptedReplier:
    """Gives `answers` in order. Without a gate it answers at once; a closed gate holds every answer back."""

    answers: list[str]
    name: str = "remote"
    gate: asyncio.Event | None = None
    holding: set[str] = field(default_factory=set)
    """Ids of the requests under way."""
    cancelled: int = 0
    """Requests that were cancelled while they waited."""
    schemas: list[dict[str, Any] | None] = field(default_factory=list)
    """What each answer was held to."""

    @property
    def facts(self) -> ModelFacts:
        return ModelFacts(name=self.name, source=ModelSource.REMOTE, digest=digest(self.name) * 2, kind=ModelKind.CHAT)

    @property
    def load(self) -> LoadFacts:
        return LoadFacts(
            device="remote",
            offloaded_layers=0,
            context=4096,
            slots=SLOTS,
            n_batch=0,
            n_ubatch=0,
            threads=0,
            flash_attention=False,
            cache_type_k="none",
            cache_type_v="none",
            llama_cpp_build="none",
            llama_cpp_python="none",
            load_s=0.0,
        )

    def stats(self) -> EngineStats:
        return EngineStats(slots=SLOTS, slots_used=len(self.holding), holding=frozenset(self.holding))

    async def probe(self) -> None:
        raise AssertionError("a remote model's speed is not probed")

    async def close(self) -> None:
        assert not self.holding, "closed with requests under way"

    async def open(self, job: Job, run: Run, sequence: PromptSequence, watch: Watch) -> ScriptedDialogue:
        return ScriptedDialogue(self, job, run, sequence, watch)

    async def answer(self, request: str, parameters: Parameters) -> str:
        """The next answer. Fails if it does not match the schema, since then the test's list is wrong."""
        self.holding.add(request)
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.holding.discard(request)
        answer = self.answers.pop(0)
        if parameters.json_schema is not None:
            jsonschema.validate(json.loads(answer), parameters.json_schema)
        self.schemas.append(parameters.json_schema)
        return answer


@dataclass
class ScriptedDialogue:
    """One job's conversation with a `ScriptedReplier`."""

    replier: ScriptedReplier
    job: Job
    run: Run
    sequence: PromptSequence
    watch: Watch

    async def reply(self, history: Sequence[TurnRecord], listener: Listener | None = None) -> Reply:
        job, turn = self.job, len(history)
        variant = self.run.variant(job.variant)
        varied = variant.parameters if variant is not None else {}
        resolved = turn_parameters(self.run, self.replier.facts, {}, self.sequence, turn, kind=job.kind, variant=varied)
        request = f"{job.id}.{job.fence}.{turn}"
        async with self.watch(request):
            text = await self.replier.answer(request, resolved.values)
        if listener is not None:
            listener.begin(lambda raw: ("", raw))
            listener.take(text)
        prompt = self.sequence.prompt_text(turn)
        draw = Draw(
            seed=turn_seed(self.run.seed, job.sequence_digest, job.repeat, turn),
            reply=text,
            reply_ids=None,
            reported_tokens=tokens(text),
            raw_text=text,
            finish_reason="stop",
            empty=empty(text, unclosed=False),
            timings=Timings(queue_s=0, prefill_s=0.1, decode_s=0.2, first_token_s=0.1),
        )
        facts = PromptFacts(
            text=prompt, tokens=tokens(prompt), digest=digest("messages", prompt), policy=resolved.values.policy
        )
        return Reply(prompt=facts, draws=(draw,), parameters=resolved)


def tokens(text: str) -> int:
    """Counts a word as a token."""
    return len(text.split())


def texts(records: Iterable[TurnRecord]) -> list[str]:
    """The replies that count."""
    return [record.draw.reply for record in records]
