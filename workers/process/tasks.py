"""Runs one job, turn by turn: plan the prompt, generate, commit. Errors become a decision on the job."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import structlog

from nightjar.config.errors import EngineError, LeaseLostError, NightjarError, ServiceError
from nightjar.config.logging import bind
from nightjar.config.redact import redact_text
from nightjar.jobs import ownership
from nightjar.jobs.commits import Commits
from nightjar.jobs.database import Database
from nightjar.jobs.documents import Run, utc_now
from nightjar.jobs.identity import turn_seed
from nightjar.jobs.records import Draw, TurnRecord
from nightjar.jobs.retry import Counters, Fault, RetryLimits, decide
from nightjar.jobs.sequences import Mode, Sequence
from nightjar.jobs.states import JobKind
from nightjar.workers.conversation.embedding import measure_similarities, read_replies
from nightjar.workers.conversation.plan import PromptPlan, ask, replay
from nightjar.workers.conversation.prompts import Conversation, open_conversation
from nightjar.workers.conversation.summaries import plan_turn
from nightjar.workers.conversation.templates import ChatTemplate
from nightjar.workers.conversation.turns import turn_draw, turn_parameters, turn_record, turn_request
from nightjar.workers.engine.request import Engine, Generation, Request
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.process.heartbeat import Tally
from nightjar.workers.process.held_jobs import Hold
from nightjar.workers.process.run_cache import Runbook

T = TypeVar("T")
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What every job of this worker works with."""

    engine: Engine
    entry: ModelEntry
    runbook: Runbook
    worker: str
    tally: Tally
    database: Database
    commits: Commits
    floor: asyncio.Semaphore
    """A place for each of the engine's slots. A conversation keeps its place from its first turn to its last: jobs that
    were claimed ahead wait outside, where they cannot push out the cells that its next turn goes on from."""
    _templates: dict[str, ChatTemplate] = field(default_factory=dict)
    _planner: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="planner"))

    async def plan(self, work: Callable[[], T]) -> T:
        """Renders and tokenises in one thread of its own: a slow template holds up no lease, and renders alone."""
        return await asyncio.get_running_loop().run_in_executor(self._planner, work)

    def conversation(self, sequence: Sequence, run: Run) -> Conversation:
        """Call inside `plan`. Raises TemplateError."""
        engine = self.engine
        template = None if sequence.mode is Mode.COMPLETION else self._template(run.date)
        return open_conversation(
            sequence,
            template=template,
            tokenizer=engine.tokenizer,
            context=engine.load.context,
            bos_text=engine.bos_text,
        )

    def _template(self, date: str) -> ChatTemplate | None:
        source = self.entry.template or self.engine.chat_template
        if source is not None and date not in self._templates:
            self._templates[date] = ChatTemplate(
                source,
                bos_text=self.engine.bos_text,
                eos_text=self.engine.eos_text,
                date=date,
                reasoning=self.entry.reasoning,
            )
        return self._templates.get(date)


async def run_job(hold: Hold, desk: Desk) -> None:
    """Runs a claimed job to its end, a release or a failure; raises nothing but CancelledError."""
    bind(run=hold.run.name, job=hold.job.id)
    try:
        await (_compare(hold, desk) if hold.job.kind is JobKind.EMBED else _converse(hold, desk))
    except asyncio.CancelledError:
        if not hold.lost:
            await _whole(ownership.release(hold.job, "its worker stopped", desk.database))
        raise
    except LeaseLostError as error:
        _log.warning("lease_lost", error=str(error))
    except ServiceError as error:
        _log.warning("job_given_up", error=str(error))  # MongoDB stayed away: the lease lapses by itself
    except Exception as error:
        await _fail(hold, desk, error)


async def _compare(hold: Hold, desk: Desk) -> None:
    """An EMBED job: how like references and each other the replies of one conversation are."""
    job = hold.job
    sequence = await desk.runbook.sequence(job.sequence_document)
    replies = await read_replies(job, desk.database)
    async with desk.floor:
        similarities = await measure_similarities(sequence, replies, desk.engine)
    result = {
        "model_digest": desk.engine.facts.digest,
        "similarities": [similarity.model_dump(mode="python") for similarity in similarities],
    }
    await _whole(ownership.commit_result(job, result, desk.database))
    desk.tally.turns_done += 1


async def _converse(hold: Hold, desk: Desk) -> None:
    job = hold.job
    sequence = await desk.runbook.sequence(job.sequence_document)
    history = list(job.turns)

    def begin() -> tuple[Conversation, PromptPlan | None]:
        opened = desk.conversation(sequence, hold.run)
        return opened, replay(opened, history)

    conversation, previous = await desk.plan(begin)
    async with desk.floor:
        last = await _turns(hold, desk, conversation, history, previous)
    if last is not None:  # written while the next conversation has the place
        await _commit(hold, desk, last, last=True)


