"""Replies of a model at an endpoint, as a worker serves them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from nightjar.config.errors import ContextError, ModelError
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.identity import MOST_SEED, digest, turn_seed
from nightjar.jobs.parameters import Parameters, ParameterSource, Policy, Resolved
from nightjar.jobs.records import Draw, RemoteCall, Timings, TurnRecord
from nightjar.jobs.remote_models import TokenUse, unsent
from nightjar.jobs.sequences import Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.emptiness import empty
from nightjar.workers.conversation.reasoning import split, split_so_far
from nightjar.workers.conversation.replier import Listener, PromptFacts, Reply, Watch
from nightjar.workers.conversation.turns import turn_parameters
from nightjar.workers.engine.markers import Markers
from nightjar.workers.remote.answers import GrowingAnswer, with_calls
from nightjar.workers.remote.caller import Called, CallSize, Payer
from nightjar.workers.remote.compressor import Compressed, Compressor, TurnToCompress
from nightjar.workers.remote.dialects import chat_body
from nightjar.workers.remote.held_to import spoilt
from nightjar.workers.remote.model import RemoteModel
from nightjar.workers.remote.texts import AskedMessages, droppable, estimate, fit_messages, most_tokens


class RemoteReplier(RemoteModel):
    """A `Replier` at an endpoint. `compressor`: shortens what it is asked."""

    compressor: Compressor | None = None

    async def open(self, job: Job, run: Run, sequence: PromptSequence, watch: Watch) -> RemoteDialogue:
        """See `Replier.open`. Raises ModelError for a sequence that only a text model could go on with."""
        if sequence.mode is Mode.COMPLETION:
            raise ModelError(
                f"Sequence {sequence.id!r} is `mode: completion`, and {self.facts.name!r} answers chats: its endpoint "
                "is asked through /chat/completions."
            )
        return RemoteDialogue(self, job, run, sequence, watch)

    @property
    def markers(self) -> Markers | None:
        """Of reasoning in the text itself; servers that send it apart need none."""
        return (
            None
            if self.entry.reasoning is None
            else Markers(open=self.entry.reasoning[0], close=self.entry.reasoning[1])
        )


@dataclass(frozen=True, kw_only=True)
class _RemoteTurn:
    """What all draws of a turn share."""

    index: int
    asked: AskedMessages
    resolved: Resolved


class RemoteDialogue:
    """A `Dialogue` at an endpoint. Nothing is kept between turns: the whole conversation is sent each time."""

    def __init__(self, replier: RemoteReplier, job: Job, run: Run, sequence: PromptSequence, watch: Watch) -> None:
        self._replier = replier
        self._job = job
        self._run = run
        self._sequence = sequence
        self._watch = watch

    async def reply(self, history: Sequence[TurnRecord], listener: Listener | None = None) -> Reply:
        """See `Dialogue.reply`. Raises ComeBackError and EndpointError, too."""
        index, resolved = len(history), self._parameters(len(history))
        compressed = await self._compressed(history, resolved)
        sequence, dropped = compressed.sequence or self._sequence, list(compressed.compression.turns)
        context = self._replier.target.context
        while True:
            asked = fit_messages(sequence, index, history, resolved.values, context, dropped, compressed.compression)
            turn = _RemoteTurn(index=index, asked=asked, resolved=resolved)
            try:
                draws = await self._draw(turn, listener)
                break
            except ContextError:  # its server counts otherwise than we estimate
                gone = droppable(sequence, history, resolved.values, asked.dropped_turns)
                if gone is None:
                    raise
                dropped = [*asked.dropped_turns, gone]
        first = draws[0].remote
        assert first is not None
        prompt = PromptFacts(
            text=asked.prompt,
            tokens=first.use.prompt,
            reused_tokens=first.use.cached,
            digest=digest("messages", list(asked.messages)),
            policy=resolved.values.policy if self._replier.compressor is None else Policy.SUMMARISE,
            dropped_turns=asked.dropped_turns,
        )
        return Reply(prompt=prompt, draws=tuple(draws), summaries=compressed.summaries, parameters=resolved)

    async def _compressed(self, history: Sequence[TurnRecord], resolved: Resolved) -> Compressed:
        """What stands for documents and old turns; nothing where nobody compresses."""
        if self._replier.compressor is None:
            return Compressed()
        turn = TurnToCompress(job=self._job, run=self._run, sequence=self._sequence, history=history, resolved=resolved)
        return await self._replier.compressor.compress(turn, self._watch, seed=self._seed(len(history), 0))

    def _parameters(self, index: int) -> Resolved:
        variant = self._run.variant(self._job.variant)
        return turn_parameters(
            self._run,
            self._replier.facts,
            self._replier.entry.parameters,
            self._sequence,
            index,
            kind=self._job.kind,
            variant=variant.parameters if variant is not None else {},
        )

    async def _draw(self, turn: _RemoteTurn, listener: Listener | None) -> list[Draw]:
        draws: list[Draw] = []
        while not draws or (draws[-1].empty is not None and len(draws) <= turn.resolved.values.retry_empty):
            draws.append(await self._draw_one(turn, len(draws), None if draws else listener))
        return draws

    async def _draw_one(self, turn: _RemoteTurn, number: int, listener: Listener | None) -> Draw:
        job, replier, values = self._job, self._replier, turn.resolved.values
        seed = self._seed(turn.index, number)
        request = f"{job.id}.{job.fence}.{turn.index}.{number}"
        body = chat_body(
            replier.remote.dialect,
            replier.target.model,
            turn.asked.messages,
            values,
            seed=seed,
            omit=replier.target.omit,
            tools=self._sequence.tools,
        )
        generation = _RemoteGeneration(replier, turn.asked, values, listener, self._sequence)
        prompt = estimate(turn.asked.messages, self._sequence.tools)
        payer = Payer(job=job, run=self._run, name=f"{turn.index}.{number}.{len(turn.asked.dropped_turns)}")
        asked = CallSize(
            most=TokenUse(
                prompt=most_tokens(turn.asked.messages, self._sequence.tools), reply=values.max_tokens, estimated=True
            ),
            about_tokens=prompt + values.max_tokens // 2,
        )
        async with self._watch(request):
            replier.holding.add(request)
            try:
                called = await replier.caller.call(
                    payer,
                    asked,
                    replier.price(self._run),
                    lambda: generation.send(body),
                    lambda: generation.answer.use,
                    lambda: replier.name_of(generation.answer),
                )
            finally:
                replier.holding.discard(request)
        replier.count(called.use)
        replier.watch_names(generation.answer)
        return self._finished(turn, generation, called, seed)

    def _finished(self, turn: _RemoteTurn, generation: _RemoteGeneration, called: Called, seed: int) -> Draw:
        answer, replier, values = generation.answer, self._replier, turn.resolved.values
        parts = split(answer.text, replier.markers)
        nothing = empty(parts.reply, unclosed=parts.unclosed)
        withheld = answer.finish_reason == "content_filter"
        if nothing and withheld:
            nothing = "withheld by the endpoint's content filter"
        if answer.tool_calls:
            nothing = None
        calls = answer.tool_calls if self._sequence.tools else ()
        set_keys = [key for key, source in turn.resolved.sources.items() if source is not ParameterSource.DEFAULT]
        left_out = {*unsent(replier.remote.dialect, set_keys), *set(replier.target.omit)}
        return Draw(
            seed=seed,
            reply=with_calls(parts.reply, calls) if calls else parts.reply,
            reasoning="\n\n".join(text for text in (answer.reasoning.strip(), parts.reasoning) if text),
            reply_ids=None,
            reported_tokens=called.use.reply,
            raw_text=parts.raw,
            finish_reason=generation.finish_reason,
            reasoning_tokens=called.use.reasoning,
            empty=nothing,
            degenerate=None if nothing or calls else spoilt(parts.reply, called.use, values, withheld=withheld),
            timings=generation.timings(called.waited_s),
            remote=RemoteCall(
                expense=called.expense.id,
                model=answer.model,
                fingerprint=answer.fingerprint,
                id=answer.id,
                use=called.use,
                usd=None if called.expense.price is None else called.expense.price.cost(called.use),
                unsent=tuple(sorted(left_out)),
                tool_calls=answer.tool_calls,
            ),
        )

    def _seed(self, turn: int, redraw: int) -> int:
        if self._job.live is not None:
            return (self._job.live.seed + redraw) & MOST_SEED
        return turn_seed(self._run.seed, self._job.sequence_digest, self._job.repeat, turn, redraw)


class _RemoteGeneration:
    """One draw's stream, begun anew with every try."""

    def __init__(
        self,
        replier: RemoteReplier,
        asked: AskedMessages,
        values: Parameters,
        listener: Listener | None,
        sequence: PromptSequence,
    ) -> None:
        self._replier = replier
        self._values = values
        self._listener = listener
        self._estimate = estimate(asked.messages, sequence.tools)
        self.answer = GrowingAnswer(prompt_estimate=self._estimate)
        self._timed_out = False
        self._began = self._ended = 0.0
        self._first: float | None = None

    async def send(self, body: dict[str, object]) -> None:
        """One try. Raises RequestFailure. A reply that takes longer than `time_limit_s` ends there, as it is."""
        self.answer = answer = GrowingAnswer(prompt_estimate=self._estimate)
        self._began, self._first, self._timed_out = monotonic(), None, False
        if self._listener is not None:
            markers = self._replier.markers
            self._listener.begin(lambda raw: _so_far(answer, markers))
        stream = self._replier.client.stream_chat(body)
        try:
            async with asyncio.timeout(self._values.time_limit_s):  # also where a server sends nothing but keep-alives
                async for piece in stream:
                    answer.add(piece)
                    said = piece.text or piece.reasoning
                    if said and self._first is None:
                        self._first = monotonic()
                    if said and self._listener is not None:
                        self._listener.take(said)
        except TimeoutError:
            self._timed_out = True
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
            self._ended = monotonic()

    @property
    def finish_reason(self) -> str:
        if self._timed_out:
            return "timeout"
        return "length" if self.answer.finish_reason == "length" else "stop"

    def timings(self, waited_s: float) -> Timings:
        """As seen from here: the network is part of every number."""
        first = self._first if self._first is not None else self._ended
        return Timings(
            queue_s=waited_s,
            prefill_s=first - self._began,
            decode_s=self._ended - first,
            first_token_s=None if self._first is None else waited_s + first - self._began,
        )


def _so_far(answer: GrowingAnswer, markers: Markers | None) -> tuple[str, str]:
    """Reasoning and visible text; what came apart stays apart, whatever the raw text is taken to be."""
    reasoning, text = split_so_far(answer.text, markers)
    return answer.reasoning + reasoning, text
