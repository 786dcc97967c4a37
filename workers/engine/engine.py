"""One loaded model, many requests at once: the asyncio side of the decode thread."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self

import structlog

from nightjar.config.errors import ContextError, EngineError, ModelError, ParameterError
from nightjar.config.hardware import usable_cores
from nightjar.jobs.models import LoadFacts, ModelFacts, ModelKind, SpeedProbe
from nightjar.workers.engine.backend import Backend
from nightjar.workers.engine.decoding import DecodeThread
from nightjar.workers.engine.request import (
    EngineStats,
    Generation,
    Request,
    ScoreRequest,
    ScoreResult,
    Text,
    TextTap,
    Tokenizer,
    Vector,
)
from nightjar.workers.engine.speed import SWEEP, measure_speed
from nightjar.workers.engine.thread_tuner import ThreadTuner
from nightjar.workers.engine.ticket import AnyTicket, Event, RequestTicket, ScoreTicket, TextTicket, Ticket
from nightjar.workers.engine.watchdog import Watchdog

log = structlog.get_logger()

MOST_LANES = 8
"""Threads that draw tokens, if there are that many cores."""
PATIENCE_S = 60.0
"""A decode that takes longer than this is aborted."""
SWEEP_S, LONGEST_SWEEP_STEP_S = 0.4, 1.0
"""How long each number of conversations is measured; where a step of fewer took so long, more are not tried."""
Together = Callable[[int, int, float], float | None]
"""(conversations at once, threads, seconds) -> tokens per second of them all; None where there is no room for them."""
ANY_SEED = 2**32 - 1
"""llama.cpp takes this value for "any seed"; ours are below it."""


class BatchEngine:
    """See `request.Engine`. `start` gives more than `generate` and `stream`: text first, then the Generation."""

    def __init__(
        self,
        backend: Backend,
        *,
        facts: ModelFacts,
        load: LoadFacts,
        chat_template: str | None,
        bos_text: str = "",
        eos_text: str = "",
        patience_s: float = PATIENCE_S,
        tuner: ThreadTuner | None = None,
        together: Together | None = None,
        cost: Callable[[float], float | None] | None = None,
    ) -> None:
        """`tuner`: follows the machine's load with the number of threads; None where that is fixed. `together`: for
        the speed probe; None where only one conversation is measured. `cost`: measures what `reproducible` costs, in
        steps of so many seconds; None where that is off."""
        self.facts = facts
        self.load = load
        self.chat_template = chat_template
        self.bos_text = bos_text
        self.eos_text = eos_text
        self._backend = backend
        self._tickets: set[AnyTicket] = set()
        self._calls = itertools.count()
        self._refusing: str | None = None
        self._tuner = tuner
        self._together = together
        self._cost = cost
        self._grammars = ThreadPoolExecutor(1, "engine-grammars")
        self._thread = DecodeThread(backend, self._hand_over, self._lose_all, lanes=_lanes(load), tuner=tuner)
        self._watchdog = Watchdog(
            lambda: self._thread.counters.busy_since, backend.abort, self._give_up, patience_s=patience_s
        )

    @property
    def tokenizer(self) -> Tokenizer:
        return self._backend.tokenizer

    @property
    def threads(self) -> int:
        """How many compute now."""
        return self.load.threads if self._tuner is None else self._tuner.count

    def start(self, request: Request, *, streaming: bool = False, tap: TextTap | None = None) -> RequestTicket:
        """Submits a request; only a streaming ticket can be iterated, else a tap may take its text.

        Raises ContextError if the prompt does not fit, ParameterError for a seed or token id out of range, ModelError
        if the model cannot do what is asked (an embedding model cannot generate), and EngineError if the engine is
        closed, draining or has failed. Awaiting the ticket raises ParameterError for a grammar or schema that cannot
        be used, and EngineError if decoding failed or the engine stopped meanwhile. Where a grammar lets no token come,
        the reply ends, with the finish reason `grammar`.
        """
        self._check(request)
        ticket: RequestTicket = Ticket(request, self._cancel, streaming=streaming, tap=tap)
        submitted = time.monotonic()
        if self._is_ready(request):
            self._submit(ticket, lambda: self._thread.accept(ticket, submitted))
        else:
            self._tickets.add(ticket)
            self._grammars.submit(self._prepare, ticket, submitted)
        return ticket

    def _is_ready(self, request: Request) -> bool:
        try:
            return self._backend.ready(request.parameters)
        except ParameterError:  # told where it is prepared
            return False

    def _prepare(self, ticket: RequestTicket, submitted: float) -> None:
        """In a thread of its own: what others decode does not wait for a grammar to be built."""
        try:
            self._check_open()
            self._backend.prepare(ticket.asked.parameters)
        except Exception as error:  # only this request fails
            self._hand_over([(ticket, "", error)])
            return
        self._submit(ticket, lambda: self._thread.accept(ticket, submitted))

    def _submit(self, ticket: AnyTicket, command: Callable[[], None]) -> None:
        self._tickets.add(ticket)
        self._thread.tell(command)
        if self._thread.failure is not None:  # it ended after the check and reads no more commands
            self._lose_all(self._thread.failure)

    async def generate(self, request: Request, tap: TextTap | None = None) -> Generation:
        """Waits for the reply. Cancelling the awaiting task frees the slot within one step."""
        return await self.start(request, tap=tap)

    async def stream(self, request: Request) -> AsyncIterator[str]:
        """Yields text as soon as it is certain. Leaving the loop early cancels the request."""
        texts = aiter(self.start(request, streaming=True))
        try:
            async for text in texts:
                yield text
        finally:
            await texts.aclose()  # type: ignore[attr-defined]  # it is an async generator

    async def embed(self, texts: list[list[int]]) -> list[Vector]:
        """One pooled embedding, a unit vector, per token sequence (of `tokenize`); for embedding models only.

        Texts of all callers are computed together, at most one per slot. Raises like `start`; ModelError for a model
        that generates text, or when llama.cpp cannot embed a text.
        """
        self._check_open()
        if self.facts.kind is not ModelKind.EMBEDDING:
            raise ModelError(f"{self.facts.name!r} generates text; embeddings need an embedding model.")
        for number, ids in enumerate(texts):
            self._check_ids(ids, f"Text {number}")
        call = next(self._calls)
        return await asyncio.gather(
            *(self._start_text(Text(id=f"embed-{call}.{number}", ids=tuple(ids))) for number, ids in enumerate(texts))
        )

    def _start_text(self, text: Text) -> TextTicket:
        ticket: TextTicket = Ticket(text, self._cancel)
        self._submit(ticket, lambda: self._thread.accept_text(ticket))
        return ticket

    async def score(self, request: ScoreRequest) -> ScoreResult:
        """How likely the continuations are after their context. Requests of all callers that begin alike share it.

        Between steps of what generates, which goes on. Cancelling the awaiting task ends it within a step. Raises
        ContextError where the context or a continuation is empty or both do not fit, ParameterError for ids that the
        model has not, ModelError for an embedding model, ModelFitError where there is no room for a second context,
        and EngineError as `start` does.
        """
        self._check_open()
        if self.facts.kind is ModelKind.EMBEDDING:
            raise ModelError(f"{self.facts.name!r} is an embedding model: it says nothing of how likely a text is.")
        if not request.continuations:
            raise ParameterError("There is no continuation to score; give at least one.")
        self._check_ids(request.context, "The context")
        for number, continuation in enumerate(request.continuations, start=1):
            what = "The continuation" if len(request.continuations) == 1 else f"Continuation {number}"
            self._check_ids(continuation, what)
            self._check_ids((*request.context, *continuation[:-1]), f"{what} with its context")
        ticket: ScoreTicket = Ticket(request, self._cancel)
        self._submit(ticket, lambda: self._thread.accept_score(ticket))
        return await ticket

    def tokenize(self, text: str) -> list[int]:
        """Ids of a plain text, with the control tokens the model wants around one; such tokens inside stay text."""
        return self._backend.whole(text)

    def count_tokens(self, text: str) -> int:
        return len(self.tokenize(text))

    def stats(self) -> EngineStats:
        """A snapshot; the age of the last step is 0 while there is nothing to do."""
        counters = self._thread.counters
        tickets = list(self._tickets)
        works = self._thread.scheduler.running
        running = len(works)
        prompts = [(len(work.prompt), len(slot.cells)) for work in works if (slot := work.slot) is not None]
        prompts = [(total, done) for total, done in prompts if done < total]
        return EngineStats(
            slots=self._backend.limits.slots,
            slots_used=running,
            waiting=max(0, len(tickets) - running),
            steps=counters.steps,
            last_step_age_s=time.monotonic() - counters.last_step if tickets else 0.0,
            prefill_tokens=counters.prefill_tokens,
            decode_tokens=counters.decode_tokens,
            forced_tokens=counters.forced_tokens,
            reused_tokens=counters.reused_tokens,
            dropped_tokens=counters.dropped_tokens,
            requests_done=counters.requests_done,
            holding=frozenset(ticket.asked.id for ticket in tickets),
            prompts=len(prompts),
            prompts_tokens=sum(total for total, _ in prompts),
            prompts_done=sum(done for _, done in prompts),
            threads=None if self._tuner is None else self._tuner.use,
            failure=None if self._thread.failure is None else str(self._thread.failure),
        )

    async def probe(self) -> SpeedProbe:
        """Measures the model's speed by itself and by the number of conversations; nothing else should run. Cancelled,
        it ends within a step."""
        alone = await measure_speed(self, vocabulary=self.facts.file_facts.vocabulary)
        by_slots = await self._by_slots(alone.decode_tokens_per_s)
        measured = {"by_slots": by_slots, "reproducible_cost": await self.reproducible_cost()}
        probe = alone.model_copy(update=measured).with_slots(self.load.slots)
        log.info("speed_probe", model=self.facts.name, **probe.model_dump(mode="json", exclude_none=True))
        return probe

    async def reproducible_cost(self) -> float | None:
        """Measures which share of the decode speed `reproducible` costs; None where it is off, or has no room."""
        return None if self._cost is None else await self._in_thread(partial(self._cost, SWEEP_S))

    async def _by_slots(self, alone: float) -> dict[int, float]:
        """Tokens per second of several conversations at once: on a CPU of as many as may be best, else of all slots."""
        on_cpu = self.load.offloaded_layers == 0 and not self.load.reproducible_alone
        counts = sorted({*(SWEEP if on_cpu else ()), self.load.slots})
        rates: dict[int, float] = {}
        step_s = 1 / max(alone, 1e-9)
        for slots in counts:
            if self._together is None or step_s > LONGEST_SWEEP_STEP_S:
                break
            rate = await self._in_thread(partial(self._together, slots, self.threads, SWEEP_S))
            if rate is None:
                break
            rates[slots], step_s = rate, slots / rate
        return rates

    async def _in_thread(self, work: Callable[[], float | None]) -> float | None:
        """What the work gives in the decode thread, where no other thread computes beside it."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[float | None] = loop.create_future()

        def settle(result: float | None) -> None:
            if not done.done():
                done.set_result(result)

        def command() -> None:
            result = None if done.done() else work()
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(settle, result)

        self._check_open()
        self._thread.tell(command)
        return await done

    async def drain(self, limit_s: float) -> bool:
        """Refuses new requests and waits for those it holds; False if some were left when the time was up."""
        self._refusing = "is draining"
        held: list[asyncio.Future[Any]] = [ticket.done for ticket in self._tickets]
        unfinished = (await asyncio.wait(held, timeout=limit_s))[1] if held else set()
        return not unfinished

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Cancels what runs, frees the context, ends the thread. Idempotent."""
        self._refusing = "is closed"
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """The same for the end of a process, where no event loop runs any more; blocks until the thread has ended."""
        self._refusing = "is closed"
        self._grammars.shutdown()
        self._thread.close()
        self._watchdog.close()  # last, since what runs may hang

    def check_integrity(self) -> None:
        """Asserts the scheduler's invariants; only while nothing runs."""
        assert not self._tickets
        self._thread.scheduler.check_integrity()

    def _check(self, request: Request) -> None:
        self._check_open()
        if self.facts.kind is ModelKind.EMBEDDING:
            raise ModelError(f"{self.facts.name!r} is an embedding model; it cannot generate text.")
        self._check_ids(request.prompt, "The prompt")
        if not 0 <= request.seed < ANY_SEED:
            raise ParameterError(f"The seed is {request.seed}; it must be from 0 to {ANY_SEED - 1}.")

    def _check_ids(self, ids: Sequence[int], what: str) -> None:
        context, vocabulary = self._backend.limits.context, self._backend.vocabulary
        if not ids:
            raise ContextError(f"{what} has no tokens; give it at least one.")
        if len(ids) > context:
            raise ContextError(
                f"{what} has {len(ids)} tokens and the context holds {context}. "
                "Shorten it, or load the model with a larger `context`."
            )
        if min(ids) < 0 or max(ids) >= vocabulary:
            outside = next(token for token in ids if not 0 <= token < vocabulary)
            raise ParameterError(f"{what} has the token id {outside}; the model's ids are 0 to {vocabulary - 1}.")

    def _check_open(self) -> None:
        failure = self._thread.failure
        if failure is not None:
            raise EngineError(f"The engine of {self.facts.name!r} stopped: {failure}. Restart the worker.") from failure
        if self._refusing is not None:
            raise EngineError(f"The engine of {self.facts.name!r} {self._refusing}; load the model again.")

    def _cancel(self, ticket: AnyTicket) -> None:
        if ticket in self._tickets:
            self._thread.tell(lambda: self._thread.drop(ticket))

    def _hand_over(self, events: list[Event]) -> None:
        """Called by the delivery thread, once a step: each event goes to the loop that its request came from."""
        by_loop: dict[asyncio.AbstractEventLoop, list[Event]] = {}
        for event in events:
            by_loop.setdefault(event[0].loop, []).append(event)
        for loop, loop_events in by_loop.items():
            try:
                loop.call_soon_threadsafe(self._deliver, loop_events)
            except RuntimeError:  # the loop is closed, and everyone who waited in it is gone
                for ticket, _, outcome in loop_events:
                    if outcome is None:
                        self._cancel(ticket)
                    else:
                        self._tickets.discard(ticket)

    def _deliver(self, events: list[Event]) -> None:
        for ticket, text, outcome in events:
            if outcome is not None:
                self._tickets.discard(ticket)
            ticket.deliver(text, outcome)

    def _give_up(self) -> None:
        """Called by the watchdog: the thread hangs in something that cannot be aborted."""
        self._thread.give_up(EngineError("it made no progress, and was given up"))

    def _lose_all(self, error: BaseException) -> None:
        """Fails every waiting request: the engine is gone."""
        stopped = EngineError(f"The engine of {self.facts.name!r} stopped: {error}. Restart the worker.")
        self._hand_over([(ticket, "", stopped) for ticket in list(self._tickets)])


def _lanes(load: LoadFacts) -> int:
    """Threads that draw tokens. Cores that compute for llama.cpp spin until the next step and are no help."""
    computing = load.threads if load.offloaded_layers == 0 else 1
    return max(1, min(MOST_LANES, usable_cores() - computing + 1))
