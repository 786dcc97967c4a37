"""Replies of a model loaded into this process: render the history, fit it to the context, generate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import structlog

from nightjar.config.errors import ModelError
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.identity import MOST_SEED, turn_seed
from nightjar.jobs.models import SpeedProbe
from nightjar.jobs.parameters import Policy, Resolved
from nightjar.jobs.records import Draw, Summary, TurnRecord
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.jobs.sequences import PLAIN, Choices, Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.choice_ids import ChoicePlan, plan_choices, turn_alone
from nightjar.workers.conversation.likelihoods import LikelihoodDialogue
from nightjar.workers.conversation.local_model import LocalModel
from nightjar.workers.conversation.memories import Memories
from nightjar.workers.conversation.plan import PromptPlan, ask, replay
from nightjar.workers.conversation.prompts import Conversation, open_conversation
from nightjar.workers.conversation.reasoning import split_so_far
from nightjar.workers.conversation.recalling import Quoting
from nightjar.workers.conversation.remembered import MemoryAccess, Remembered, open_memory
from nightjar.workers.conversation.replier import Listener, Reply, Watch
from nightjar.workers.conversation.shared import SharedGenerations
from nightjar.workers.conversation.summaries import plan_turn
from nightjar.workers.conversation.template_process import RendererProcess
from nightjar.workers.conversation.template_render import Renderer
from nightjar.workers.conversation.templates import ChatTemplate
from nightjar.workers.conversation.turns import token_chances, turn_draw, turn_parameters, turn_reply, turn_request
from nightjar.workers.engine.request import Engine, Generation, Request
from nightjar.workers.library.find import ModelEntry

T = TypeVar("T")
_log = structlog.get_logger()


class LocalReplier(LocalModel):
    """A `Replier` on an engine; `entry` is what the registry says of its model."""

    def __init__(self, engine: Engine, entry: ModelEntry, embedder: TextEmbedder | None = None) -> None:
        """`embedder`: by it policy recall finds exchanges, and a memory facts; None refuses both."""
        super().__init__(engine)
        self.entry = entry
        self.embedder = embedder
        self.memories: Memories | None = None
        """What is stored of memories; None refuses them."""
        self.summaries = SharedGenerations(engine.facts.digest)
        self._live_summaries = SharedGenerations(engine.facts.digest)
        """What live requests say is stored for nobody, and goes with their texts."""
        self._templates: dict[str, ChatTemplate | None] = {}
        self._unread: set[str] = set()
        self._planner = ThreadPoolExecutor(1, thread_name_prefix="planner")
        self._renderer = RendererProcess()

    async def probe(self) -> SpeedProbe:
        return await self.engine.probe()

    async def close(self) -> None:
        await super().close()
        if isinstance(self.embedder, AbstractAsyncContextManager):
            await self.embedder.__aexit__(None, None, None)
        await asyncio.to_thread(self._renderer.close)

    async def open(self, job: Job, run: Run, sequence: PromptSequence, watch: Watch) -> LocalDialogue:
        """See `Replier.open`. Raises ModelError, too, where it is to remember and cannot, or has tools to call."""
        if sequence.tools:
            raise ModelError(
                f"Sequence {sequence.id!r} has `tools`, and {self.facts.name!r} is loaded here: only models at "
                "endpoints are given tools so far."
            )
        remembered = await self.remember(job, run, sequence) if job.turns else None

        def begin() -> tuple[Conversation, PromptPlan | None]:
            conversation = self.conversation(sequence if remembered is None else remembered.sequence, run)
            return conversation, replay(conversation, job.turns)

        conversation, previous = await self.plan(begin)
        return LocalDialogue(self, job, run, conversation, previous, watch, remembered)

    async def remember(self, job: Job, run: Run, sequence: PromptSequence) -> Remembered | None:
        """The job's memory; see `open_memory`."""
        access = MemoryAccess(
            memories=self.memories,
            embedder=self.embedder,
            engine=self.engine,
            system=self.entry.system,
            think=self.plan,
        )
        return await open_memory(access, job, run, sequence, self.parameters(job, run, sequence, 0))

    async def summarise(self, job: Job, run: Run, watch: Watch, request: Request) -> Generation:
        """Made once for all conversations of the run that ask for the same. Raises CancelledError where the engine
        closes, and as `watch` does.
        """
        summaries = self.summaries if job.live is None else self._live_summaries
        shared = summaries.take(run.id, request, self.engine.generate)
        await shared.begun.wait()  # its engine is asked for the request only then: see `HeldJobs`
        async with watch(shared.request):
            return _unless_closing(await asyncio.shield(shared.task))

    def parameters(self, job: Job, run: Run, sequence: PromptSequence, turn: int) -> Resolved:
        """What a turn of the job is generated with. Raises ParameterError."""
        variant = run.variant(job.variant)
        given = variant.parameters if variant is not None else {}
        own = self.entry.parameters
        return turn_parameters(run, self.facts, own, sequence, turn, kind=job.kind, variant=given)

    async def open_scoring(self, job: Job, run: Run, sequence: PromptSequence, watch: Watch) -> LikelihoodDialogue:
        """See `LikelihoodModel.open_scoring`."""

        def planned(turn: int, choices: Choices) -> ChoicePlan:
            alone = [turn_alone(sequence, turn, context) for context in choices.contexts or (None,)]
            return plan_choices([self.conversation(one, run) for one in alone], choices)

        async def plan(turn: int, choices: Choices) -> ChoicePlan:
            return await self.plan(lambda: planned(turn, choices))

        async def text_ids(text: str) -> list[int]:
            return await self.plan(lambda: self.engine.tokenizer.tokenize(text, parse_special=False))

        return LikelihoodDialogue(
            self.engine,
            job,
            run,
            sequence,
            choices=plan,
            text_ids=text_ids,
            parameters=lambda turn: self.parameters(job, run, sequence, turn),
            watch=watch,
        )

    async def plan(self, work: Callable[[], T]) -> T:
        """Renders and tokenises in one thread of its own: a slow template delays no lease, and renders alone."""
        return await asyncio.get_running_loop().run_in_executor(self._planner, work)

    def tell_unread(self, conversation: Conversation, variables: Iterable[str]) -> None:
        """Logs each variable once that the template does not read: it changes nothing, and may be misspelt."""
        template = conversation.template
        for name in variables:
            if template is not None and name not in self._unread and not template.reads(name):
                self._unread.add(name)
                _log.warning("template_variable_unread", model=self.facts.name, variable=name)

    def conversation(self, sequence: PromptSequence, run: Run) -> Conversation:
        """The sequence as this model is given it. Within `plan` only. Raises TemplateError."""
        template = None if sequence.mode in PLAIN else self.template(run.date)
        return conversation_on(self.engine, sequence, template)

    def template(self, date: str) -> ChatTemplate | None:
        """The model's template on that day; None without one. Within `plan` only. Raises TemplateError."""
        if date not in self._templates:
            self._templates[date] = chat_template(self.engine, self.entry, date, self._renderer)
        return self._templates[date]


