"""One job's life in a worker: its turns one after another, each committed; an error becomes a decision on the job."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from nightjar.config.all_or_nothing import all_or_nothing
from nightjar.config.errors import (
    ComeBackError,
    ContextError,
    EndpointError,
    EngineError,
    LeaseLostError,
    ModelError,
    NightjarError,
    ServiceError,
)
from nightjar.config.logging import bind
from nightjar.config.redact import redact_text
from nightjar.jobs import ownership
from nightjar.jobs.commits import Commits
from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.live.runs import refuse_live
from nightjar.jobs.money.energy import EnergyKey
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.records import TurnRecord, cut
from nightjar.jobs.retry import Again, Counters, Decision, Fault, RetryLimits, decide
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobKind
from nightjar.jobs.transcript_size import TranscriptSize
from nightjar.jobs.variants import varied
from nightjar.workers.conversation.assist import assist
from nightjar.workers.conversation.embedding import measure_similarities, read_replies
from nightjar.workers.conversation.handed_over import taken_over
from nightjar.workers.conversation.replier import (
    Dialogue,
    Embedder,
    LikelihoodModel,
    PaidEmbedder,
    Replier,
    Reply,
    ServedModel,
    Watch,
)
from nightjar.workers.conversation.turns import turn_record
from nightjar.workers.process.comparing import JobComparer
from nightjar.workers.process.energy import EnergyMeter
from nightjar.workers.process.heartbeat import Tally
from nightjar.workers.process.held_jobs import Hold
from nightjar.workers.process.live_side import LiveSide
from nightjar.workers.process.run_cache import RunCache

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class JobContext:
    """What all jobs of this worker share."""

    model: Replier | Embedder
    run_cache: RunCache
    worker: str
    tally: Tally
    database: Database
    commits: Commits
    slots: asyncio.Semaphore
    """The model's slots. A conversation keeps its slot from its first turn to its last: jobs that were claimed ahead
    wait outside, where they cannot push out the cells that its next turn goes on from."""
    evaluations: asyncio.Semaphore | None = None
    """Slots that jobs of evaluations may have, fewer than all where some are kept for live ones; None: all."""
    live: LiveSide | None = None
    """None: this worker takes no live jobs, and nobody can watch its replies."""
    comparer: JobComparer | None = None
    """None: its model is no file that could be loaded beside another."""
    energy: EnergyMeter | None = None
    """None: nothing here uses a card."""


async def run_job(hold: Hold, context: JobContext) -> None:
    """Runs a claimed job to its end, a release or a failure; raises nothing but CancelledError."""
    bind(run=hold.run.name, job=hold.job.id)
    if hold.job.live is not None and hold.job.live.request is not None:
        bind(request=hold.job.live.request)
    try:
        await _WORK[hold.job.kind](hold, context)
    except asyncio.CancelledError:
        if not hold.lost:
            await all_or_nothing(ownership.release(hold.job, "its worker stopped", context.database))
        raise
    except LeaseLostError as error:
        _log.warning("lease_lost", error=str(error))
    except ServiceError as error:
        _log.warning("job_given_up", error=str(error))  # MongoDB stayed away: the lease lapses by itself
    except Exception as error:
        await _fail(hold, context, error)
    finally:
        if context.live is not None:
            context.live.texts.end(hold.job)  # those who watch it look into MongoDB now


@asynccontextmanager
async def _slot(hold: Hold, context: JobContext) -> AsyncIterator[None]:
    """A slot of the model's for the job. A live one need not wait for those of evaluations where some are kept."""
    async with AsyncExitStack() as stack:
        if not hold.live and context.evaluations is not None:
            await stack.enter_async_context(context.evaluations)
        await stack.enter_async_context(context.slots)
        if hold.live and context.live is not None:
            stack.enter_context(context.live.traffic.passing())
        if context.energy is not None:
            stack.enter_context(context.energy.using(None if hold.live else _energy_key(hold)))
        yield


