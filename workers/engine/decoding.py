"""The decode thread: takes requests in, steps the scheduler, samples, and hands results out in one call a step."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue

import structlog

from nightjar.jobs.parameters import FinishReason
from nightjar.workers.engine.backend import Backend, Drawn, Sampler
from nightjar.workers.engine.chunks import FIRST_CHUNK, ROWS, next_chunk
from nightjar.workers.engine.embeddings import TextQueue
from nightjar.workers.engine.masks import MaskThread
from nightjar.workers.engine.reply import GrowingReply
from nightjar.workers.engine.sampling_threads import SamplingThreads
from nightjar.workers.engine.scheduler import Scheduler
from nightjar.workers.engine.scoring import ScoreQueue
from nightjar.workers.engine.slots import Output, Piece, Step, Work
from nightjar.workers.engine.thread_tuner import ThreadTuner
from nightjar.workers.engine.ticket import AnyTicket, Outcome, RequestTicket, ScoreTicket, TextTicket, TicketEvent

log = structlog.get_logger()

UNWATCHED_ROUNDS = 2
"""Streamed text that nobody watches is handed over every so many rounds only."""
HOUSEKEEP_EVERY_S = 0.04
"""How often time limits are checked and streamed text is handed over, faster than anyone reads; a reply's end is
delivered at once. Each time wakes two threads, which on a CPU takes a core from llama.cpp for a moment."""


@dataclass(eq=False)
class RunningRequest:
    """A request inside the thread."""

    ticket: RequestTicket
    work: Work
    reply: GrowingReply
    sampler: Sampler


@dataclass
class EngineCounters:
    """Since load. Tokens unless the name says otherwise."""

    steps: int = 0
    prefill_tokens: int = 0
    decode_tokens: int = 0
    forced_tokens: int = 0
    """Of replies, those that a grammar left no choice about."""
    reused_tokens: int = 0
    dropped_tokens: int = 0
    """Generated for requests that were cancelled or failed."""
    requests_done: int = 0
    last_step: float = field(default_factory=time.monotonic)
    busy_since: float | None = None
    """When the backend call or the draws that now run began; None while the thread waits or does its own bookkeeping.
    The watchdog reads it."""


class _Busy:
    """While entered, `busy_since` holds the time of entry, which is also what `as` gives.

    A class, since one made by `contextlib.contextmanager` takes several times as long, and every step enters two.
    """

    def __init__(self, counters: EngineCounters) -> None:
        self._counters = counters

    def __enter__(self) -> float:
        now = self._counters.busy_since = time.monotonic()
        return now

    def __exit__(self, *_: object) -> None:
        self._counters.busy_since = None


class DecodeThread:
    """Owns backend and scheduler. `tell` is called from outside; everything else happens in the thread."""

    def __init__(
        self,
        backend: Backend,
        deliver: Callable[[list[TicketEvent]], None],
        lost: Callable[[BaseException], None],
        *,
        lanes: int = 1,
        tuner: ThreadTuner | None = None,
    ) -> None:
        """`deliver` gets a step's results; `lost` is called once if the thread fails by an error of its own; `lanes`
        counts the threads that may draw tokens; without a `tuner` those that compute stay as many as they are."""
        self.scheduler = Scheduler(backend.limits)
        self.counters = EngineCounters()
        self.failure: BaseException | None = None
        self._backend = backend
        self._tuner = tuner
        self._deliver = deliver
        self._lost = lost
        self._runs: dict[int, RunningRequest] = {}
        self._texts = TextQueue(backend)
        self._scores = ScoreQueue(backend)
        self._events: list[TicketEvent] = []
        self._next_housekeeping = 0.0
        self._housekeepings = 0
        self._threads = SamplingThreads(backend.vocabulary, lanes)
        self._masks = MaskThread()
        self._wake = threading.Condition()
        self._inbox: list[Callable[[], None]] = []
        self._closing = False
        self._over = threading.Event()
        self.scheduler.chunk = min(FIRST_CHUNK, backend.limits.n_batch)
        self._results: SimpleQueue[list[TicketEvent] | None] = SimpleQueue()
        self._deliverer = threading.Thread(target=self._deliver_loop, name="engine-delivery", daemon=True)
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
        self._deliverer.start()
        self._thread.start()

    def tell(self, command: Callable[[], None]) -> None:
        """Runs a command in the thread, before its next step."""
        with self._wake:
            self._inbox.append(command)
            self._wake.notify()

    def close(self) -> None:
        """Cancels what runs and waits for the thread to end, unless it hangs and was given up."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._over.wait()

    def give_up(self, error: BaseException) -> None:
        """Declares the thread lost: it hangs and cannot be stopped. May be called from any thread."""
        self.failure = error
        self._lost(error)
        self._over.set()

    def accept(self, ticket: RequestTicket, submitted: float) -> None:
        """Command: accepts a request."""
        request = ticket.asked
        if ticket.dropped:
            self._events.append((ticket, "", asyncio.CancelledError()))
            return
        try:
            sampler = self._backend.sampler(request)
        except Exception as error:  # only this request fails; the others go on
            self._events.append((ticket, "", error))
            return
        work = Work(request.id, request.prompt, final=request.final, replies=request.replies)
        reply = GrowingReply(request, self._backend.limits.context, self._backend.pieces(request), submitted)
        self._runs[id(work)] = RunningRequest(ticket, work, reply, sampler)
        self.scheduler.submit(work)
        if sampler.guided:
            self._masks.add(sampler)

    def accept_text(self, ticket: TextTicket) -> None:
        """Command: accepts a text to embed."""
        self._texts.add(ticket)

    def accept_score(self, ticket: ScoreTicket) -> None:
        """Command: accepts texts to score."""
        self._scores.add(ticket)

    def drop(self, ticket: AnyTicket) -> None:
        """Command: cancels a request."""
        ticket.dropped = True
        for run in list(self._runs.values()):
            if run.ticket is ticket:
                self._end(run, "cancelled", time.monotonic())
        for queue in (self._texts, self._scores):
            if ticket in queue.tickets:
                queue.remove(ticket)
                self._events.append((ticket, "", asyncio.CancelledError()))

    def _serve(self) -> None:
        try:
            while self._read_inbox():
                self._step()
                self._housekeep()
                self._flush()
            for run in list(self._runs.values()):
                self._end(run, "cancelled", time.monotonic())
            waiting: list[AnyTicket] = [*self._texts.tickets, *self._scores.tickets]
            for ticket in waiting:
                self.drop(ticket)
        except BaseException as error:  # every waiting caller must be told
            self.failure = error
            log.exception("engine_failed")
            self._lost(error)
            for run in self._runs.values():
                run.sampler.close()
        self._flush()
        self._results.put(None)
        self._threads.close()
        self._masks.close()
        self._scores.close()
        self._backend.close()
        self._deliverer.join()
        self._over.set()

    def _read_inbox(self) -> bool:
        """Waits for something to do and runs the commands that came in. False when the thread is to end."""
        if self._runs and not self._inbox and not self._closing:  # without the lock, since every step asks this
            return self.failure is None
        with self._wake:
            while not (self._closing or self._inbox or self._texts or self._scores) and self.scheduler.idle:
                self._wake.wait(self._scores.closes_in(time.monotonic()))
                self._scores.close_if_idle(time.monotonic())
            commands, self._inbox = self._inbox, []
        if commands and not self._runs:
            self.counters.last_step = time.monotonic()
        for command in commands:
            with self._busy():
                command()
        return not self._closing and self.failure is None

    def _busy(self) -> _Busy:
        """For everything that may hang; see `EngineCounters.busy_since`."""
        return _Busy(self.counters)

    def _step(self) -> None:
        if self._texts:
            self._embed()
        if self._scores.due(time.monotonic(), beside=not self.scheduler.idle):
            self._score()
        step = self.scheduler.plan()
        if step.moves:
            with self._busy():
                self._backend.move(step.moves)
        if not step.pieces:
            assert step.moves or self.scheduler.idle, "work remains and none of it can go on"
            return
        prefilled = [piece for piece in step.pieces if piece.start < len(piece.work.prompt)]
        try:
            with self._busy() as began:
                for piece in prefilled:
                    self._runs[id(piece.work)].reply.start(began)
                rows = self._decode(step)
        except Exception as error:  # fails what runs; waiting requests go on
            self._abandon(error)
            return
        outputs = self.scheduler.commit(step)
        with self._busy() as now:
            self._sample(outputs, rows, now)
        self._count(step, prefilled, began, now)

    def _decode(self, step: Step) -> list[int]:
        """The device computes, and the masks of the next draws are computed beside it."""
        self._masks.begin()
        try:
            return self._backend.decode(step.pieces)
        finally:
            self._masks.wait()

    def _sample(self, outputs: list[Output], rows: list[int], now: float) -> None:
        """Draws the next token of every work whose logits were computed."""
        runs = [(self._runs[id(work)], rows[output.piece]) for output in outputs for work in output.works]
        drawn = self._threads.draw([(run.sampler, row) for run, row in runs])
        for (run, _), result in zip(runs, drawn, strict=True):
            if isinstance(result, Exception):  # only this request fails; the others go on
                self._retire(run, result)
            else:
                self._push(run, result, now)

    def _push(self, run: RunningRequest, drawn: Drawn, now: float) -> None:
        reply = run.reply
        reply.start(now)
        first = not reply.ids
        tokens = (drawn.token, *drawn.forced) if drawn.token is not None else ()
        if drawn.token is not None and self._backend.is_end(drawn.token) and not reply.request.ignore_end:
            reply.end_of_generation(now)
        for token in tokens if reply.finish_reason is None else ():
            reply.take(token, now, None if drawn.forced else drawn.logprob)
            if reply.finish_reason is not None:
                break
        self.counters.forced_tokens += len(drawn.forced)
        if drawn.ends is not None and reply.finish_reason is None:
            reply.end(drawn.ends, now)
        if reply.finish_reason is not None:
            self._retire(run, reply.generation(run.work.reused, now))
            return
        self.scheduler.push(run.work, *tokens)
        if run.sampler.guided:
            self._masks.add(run.sampler)
        if first and run.ticket.streaming and (text := reply.hear()):  # the first does not wait
            self._events.append((run.ticket, text, None))

    def _end(self, run: RunningRequest, reason: FinishReason, now: float) -> None:
        run.reply.finish(reason)
        self._retire(run, run.reply.generation(run.work.reused, now))

    def _retire(self, run: RunningRequest, outcome: Outcome) -> None:
        self.scheduler.finish(run.work)
        del self._runs[id(run.work)]
        run.sampler.close()
        self.counters.requests_done += 1
        self.counters.reused_tokens += run.work.reused
        if isinstance(outcome, BaseException) or run.reply.finish_reason == "cancelled":
            self.counters.dropped_tokens += len(run.reply.ids)
        self._events.append((run.ticket, run.reply.hear(), outcome))

    def _abandon(self, error: Exception) -> None:
        """The decode failed: whatever ran fails with it, and the cache is emptied."""
        log.error("decode_failed", error=str(error), running=len(self.scheduler.running))
        for work in self.scheduler.abandon_all():
            self._retire(self._runs[id(work)], error)
        with self._busy():
            self._backend.clear()
        self.scheduler.chunk = max(1, self.scheduler.chunk // 2)  # perhaps it took longer than the watchdog allows

    def _embed(self) -> None:
        with self._busy():
            events, tokens = self._texts.embed_next()
        self._count_texts(events, tokens)

    def _score(self) -> None:
        with self._busy():
            events, tokens = self._scores.score_next(beside=not self.scheduler.idle)
        self._count_texts(events, tokens)

    def _count_texts(self, events: list[TicketEvent], tokens: int) -> None:
        self._events += events
        self.counters.prefill_tokens += tokens
        self.counters.requests_done += len(events)
        self.counters.steps += 1
        self.counters.last_step = time.monotonic()

    def _count(self, step: Step, prefilled: Sequence[Piece], began: float, now: float) -> None:
        counters = self.counters
        counters.steps += 1
        counters.last_step = now
        counters.decode_tokens += sum(len(piece.ids) for piece in step.pieces if piece.start >= len(piece.work.prompt))
        tokens = sum(len(piece.ids) for piece in prefilled)
        if self._tuner is not None:
            self._tune(self._tuner, (len(step.pieces) - len(prefilled), tokens // ROWS), now - began, now)
        if not prefilled:
            return
        if not counters.prefill_tokens:
            log.info("first_prompt_piece", tokens=tokens, took_s=now - began)
        counters.prefill_tokens += tokens
        limits = self._backend.limits
        if not limits.alone:
            self.scheduler.chunk = next_chunk(self.scheduler.chunk, tokens, now - began, limits.n_batch)

    def _tune(self, tuner: ThreadTuner, shape: tuple[int, int], took_s: float, now: float) -> None:
        before = tuner.count
        if tuner.step(shape, took_s, now) != before:
            self._backend.set_threads(tuner.count)
            self._scores.set_threads(tuner.count)

    def _housekeep(self) -> None:
        """Every so often: ends requests that are over their time limit, and collects the text of streaming ones."""
        now = time.monotonic()
        if now < self._next_housekeeping:
            return
        self._next_housekeeping = now + HOUSEKEEP_EVERY_S
        self._housekeepings += 1
        self._scores.close_if_idle(now)
        all_texts = self._housekeepings % UNWATCHED_ROUNDS == 0
        for run in list(self._runs.values()):
            if run.reply.overdue(now):
                self._end(run, "timeout", now)
            elif (run.ticket.watched or (all_texts and run.ticket.streaming)) and (text := run.reply.hear()):
                self._events.append((run.ticket, text, None))

    def _flush(self) -> None:
        """Hands the collected events to the delivery thread."""
        if self._events:
            events, self._events = self._events, []
            self._results.put(events)

    def _deliver_loop(self) -> None:
        """Waking the event loop gives up the interpreter's lock; this thread waits to get it back, not the engine's."""
        while (events := self._results.get()) is not None:
            self._deliver(events)
