"""The decode thread and its asyncio face. One engine, one model; see `scheduler` for what a step is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from config.errors import ContextError, ModelError
from config.load_settings import LoadSettings
from jobs.models import LoadFacts, ModelFacts
from jobs.parameters import FinishReason
from workers.engine.backend import Backend, Sampler
from workers.engine.reply import Reply
from workers.engine.request import EngineStats, Generation, Request, Tokenizer
from workers.engine.scheduler import Scheduler
from workers.engine.slots import Step, Work

log = structlog.get_logger()

STEP_GOAL_S = 0.5
"""Prefill chunks adapt so that a step takes about this long at most."""


class Ticket:
    """A submitted request: iterate for its text as it is certain, await for the finished Generation."""

    def __init__(
        self, request: Request, streaming: bool, loop: asyncio.AbstractEventLoop, cancel: Callable[[Ticket], None]
    ) -> None:
        self.request = request
        self.streaming = streaming
        self.done: asyncio.Future[Generation] = loop.create_future()
        self._texts: deque[str] = deque()
        self._more = asyncio.Event()
        self._cancel = cancel

    def __await__(self) -> Generator[Any, None, Generation]:
        return self._result().__await__()

    async def _result(self) -> Generation:
        try:
            return await asyncio.shield(self.done)
        except asyncio.CancelledError:
            self._cancel(self)
            raise

    async def __aiter__(self) -> AsyncIterator[str]:
        assert self.streaming, "submit with streaming=True to iterate"
        try:
            while not self.done.done() or self._texts:
                while self._texts:
                    yield self._texts.popleft()
                self._more.clear()
                if not self.done.done():
                    await self._more.wait()
            self.done.result()
        finally:
            self._cancel(self)

    def deliver(self, text: str, outcome: Generation | BaseException | None) -> None:
        """Called in the event loop."""
        if text:
            self._texts.append(text)
        if outcome is not None and not self.done.done():
            if isinstance(outcome, BaseException):
                self.done.set_exception(outcome)
                self.done.exception()  # a caller that went away must not make asyncio complain
            else:
                self.done.set_result(outcome)
        self._more.set()


@dataclass(eq=False)
class _Run:
    """A request inside the engine's thread."""

    ticket: Ticket
    work: Work
    reply: Reply
    sampler: Sampler


@dataclass
class _Counters:
    steps: int = 0
    prefill_tokens: int = 0
    decode_tokens: int = 0
    reused_tokens: int = 0
    requests_done: int = 0
    last_step: float = field(default_factory=time.monotonic)


_Event = tuple[Ticket, str, Generation | BaseException | None]