def _energy_key(hold: Hold) -> EnergyKey:
    return EnergyKey(run=hold.job.run, contestant=hold.job.contestant, kind=hold.job.kind)


async def _compare(hold: Hold, context: JobContext) -> None:
    """An EMBED job: how similar the replies of one conversation are to their references and to each other."""
    job, model = hold.job, context.model
    if not isinstance(model, Embedder):
        raise ModelError(f"{model.facts.name!r} generates text; embeddings need an embedding model.")
    sequence = await context.run_cache.sequence(job.sequence_document)
    replies = await read_replies(job, context.database)
    embedder = model.on_behalf_of(job, hold.run) if isinstance(model, PaidEmbedder) else model
    async with _slot(hold, context):
        similarities = await measure_similarities(sequence, replies, embedder)
    result = {
        "model_digest": model.facts.digest,
        "similarities": [similarity.model_dump(mode="python") for similarity in similarities],
    }
    await all_or_nothing(ownership.commit_result(job, result, context.database))
    context.tally.turns_done += 1
    _say(EventKind.JOB, hold, context)


async def _hold_against(hold: Hold, context: JobContext) -> None:
    """A FIDELITY job: how far the model is from the run's reference, on some of its conversations."""
    if context.comparer is None:
        raise ModelError(f"{context.model.facts.name!r} is no file that can be loaded beside another.")
    async with context.comparer.alone, _slot(hold, context):
        result = await context.comparer.compare(hold.job)
    await all_or_nothing(ownership.commit_result(hold.job, result, context.database))
    context.tally.turns_done += 1
    _say(EventKind.JOB, hold, context)


async def _assist(hold: Hold, context: JobContext) -> None:
    """An ASSIST job: what somebody wants to know now of a text."""
    payload = hold.job.payload or {}
    async with _slot(hold, context):
        result = await assist(payload["task"], payload["given"], context.model, hold.run.date, hold.job.id)
    await all_or_nothing(ownership.commit_result(hold.job, result, context.database))
    _say(EventKind.JOB, hold, context)


async def _converse(hold: Hold, context: JobContext) -> None:
    """A REPLY or JUDGE job."""
    job, model = hold.job, context.model
    sequence = varied(await context.run_cache.sequence(job.sequence_document), hold.run.variant(job.variant))
    hold.job = taken_over(job)
    with _unquoted_errors(sequence):
        dialogue = await _opened(hold, sequence, model, partial(watched, hold, context.database))
        async with _slot(hold, context):
            last = await _turns(hold, context, sequence, dialogue)
    if last is not None:  # written while the next conversation has the slot
        await _commit(hold, context, last, last=True)


@contextmanager
def _unquoted_errors(sequence: Sequence) -> Iterator[None]:
    """Around what reads a sequence: an error that was not foreseen may quote it, and goes into reports and logs."""
    try:
        yield
    except NightjarError:
        raise
    except Exception as error:
        if not sequence.withheld:
            raise
        raise RuntimeError(f"{type(error).__name__}: what it says is withheld, as the question is") from None


async def _opened(hold: Hold, sequence: Sequence, model: ServedModel, watch: Watch) -> Dialogue:
    if sequence.scored:
        if not isinstance(model, LikelihoodModel):
            raise ModelError(f"{model.facts.name!r} cannot say how likely given texts are: a loaded model can.")
        return await model.open_scoring(hold.job, hold.run, sequence, watch)
    if not isinstance(model, Replier):
        raise ModelError(f"{model.facts.name!r} is an embedding model; it cannot generate text.")
    return await model.open(hold.job, hold.run, sequence, watch)


_WORK = {
    JobKind.REPLY: _converse,
    JobKind.JUDGE: _converse,
    JobKind.EMBED: _compare,
    JobKind.FIDELITY: _hold_against,
    JobKind.ASSIST: _assist,
}


