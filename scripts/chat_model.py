"""A model that is loaded into this process: what `nightjar try` and `nightjar.load` of a program stand on."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from nightjar.config.errors import ContextError, ModelError, UsageError
from nightjar.jobs.identity import MOST_SEED
from nightjar.jobs.models import ModelFacts, ModelKind
from nightjar.jobs.parameters import ParameterSource, Resolved, check, resolve
from nightjar.jobs.records import Draw
from nightjar.jobs.sequences import Mode, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.local import LocalReplier, conversation_on
from nightjar.workers.conversation.local_embedder import LocalEmbedder
from nightjar.workers.conversation.messages import plan_messages, plan_text
from nightjar.workers.conversation.plan import PromptPlan, reply_room
from nightjar.workers.conversation.prompts import Conversation
from nightjar.workers.conversation.templates import Message
from nightjar.workers.conversation.turns import turn_draw, turn_request
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.load_progress import LoadProgress
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import Generation, Request
from nightjar.workers.engine.ticket import RequestTicket
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.process.load_model import load_fitting, serving

PromptOrMessages = str | Sequence[Message]
"""A text to go on, or the messages of a chat as `read_messages` gives them."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model, and the parameters that are set for all that is asked of it."""

    entry: ModelEntry
    facts: ModelFacts
    set_parameters: Mapping[str, Any] = field(default_factory=dict)

    def resolved(self, given: Mapping[str, Any] | None = None) -> Resolved:
        """The parameters of one reply, `given` over those of the model. Raises ParameterError."""
        return resolve(
            [
                (ParameterSource.GGUF, self.facts.sampling_defaults),
                (ParameterSource.REGISTRY, self.entry.parameters),
                (ParameterSource.SET, self.set_parameters),
                (ParameterSource.SET_MODEL, given or {}),
            ]
        )


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A prompt that fits, with what its reply is made and read with."""

    conversation: Conversation
    plan: PromptPlan
    resolved: Resolved
    request: Request


async def load_subject(
    subject: Subject, changes: Mapping[str, Any], gpu: str | None, progress: LoadProgress | None = None
) -> BatchEngine:
    """Loads the model; `changes` go before the load settings of its entry. Raises ModelError."""
    entry, facts = subject.entry, subject.facts
    if entry.remote is not None:
        raise ModelError(
            f"{entry.name!r} answers at the endpoint {entry.remote.endpoint!r} and cannot be loaded here. Evaluate it "
            "with `nightjar eval`, or ask it through `nightjar serve`."
        )
    how = partial(load, entry.path, facts=facts, gpu=gpu, adapters=entry.adapters, progress=progress)
    return await load_fitting(how, entry.load.model_copy(update=dict(changes)), facts.file_facts.context_train)


class ChatModel:
    """A loaded model that replies to messages, goes on with texts, or embeds them. Many may ask at once."""

    def __init__(self, engine: BatchEngine, subject: Subject) -> None:
        self.engine = engine
        self.subject = subject
        self._serving = serving(engine, subject.entry)
        self._numbers = itertools.count()

    async def plan(
        self,
        prompt: PromptOrMessages,
        *,
        seed: int,
        parameters: Mapping[str, Any] | None = None,
        remedy: str = "load the model with a larger `context`",
    ) -> Planned:
        """What is asked of the engine. Raises UsageError for a wrong seed, ParameterError, TemplateError, ModelError
        for a model that cannot do this, and ContextError with the numbers and the `remedy`."""
        if not 0 <= seed <= MOST_SEED:
            raise UsageError(f"The seed is {seed}; it must be from 0 to {MOST_SEED}.")
        check(parameters or {}, "this call")
        resolved = self.subject.resolved(parameters)
        conversation, plan = await self._planned(prompt, resolved)
        if not plan.fits:
            raise self._too_long(plan, resolved, remedy)
        name = f"chat-{next(self._numbers)}"
        request = turn_request(conversation, plan, resolved, id=name, seed=seed)
        return Planned(conversation=conversation, plan=plan, resolved=resolved, request=request)

    async def count(self, prompt: PromptOrMessages) -> int:
        """How many tokens the prompt of these messages has, or this text."""
        if isinstance(prompt, str):
            return self.engine.count_tokens(prompt)
        _, plan = await self._planned(prompt, self.subject.resolved())
        return len(plan.ids)

    def start(self, planned: Planned) -> RequestTicket:
        """Submits it: the ticket gives text as it comes, then the generation. Raises EngineError."""
        return self.engine.start(planned.request, streaming=True)

    async def reply(self, planned: Planned) -> tuple[Draw, Generation]:
        """The reply as a turn's is recorded, and the generation it comes from. Raises EngineError, ParameterError."""
        generation = await self.engine.generate(planned.request)
        draw = turn_draw(planned.conversation, planned.plan, planned.resolved, generation, seed=planned.request.seed)
        return draw, generation

    async def stream(self, planned: Planned) -> AsyncGenerator[str, None]:
        """Text as soon as it is certain, reasoning included. Leaving the loop early ends the generation."""
        texts = self.engine.stream(planned.request)
        try:
            async for text in texts:
                yield text
        finally:
            await texts.aclose()  # type: ignore[attr-defined]  # it is an async generator

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A unit vector for each text. Raises ModelError for a model that generates text."""
        if not isinstance(self._serving, LocalEmbedder):
            raise ModelError(f"{self.subject.entry.name} generates text; embeddings need an embedding model.")
        return [embedding.vector for embedding in await self._serving.embed(texts)]

    async def close(self) -> None:
        """Ends what runs and frees the model. Idempotent."""
        await self._serving.close()

    async def _planned(self, prompt: PromptOrMessages, resolved: Resolved) -> tuple[Conversation, PromptPlan]:
        name, model = self.subject.entry.name, self._serving
        if not isinstance(model, LocalReplier):
            raise ModelError(f"{name} is an embedding model: it makes vectors of texts and cannot reply.")
        if not isinstance(prompt, str) and self.subject.facts.kind is ModelKind.BASE:
            raise ModelError(
                f"{name} has no chat template: let it go on with a text (`generate`), or name a template in the "
                "registry."
            )

        def work() -> tuple[Conversation, PromptPlan]:
            if isinstance(prompt, str):
                conversation = conversation_on(self.engine, _sequence(Mode.COMPLETION), None)
                return conversation, plan_text(conversation, prompt, resolved.values)
            template = model.template(f"{datetime.now(UTC):%Y-%m-%d}")
            conversation = conversation_on(self.engine, _sequence(Mode.CHAT), template)
            return conversation, plan_messages(conversation, prompt, resolved.values)

        return await model.plan(work)

    def _too_long(self, plan: PromptPlan, resolved: Resolved, remedy: str) -> ContextError:
        context, trained = self.engine.load.context, self.subject.facts.file_facts.context_train
        room = reply_room(resolved.values, context)
        return ContextError(
            f"The prompt has {len(plan.ids):,} tokens, and {room:,} are kept for the reply: {len(plan.ids) + room:,} "
            f"in all, while the context holds {context:,}. Shorten the prompt, or {remedy} (the model was made for "
            f"{trained:,})."
        )


def _sequence(mode: Mode) -> PromptSequence:
    """Conversations belong to a sequence; this one has no turns of its own."""
    return PromptSequence(id="chat", turns=(TurnSpec(prompt="-"),), mode=mode)