class BatchEngine:
    """Runs many requests at once on one backend, in a thread of its own."""

    def __init__(
        self,
        backend: Backend,
        *,
        facts: ModelFacts,
        load: LoadFacts,
        chat_template: str | None,
        bos_text: str = "",
        eos_text: str = "",
    ) -> None:
        self.facts = facts
        self.load = load
        self.chat_template = chat_template
        self.bos_text = bos_text
        self.eos_text = eos_text
        self._backend = backend
        self._scheduler = Scheduler(backend.limits)
        self._runs: dict[int, _Run] = {}
        self._tickets: set[Ticket] = set()
        self._counters = _Counters()
        self._events: list[_Event] = []
        self._wake = threading.Condition()
        self._inbox: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
        self._thread.start()

    @property
    def tokenizer(self) -> Tokenizer:
        return self._backend.tokenizer

    # -- the asyncio face --------------------------------------------------------------------------------------------

    def start(self, request: Request, *, streaming: bool = False) -> Ticket:
        """Submits a request; only a streaming ticket can be iterated.

        Raises ContextError where the prompt does not fit, ModelError where the engine is gone.
        """
        context = self._backend.limits.context
        if not request.prompt:
            raise ContextError("The prompt has no tokens; give it at least one.")
        if len(request.prompt) > context:
            raise ContextError(
                f"The prompt has {len(request.prompt)} tokens and the context holds {context}. "
                "Shorten the prompt, or load the model with a larger `context`."
            )
        self._check_usable()
        self._loop = asyncio.get_running_loop()
        ticket = Ticket(request, streaming, self._loop, self._cancel)
        self._tickets.add(ticket)
        submitted = time.monotonic()
        self._tell(lambda: self._accept(ticket, submitted))
        return ticket

    async def generate(self, request: Request) -> Generation:
        """Waits for the reply. Cancelling the awaiting task frees the slot within one step."""
        return await self.start(request)

    async def stream(self, request: Request) -> AsyncIterator[str]:
        """Yields text as it is certain. Leaving the loop early cancels the request."""
        texts = aiter(self.start(request, streaming=True))
        try:
            async for text in texts:
                yield text
        finally:
            await texts.aclose()  # type: ignore[attr-defined]  # it is an async generator

    async def embed(self, texts: list[list[int]]) -> list[list[float]]:
        """One pooled embedding per token sequence; for embedding models only."""
        self._check_usable()
        loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[list[list[float]]] = loop.create_future()

        def work() -> None:
            try:
                vectors = self._backend.embed(texts)
            except Exception as error:  # handed to the caller
                loop.call_soon_threadsafe(_settle, future, None, error)
            else:
                loop.call_soon_threadsafe(_settle, future, vectors, None)

        self._tell(work)
        return await future

    def tokenize(self, text: str) -> list[int]:
        """Ids of a plain text, with BOS where the model wants one; control tokens written in it stay text."""
        bos = self.tokenizer.bos
        return ([] if bos is None else [bos]) + self.tokenizer.tokenize(text, parse_special=False)

    def count_tokens(self, text: str) -> int:
        return len(self.tokenize(text))

    def stats(self) -> EngineStats:
        """A snapshot; the age of the last step is 0 while nothing is to do."""
        counters = self._counters
        busy = bool(self._tickets)
        running = self._scheduler.running
        return EngineStats(
            slots=self._backend.limits.slots,
            slots_used=len(running),
            waiting=len(self._tickets) - len(running) if busy else 0,
            steps=counters.steps,
            last_step_age_s=time.monotonic() - counters.last_step if busy else 0.0,
            prefill_tokens=counters.prefill_tokens,
            decode_tokens=counters.decode_tokens,
            reused_tokens=counters.reused_tokens,
            requests_done=counters.requests_done,
            holding=frozenset(ticket.request.id for ticket in self._tickets),
        )

    async def close(self) -> None:
        """Cancels what runs, frees the context, ends the thread. Idempotent."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    def check_integrity(self) -> None:
        """Asserts the scheduler's invariants; only while nothing runs."""
        assert not self._tickets
        self._scheduler.check_integrity()

    def _check_usable(self) -> None:
        if self._closing:
            raise ModelError(f"The engine of model {self.facts.name!r} is closed; load the model again.")
        if self._failure is not None:
            raise ModelError(
                f"The engine of model {self.facts.name!r} stopped: {self._failure}. Restart the worker."
            ) from self._failure

    def _cancel(self, ticket: Ticket) -> None:
        if ticket in self._tickets:
            self._tell(lambda: self._drop(ticket))

    def _tell(self, command: Callable[[], None]) -> None:
        with self._wake:
            self._inbox.append(command)
            self._wake.notify()

    def _deliver(self, events: list[_Event]) -> None:
        for ticket, text, outcome in events:
            if outcome is not None:
                self._tickets.discard(ticket)
            ticket.deliver(text, outcome)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            while self._obey():
                self._step()
                self._flush()
        except BaseException as error:  # every waiting caller must hear of it
            self._failure = error
            log.exception("engine_failed", model=self.facts.name)
            self._end_all(error)
        else:
            self._end_all(None)
        self._flush()
        self._backend.close()

    def _obey(self) -> bool:
        """Waits for something to do and takes in what was asked. False when the engine is to close."""
        with self._wake:
            while not self._closing and not self._inbox and self._scheduler.idle:
                self._wake.wait()
            commands, self._inbox = self._inbox, []
        if commands and not self._runs:
            self._counters.last_step = time.monotonic()
        for command in commands:
            command()
        return not self._closing

    def _accept(self, ticket: Ticket, submitted: float) -> None:
        request = ticket.request
        try:
            sampler = self._backend.sampler(request)
        except Exception as error:  # this request's own fault; the others go on
            self._events.append((ticket, "", error))
            return
        work = Work(request.id, request.prompt, final=request.final)
        reply = Reply(request, self._backend.limits.context, self._backend.piece, submitted)
        self._runs[id(work)] = _Run(ticket, work, reply, sampler)
        self._scheduler.submit(work)

    def _drop(self, ticket: Ticket) -> None:
        for run in list(self._runs.values()):
            if run.ticket is ticket:
                self._end(run, "cancelled", time.monotonic())

    def _step(self) -> None:
        step = self._scheduler.plan()
        self._start(step)
        began = time.monotonic()
        if step.moves:
            self._backend.move(step.moves)
        if not step.pieces:
            assert step.moves or self._scheduler.idle, "work remains and none of it can go on"
            return
        try:
            rows = self._backend.decode(step.pieces)
        except Exception as error:  # fails what runs; waiting requests go on
            self._abandon(error)
            return
        outputs = self._scheduler.commit(step)
        now = time.monotonic()
        for output in outputs:
            for work in output.works:
                self._sample(self._runs[id(work)], rows[output.piece], now)
        self._count(step, now - began, now)
        self._expire(now)

    def _start(self, step: Step) -> None:
        now = time.monotonic()
        for piece in step.pieces:
            reply = self._runs[id(piece.work)].reply
            if not reply.started:
                reply.start(now)

    def _sample(self, run: _Run, row: int, now: float) -> None:
        try:
            token = run.sampler.sample(row)
            if run.ticket.request.parameters.top_logprobs:
                run.reply.logprobs.append(run.sampler.logprob(row, token))
        except Exception as error:  # this request's own fault; the others go on
            self._fail(run, error)
            return
        if not run.reply.started:
            run.reply.start(now)
        text = run.reply.end_of_generation(now) if self._backend.is_end(token) else run.reply.take(token, now)
        if run.reply.finish_reason is not None:
            self._retire(run, text, run.reply.generation(run.work.reused, now))
            return
        self._scheduler.push(run.work, token)
        if text and run.ticket.streaming:
            self._events.append((run.ticket, text, None))

    def _expire(self, now: float) -> None:
        for run in [run for run in self._runs.values() if run.reply.overdue(now)]:
            self._end(run, "timeout", now)

    def _end(self, run: _Run, reason: FinishReason, now: float) -> None:
        text = run.reply.finish(reason)
        self._retire(run, text, run.reply.generation(run.work.reused, now))

    def _fail(self, run: _Run, error: BaseException) -> None:
        self._retire(run, "", error)

    def _retire(self, run: _Run, text: str, outcome: Generation | BaseException) -> None:
        self._scheduler.finish(run.work)
        del self._runs[id(run.work)]
        run.sampler.close()
        self._counters.requests_done += 1
        self._counters.reused_tokens += run.work.reused
        self._events.append((run.ticket, text, outcome))

    def _abandon(self, error: Exception) -> None:
        """The decode failed: what ran fails with it, and the cache starts anew."""
        log.error("decode_failed", model=self.facts.name, error=str(error), running=len(self._scheduler.running))
        for work in self._scheduler.abandon_all():
            self._fail(self._runs[id(work)], error)
        self._backend.clear()

    def _end_all(self, error: BaseException | None) -> None:
        for run in list(self._runs.values()):
            if error is None:
                self._end(run, "cancelled", time.monotonic())
            else:
                self._fail(run, ModelError(f"The engine of model {self.facts.name!r} stopped: {error}."))

    def _count(self, step: Step, took_s: float, now: float) -> None:
        counters = self._counters
        decoded = sum(1 for piece in step.pieces if piece.start >= len(piece.work.prompt))
        prefilled = step.tokens - decoded
        counters.steps += 1
        counters.decode_tokens += decoded
        counters.prefill_tokens += prefilled
        counters.last_step = now
        if prefilled:
            self._adapt(prefilled, took_s)

    def _adapt(self, prefilled: int, took_s: float) -> None:
        """Keeps a step near its goal: a slow device gets smaller chunks, a fast one whole batches."""
        scheduler = self._scheduler
        if took_s > STEP_GOAL_S and prefilled > 16:
            scheduler.chunk = max(16, int(prefilled * STEP_GOAL_S / took_s))
        elif took_s < STEP_GOAL_S / 2:
            scheduler.chunk = min(self._backend.limits.n_batch, scheduler.chunk * 2)

    def _flush(self) -> None:
        """Hands a step's results to the event loop in one call."""
        if not self._events or self._loop is None:
            return
        events, self._events = self._events, []
        try:
            self._loop.call_soon_threadsafe(self._deliver, events)
        except RuntimeError:  # the event loop is gone, and with it everyone who waited
            self._tickets.clear()


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)


async def load(
    path: Path, *, name: str, settings: LoadSettings, facts: ModelFacts, gpu: str | None = None
) -> BatchEngine:
    """Loads a model, in a thread. `gpu` "none" means the CPU alone.

    Raises ModelFileError (not a usable file), ModelFitError (too large, with the numbers), ModelError.
    """
    from workers.engine.loading import open_engine

    engine = await asyncio.to_thread(open_engine, path, settings, facts, gpu)
    log.info("model_loaded", model=name, **engine.load.model_dump(exclude={"probe"}, exclude_none=True))
    return engine