def chat_template(engine: Engine, entry: ModelEntry, date: str, renderer: Renderer) -> ChatTemplate | None:
    """The template of the registry, else the file's; None without either. `date`: ISO, what it sees as today.

    It may come from anybody, so the renderer is a process of its own.

    Raises TemplateError.
    """
    source = entry.template or engine.chat_template
    if source is None:
        return None
    return ChatTemplate(
        source,
        bos_text=engine.bos_text,
        eos_text=engine.eos_text,
        date=date,
        system=entry.system,
        reasoning=entry.reasoning,
        renderer=renderer,
    )


def conversation_on(engine: Engine, sequence: PromptSequence, template: ChatTemplate | None) -> Conversation:
    """The sequence, to be rendered by the template and tokenised by the engine. Raises TemplateError."""
    return open_conversation(
        sequence,
        template=template,
        tokenizer=engine.tokenizer,
        context=engine.load.context,
        bos_text=engine.bos_text,
    )


@dataclass(frozen=True, kw_only=True)
class _Turn:
    """What all draws of a turn share."""

    index: int
    name: str
    """Ids of its requests begin so."""
    plan: PromptPlan
    resolved: Resolved


class LocalDialogue:
    """A `Dialogue` on an engine. It keeps the plan of its last turn, which the next prompt goes on from."""

    def __init__(
        self,
        replier: LocalReplier,
        job: Job,
        run: Run,
        conversation: Conversation,
        previous: PromptPlan | None,
        watch: Watch,
        remembered: Remembered | None,
    ) -> None:
        self._replier = replier
        self._job = job
        self._run = run
        self._conversation = conversation
        self._previous = previous
        self._watch = watch
        self._remembered = remembered
        self._quoting = Quoting(replier.embedder, replier.plan)

    async def reply(self, history: Sequence[TurnRecord], listener: Listener | None = None) -> Reply:
        """See `Dialogue.reply`."""
        job, replier, index = self._job, self._replier, len(history)
        if index == 0:
            await self._remember()
        resolved = replier.parameters(job, self._run, self._conversation.sequence, index)
        replier.tell_unread(self._conversation, resolved.values.template)
        name = f"{job.id}.{job.fence}.{index}"
        asked = ask(self._conversation, index, history, resolved.values, self._previous)
        recalled_by: str | None = None
        summaries: tuple[Summary, ...] = ()
        if resolved.values.policy is Policy.RECALL:
            plan, recalled_by = await self._quoting.plan_turn(asked)
        else:
            summarise = partial(replier.summarise, self._job, self._run, self._watch)
            plan, summaries = await plan_turn(
                asked, resolved, summarise, replier.plan, id=name, seed=self._seed(index, 0)
            )
        draws, first = await self._draw(_Turn(index=index, name=name, plan=plan, resolved=resolved), listener)
        self._previous = plan
        reply = turn_reply(plan, resolved, draws, first, summaries, recalled_by)
        if self._remembered is None:
            return reply
        kept = await self._remembered.keep(
            self._conversation, resolved, reply, index, self._generate, seed=self._seed(index, len(draws))
        )
        return replace(reply, memory=kept)

    async def _remember(self) -> None:
        """Gives the conversation what its memory has by now: when its first turn has a slot, and not before."""
        replier, run = self._replier, self._run
        remembered = self._remembered = await replier.remember(self._job, run, self._conversation.sequence)
        if remembered is not None and remembered.given:
            self._conversation = await replier.plan(lambda: replier.conversation(remembered.sequence, run))

    async def _draw(self, turn: _Turn, listener: Listener | None) -> tuple[list[Draw], Generation]:
        """All draws, the turn redrawn while it is empty and redraws are left, and the generation of the first."""
        markers, opened = self._conversation.markers, turn.plan.reasoning_open
        if listener is not None:
            listener.begin(lambda raw: split_so_far(raw, markers, opened=opened))
        redraws = turn.resolved.values.retry_empty
        independent = self._conversation.sequence.mode is Mode.INDEPENDENT
        final = redraws == 0 and (independent or turn.index + 1 == self._job.turns_total)
        draws: list[Draw] = []
        first: Generation | None = None
        while not draws or (draws[-1].empty is not None and len(draws) <= redraws):
            seed = self._seed(turn.index, len(draws))
            name = f"{turn.name}.{len(draws)}"
            request = turn_request(self._conversation, turn.plan, turn.resolved, id=name, seed=seed)
            generation = await self._generate(replace(request, final=final), None if draws else listener)
            first = first or generation
            draw = turn_draw(self._conversation, turn.plan, turn.resolved, generation, seed=seed)
            if self._job.live is not None:
                chances = token_chances(generation, self._conversation.tokenizer)
                draw = draw.model_copy(update={"chances": chances})
            draws.append(draw)
        assert first is not None
        return draws, first

    def _seed(self, turn: int, redraw: int) -> int:
        if self._job.live is not None:  # asked for, or drawn when it was
            return (self._job.live.seed + redraw) & MOST_SEED
        return turn_seed(self._run.seed, self._job.sequence_digest, self._job.repeat, turn, redraw)

    async def _generate(self, request: Request, listener: Listener | None = None) -> Generation:
        async with self._watch(request.id):
            return _unless_closing(await self._replier.engine.generate(request, listener))


def _unless_closing(generation: Generation) -> Generation:
    """Raises CancelledError where the engine ended it since it closes."""
    if generation.finish_reason == "cancelled":
        raise asyncio.CancelledError
    return generation