async def _turns(hold: Hold, context: JobContext, sequence: Sequence, dialogue: Dialogue) -> TurnRecord | None:
    """Commits every turn but the last, which it returns; None if the job was given back before."""
    job = hold.job
    history = list(job.turns)
    size = TranscriptSize(job)
    for turn in range(len(history), job.turns_total):
        if hold.stop_after_turn:
            await ownership.release(job, "its worker drained", context.database)
            return None
        reply, shared = await _reply(hold, context, dialogue, history)
        record = turn_record(
            reply, sequence, history, fence=job.fence, worker=context.worker, now=utc_now(), shared=shared
        )
        size.add(record)
        if turn + 1 == job.turns_total:
            return record
        await _commit(hold, context, record, last=False)
        history.append(record)
    return None


async def _reply(hold: Hold, context: JobContext, dialogue: Dialogue, history: list[TurnRecord]) -> tuple[Reply, bool]:
    """The next reply, and whether a live job of others used the device meanwhile."""
    if context.live is None:
        return await dialogue.reply(history), False
    traffic = context.live.traffic
    begun, active = traffic.begun, traffic.active
    reply = await dialogue.reply(history, context.live.texts.listen(hold.job, len(history)))
    return reply, not hold.live and traffic.met(begun, active)


async def _commit(hold: Hold, context: JobContext, record: TurnRecord, *, last: bool) -> None:
    try:
        await all_or_nothing(context.commits.commit(hold.job, record, last=last))
    except LeaseLostError:
        context.tally.wasted_tokens += sum(draw.reply_tokens for draw in record.draws)
        raise
    context.tally.turns_done += 1
    _say(EventKind.JOB if last else EventKind.TURN, hold, context)


def _say(kind: EventKind, hold: Hold, context: JobContext) -> None:
    if context.live is not None:
        job = hold.job
        context.database.events.say(Moved(kind=kind, run=job.run, job=job.id, worker=context.worker, model=job.model))


@asynccontextmanager
async def watched(hold: Hold, database: Database, request: str) -> AsyncIterator[None]:
    """Around a generation of the job: names its request to the lease's keeper while it runs.

    Raises LeaseLostError, before anything is generated, if the lease lapsed and somebody else has the job.
    """
    if hold.lapsed:
        await ownership.check_held(hold.job, database)
    hold.requests.append(request)
    try:
        yield
    finally:
        hold.requests.remove(request)


async def _fail(hold: Hold, context: JobContext, error: Exception) -> None:
    job, run = hold.job, hold.run
    fault = classify(error, alone=not hold.accompanied)
    text = cut(redact_text(f"{type(error).__name__}: {error}"))  # it goes into reports
    counters = Counters(tries=job.tries, lapses=job.lapses, crashes=job.crashes)
    limits = RetryLimits(max_tries=run.max_tries, max_lapses=run.max_lapses, max_crashes=run.max_crashes)
    if isinstance(error, ComeBackError):
        decision: Decision = Again(delay_s=error.again_s, counted=())
    else:
        decision = decide(fault, text, counters, limits, jitter=random.random())  # noqa: S311
    expected = fault is Fault.PERMANENT or isinstance(error, ComeBackError | EndpointError)
    _log.warning("job_failed", error=text, fault=fault, decision=type(decision).__name__, exc_info=not expected)
    try:
        if hold.live and isinstance(error, ContextError) and error.tokens is not None and error.context is not None:
            await refuse_live(job, error.tokens, error.context, context.database)
        await all_or_nothing(ownership.fail(job, decision, text, context.database))
        _say(EventKind.JOB, hold, context)
    except ServiceError as unreachable:
        _log.warning("job_given_up", error=str(unreachable))
    except Exception:  # the lease lapses by itself, and lapses are counted
        _log.exception("job_given_up")


def classify(error: Exception, *, alone: bool) -> Fault:
    """What kind of fault an error is. A failing engine counts as a crash, since any job in it may be the cause."""
    if isinstance(error, EngineError):
        return Fault.CRASHED_ALONE if alone else Fault.CRASHED
    if isinstance(error, NightjarError) and not error.transient:
        return Fault.PERMANENT
    return Fault.TRANSIENT