async def _turns(
    hold: Hold, desk: Desk, conversation: Conversation, history: list[TurnRecord], previous: PromptPlan | None
) -> TurnRecord | None:
    """All turns, committed but for the last one, which is returned; None where the job was given back before."""
    job = hold.job
    for turn in range(len(history), job.turns_total):
        if hold.stop_after_turn:
            await ownership.release(job, "its worker drained", desk.database)
            return None
        previous, record = await _turn(hold, desk, conversation, turn, history, previous)
        if turn + 1 == job.turns_total:
            return record
        await _commit(hold, desk, record, last=False)
        history.append(record)
    return None


async def _commit(hold: Hold, desk: Desk, record: TurnRecord, *, last: bool) -> None:
    try:
        await _whole(desk.commits.commit(hold.job, record, last=last))
    except LeaseLostError:
        desk.tally.wasted_tokens += sum(len(draw.reply_ids) for draw in record.draws)
        raise
    desk.tally.turns_done += 1


async def _turn(
    hold: Hold,
    desk: Desk,
    conversation: Conversation,
    turn: int,
    history: list[TurnRecord],
    previous: PromptPlan | None,
) -> tuple[PromptPlan, TurnRecord]:
    """One turn, redrawn while it is empty and redraws are left; every draw is kept, the first one counts."""
    job, run, sequence = hold.job, hold.run, conversation.sequence
    # `--set` is for the models that reply: a judge keeps its temperature unless it is named.
    settings = run if job.kind is JobKind.REPLY else run.model_copy(update={"set_parameters": {}})
    resolved = turn_parameters(settings, desk.engine.facts, desk.entry.parameters, sequence, turn)
    name = f"{job.id}.{job.fence}.{turn}"
    seed = turn_seed(run.seed, job.sequence_digest, job.repeat, turn)
    asked = ask(conversation, turn, history, resolved.values, previous)
    plan, summaries = await plan_turn(
        asked, resolved, lambda request: _generate(hold, desk, request), desk.plan, id=name, seed=seed
    )
    redraws = resolved.values.retry_empty
    final = redraws == 0 and (turn + 1 == job.turns_total or sequence.mode is Mode.INDEPENDENT)
    draws: list[Draw] = []
    first: Generation | None = None
    while not draws or (draws[-1].empty is not None and len(draws) <= redraws):
        seed = turn_seed(run.seed, job.sequence_digest, job.repeat, turn, len(draws))
        request = turn_request(conversation, plan, resolved, id=f"{name}.{len(draws)}", seed=seed)
        generation = await _generate(hold, desk, replace(request, final=final))
        first = first or generation
        draws.append(turn_draw(conversation, plan, resolved, generation, seed=seed))
    assert first is not None
    record = turn_record(
        conversation,
        plan,
        resolved,
        draws,
        first,
        history,
        summaries=summaries,
        fence=job.fence,
        worker=desk.worker,
        now=utc_now(),
    )
    return plan, record


async def _generate(hold: Hold, desk: Desk, request: Request) -> Generation:
    """A generation, watched over while it lasts; none is begun for a job that somebody else has."""
    if hold.lapsed:
        await ownership.check_held(hold.job, desk.database)
    hold.request = request.id
    try:
        generation = await desk.engine.generate(request)
    finally:
        hold.request = None
    if generation.finish_reason == "cancelled":  # the engine is closing
        raise asyncio.CancelledError
    return generation


async def _fail(hold: Hold, desk: Desk, error: Exception) -> None:
    job, run = hold.job, hold.run
    fault = classify(error, alone=not hold.accompanied)
    text = redact_text(f"{type(error).__name__}: {error}")  # it goes into reports
    counters = Counters(tries=job.tries, lapses=job.lapses, crashes=job.crashes)
    limits = RetryLimits(max_tries=run.max_tries, max_lapses=run.max_lapses, max_crashes=run.max_crashes)
    decision = decide(fault, text, counters, limits, jitter=random.random())  # noqa: S311
    expected = fault is Fault.PERMANENT
    _log.warning("job_failed", error=text, fault=fault, decision=type(decision).__name__, exc_info=not expected)
    try:
        await _whole(ownership.fail(job, decision, text, desk.database))
    except ServiceError as away:
        _log.warning("job_given_up", error=str(away))


def classify(error: Exception, *, alone: bool) -> Fault:
    """What kind of fault an error is. A failing engine is treated as a crash: any job in it may be the cause."""
    if isinstance(error, EngineError):
        return Fault.CRASHED_ALONE if alone else Fault.CRASHED
    if isinstance(error, NightjarError) and not error.transient:
        return Fault.PERMANENT
    return Fault.TRANSIENT


async def _whole(write: Coroutine[Any, Any, T]) -> T:
    """Finishes a write although the task is cancelled meanwhile: all of it happens, or none."""
    task = asyncio.create_task(write)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
