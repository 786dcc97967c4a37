"""The main job in one terminal: import, enqueue, dispatch, generate model after model, judge, report."""

from __future__ import annotations

import asyncio
import math
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from textwrap import shorten
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from nightjar.config.stopping import OVERDUE_S
from nightjar.jobs.machines.doing import Activity, Doing
from nightjar.jobs.states import TERMINAL_RUNS, JobKind, JobStatus, RunStatus
from nightjar.scripts.children import Child
from nightjar.scripts.options.load import LoadOptions
from nightjar.scripts.standby import standing_by
from nightjar.scripts.views.progress import STARTING, EvalProgress

if TYPE_CHECKING:
    from nightjar.config.errors import UsageError
    from nightjar.jobs.documents import Run
    from nightjar.pipeline.report.data.run_report import RunReport
    from nightjar.pipeline.suites.content import SuiteContent
    from nightjar.scripts.session import Session
    from nightjar.workers.library.find import ModelEntry

T = TypeVar("T")
POLL_S = 0.3
STARTS = 4
"""In a row, of a worker that ends without an error while there is work: what it left was written as it ended."""
UNSERVED = "its model could not be served"
"""Reasons of jobs that were given up with their model begin so; the same command tries them again."""
LONGEST_REASON = 1_000
PATIENCE_S = 30.0
MEASURING_S = 20.0
"""After its last job a worker may take so long to measure its model's speed and to end by itself."""
PRIORITY = 100
"""Somebody sits and waits: before runs that were only enqueued."""
CLOSING_S = 120.0
"""At most this long for scoring and the dispatcher's own report after the last job."""

_Watch = Callable[[EvalProgress], None]


@dataclass(frozen=True, kw_only=True)
class WorkerFlags:
    """How the workers of an evaluation are started."""

    gpu: str | None = None
    load: LoadOptions = field(default_factory=LoadOptions)

    def arguments(self, entry: ModelEntry, *, bare: bool) -> list[str]:
        """The command line of a worker that serves this model until the run has no work for it.

        `bare`: no registry or models folder knows the name.
        """
        return [*self.serving(entry, bare=bare), "--burst"]

    def serving(self, entry: ModelEntry, *, bare: bool) -> list[str]:
        """The command line of a worker that serves this model as long as this process lives."""
        model = ["--model", str(entry.path), "--name", entry.name] if bare else ["--model", entry.name]
        flags = ["worker", *model, "--parent", str(os.getpid())]
        if self.gpu is not None:
            flags += ["--gpu", self.gpu]
        return [*flags, *self.load.arguments()]


async def take_models(names: Sequence[str], session: Session) -> list[ModelEntry]:
    """Finds the models by name or path, fetches what may be fetched, and publishes their facts for the producer.

    Two files never have one name. Raises UnknownNameError, ModelFileError, HubError.
    """
    from nightjar.jobs.published import publish_model
    from nightjar.scripts.views.model_pull import obtained
    from nightjar.scripts.views.saying import saying
    from nightjar.workers.library.find import told_apart
    from nightjar.workers.library.inspect import entry_facts
    from nightjar.workers.library.origin import origin

    entries = told_apart([await asyncio.to_thread(obtained, name, session.settings) for name in names])
    for entry in entries:
        with saying(Doing(task=Activity.READING)):
            facts = await asyncio.to_thread(entry_facts, entry)
        came_from = await asyncio.to_thread(origin, entry, session.settings)
        await publish_model(session.database, facts, by="eval", origin=came_from)
    return entries


async def suite_to_enqueue(
    name_or_file: str, format_: str | None, session: Session, *, mapping: dict[str, str] | None = None
) -> str:
    """The name of the suite to enqueue, NAME@VERSION; a file is imported first. Raises SuiteError, UsageError."""
    content = read_if_file(name_or_file, format_, mapping)
    if content is None:
        return name_or_file
    from nightjar.pipeline.suites.importer import import_suite
    from nightjar.scripts.enforceable import check_suite

    version, _ = await import_suite(check_suite(content), session.database)
    return f"{version.name}@{version.version}"


def read_if_file(name_or_file: str, format_: str | None, mapping: dict[str, str] | None = None) -> SuiteContent | None:
    """The content of a suite file; None where the text is a name. Raises SuiteError, UsageError."""
    from nightjar.config.errors import UsageError
    from nightjar.pipeline.suites.read import read_suite

    path = Path(name_or_file).expanduser()
    if path.is_file() or "/" in name_or_file:
        return read_suite(path, format_, mapping=mapping)
    if mapping:
        raise UsageError(f"--map is for the rows of a file, and --suite {name_or_file} names a suite that is stored.")
    return None


async def generate(
    run: Run,
    entries: Sequence[ModelEntry],
    judges: Sequence[ModelEntry],
    flags: WorkerFlags,
    session: Session,
    watch: _Watch,
) -> dict[str, str]:
    """Generates the run's replies: one model after the other, each with one worker per GPU; then judges them likewise.

    `judges`: those that judge, and the model that embeds. A model that cannot be served holds up no other: its jobs
    become DEAD once all others have had their turn. Returns such models with the reason.
    """
    unserved: dict[str, str] = {}

    async def serve(models: Sequence[ModelEntry], *, judging: bool = False) -> None:
        missing: dict[str, str] = {}
        left = list(models)
        while left:
            for entry in left:
                reason = await _generate_model(run, entry, flags, session, watch, judging=judging)
                missing |= {entry.name: reason} if reason is not None else {}
            for _ in missing:  # a policy's job may be handed to one that was given up before
                for model, reason in missing.items():
                    await _give_up(run, model, reason, session)
            left = await _handed_on(run, [entry for entry in models if entry.name not in missing], session)
        unserved.update(missing)

    compared = compared_names(run, judges)
    helping = [*judges, *(entry for entry in entries if entry.name in compared)]
    async with standing_by(session):
        while True:
            begun = await _now(run)
            await serve(entries)
            if helping:
                await _until(_planned, run)
            await serve(helping, judging=True)
            last = [*entries, *helping][-1]
            closing = replace(
                await progress(run, last.name, session, judging=bool(helping)), doing=Doing(task=Activity.SCORING)
            )
            on = partial(_has_next_wave, begun)
            await _until(lambda now: _halted(now) or on(now), run, lambda: watch(closing))  # noqa: B023
            now = await _now(run)
            if now is None or _halted(now) or not on(now):
                return await _without_replaced(run, unserved, session)


async def _without_replaced(run: Run, unserved: dict[str, str], session: Session) -> dict[str, str]:
    """Without those that were only to answer for a policy, where others have answered in their place."""
    from nightjar.jobs.backlog import has_dead_jobs

    named = {model.name for model in run.models}
    candidates = {model for model in unserved if model in run.candidates and model not in named}
    if not candidates:
        return unserved
    lost = await _ask(lambda: has_dead_jobs(run.id, UNSERVED, session.database))
    return unserved if lost else {model: reason for model, reason in unserved.items() if model not in candidates}


async def _handed_on(run: Run, models: Sequence[ModelEntry], session: Session) -> list[ModelEntry]:
    """The models that have work again: a policy's candidate that could not answer has handed its jobs to them."""
    if not run.candidates or await _halted_now(run):
        return []
    return [entry for entry in models if await _open_jobs(run, entry.name, session, judging=False)]


async def try_again(run: Run, session: Session) -> None:
    """Gives back the jobs that an earlier call had to leave because their model could not be served."""
    from nightjar.jobs.backlog import has_dead_jobs
    from nightjar.jobs.runs.control import retry

    if run.status is not RunStatus.CANCELLED and await has_dead_jobs(run.id, UNSERVED, session.database):
        await retry(run, session.database, reason=UNSERVED)


async def _generate_model(
    run: Run, entry: ModelEntry, flags: WorkerFlags, session: Session, watch: _Watch, *, judging: bool = False
) -> str | None:
    """Serves the model until the run has no job of this phase for it; None, or why that did not come about."""
    for _ in range(STARTS):
        if not await _open_jobs(run, entry.name, session, judging=judging):
            return None
        began = await session.database.now()
        child = await _work(run, entry, flags, session, watch, judging=judging)
        if child.process.returncode != 0 and await _open_jobs(run, entry.name, session, judging=judging):
            return await _reason(entry.name, child, began, session)
        if await _halted_now(run):
            return None  # paused, or ended by somebody else
    return f"its worker ended {STARTS} times before its work was done; see {child.log}"


async def _work(
    run: Run, entry: ModelEntry, flags: WorkerFlags, session: Session, watch: _Watch, *, judging: bool
) -> Child:
    """One worker, from its start to its end or to that of the work."""
    child = await Child.start(flags.arguments(entry, bare=is_bare(entry, session)), log_of(run, entry.name, session))
    ended = asyncio.create_task(child.process.wait())
    last = EvalProgress(model=entry.name, committed=0, total=0, failed_jobs=0, judging=judging)
    until = math.inf
    try:
        while not ended.done() and monotonic() < until:  # else the worker would go on with other runs of this model
            last = _unless_gone(await progress(run, entry.name, session, judging=judging), last)
            watch(last)
            if await _open_jobs(run, entry.name, session, judging=judging):
                until = math.inf  # a run that stops when it is decided may have got another wave
            elif until == math.inf:
                until = monotonic() + MEASURING_S
            await asyncio.wait([ended], timeout=POLL_S)
        watch(replace(await progress(run, entry.name, session, judging=judging), tokens=last.tokens, doing=last.doing))
    except asyncio.CancelledError:
        why = f"turns under way have {session.settings.drain_s:.0f} s to end; Ctrl-C again ends at once"
        watch(replace(last, doing=Doing(task=Activity.STOPPING, why=why)))
        raise
    finally:
        await child.stop(session.settings.drain_s + 2 * OVERDUE_S)
    return child


def _unless_gone(now: EvalProgress, last: EvalProgress) -> EvalProgress:
    """What is known of a worker that has signed off is what it said last."""
    if now.doing != STARTING or last.doing == STARTING:
        return now
    return replace(now, tokens=last.tokens, doing=Doing(task=Activity.STOPPING))


def log_of(run: Run, model: str, session: Session) -> Path:
    """Where the workers of a model in a run write; names may be long, and a file's name may not."""
    from nightjar.jobs.identity import digest
    from nightjar.pipeline.report.data.safe import slug

    name = slug(f"worker-{run.name}-{model}", digest("log", run.id, model))
    return session.settings.home / "logs" / f"{name}.log"


async def _reason(model: str, child: Child, began: datetime, session: Session) -> str:
    """Why a worker left work undone: what was recorded of its end, else the end of its log."""
    from nightjar.jobs.machines.workers import last_reason

    recorded = await last_reason(model, socket.gethostname(), began, session.database)
    said = recorded or f"exit code {child.process.returncode}: {' '.join(child.last_words().split())}"
    return f"{shorten(said, LONGEST_REASON, placeholder=' ...')} (log: {child.log})"


async def _give_up(run: Run, model: str, reason: str, session: Session) -> None:
    """Unless somebody else serves the model, in which case its jobs are waited for."""
    from nightjar.jobs.backlog import has_open_jobs, live_workers
    from nightjar.jobs.runs.control import give_up_model

    database = session.database
    while await _ask(lambda: has_open_jobs(run.id, database, model=model)) and not await _halted_now(run):
        if model not in await _ask(lambda: live_workers(database)):
            await _ask(lambda: give_up_model(run, model, f"{UNSERVED}: {reason}", database))
        await asyncio.sleep(POLL_S)


def is_bare(entry: ModelEntry, session: Session) -> bool:
    """Whether no registry or models folder knows the name: workers must be given the file."""
    from nightjar.config.errors import NightjarError
    from nightjar.workers.library.find import find_model

    try:
        return find_model(entry.name, session.settings).path != entry.path
    except NightjarError:
        return True


async def progress(run: Run, model: str, session: Session, *, judging: bool = False) -> EvalProgress:
    """Committed turns of one model in one phase, and how many there will be."""
    from nightjar.jobs.machines.workers import at_work
    from nightjar.jobs.status import census

    kind = _kinds(judging)
    workers = await _ask(lambda: at_work(model, socket.gethostname(), session.database))
    jobs = await _ask(lambda: census.count(run.id, session.database, model=model, kind=kind))
    return EvalProgress(
        model=model,
        committed=jobs.of().committed,
        total=await _ask(lambda: census.planned_turns(run.id, model, kind, session.database)),
        failed_jobs=jobs.of(JobStatus.DEAD).jobs,
        judging=judging,
        tokens=sum(worker.tokens for worker in workers),
        doing=workers[0].doing if workers else STARTING,
    )


async def _open_jobs(run: Run, model: str, session: Session, *, judging: bool) -> bool:
    from nightjar.jobs.backlog import has_open_jobs

    return await _ask(lambda: has_open_jobs(run.id, session.database, model=model, kinds=_kinds(judging)))


def compared_names(run: Run, judges: Sequence[ModelEntry]) -> list[str]:
    """The models that are held against the run's reference once its replies are there, but for those that judge, which
    are served then anyhow."""
    if run.fidelity is None:
        return []
    others = {run.fidelity.reference, *(judge.name for judge in judges)}
    return [model.name for model in run.models if model.name not in others]


def _kinds(judging: bool) -> tuple[JobKind, ...]:
    """Of the jobs that a model has in this phase; it may have others in the next."""
    return (JobKind.JUDGE, JobKind.EMBED, JobKind.FIDELITY) if judging else (JobKind.REPLY,)


async def _until(reached: Callable[[Run], bool], run: Run, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Waits until the dispatcher has moved the run so far, or it is gone; at most CLOSING_S."""
    deadline = asyncio.get_running_loop().time() + CLOSING_S
    while asyncio.get_running_loop().time() < deadline:
        now = await _now(run)
        if now is None or reached(now):
            return
        meanwhile()
        await asyncio.sleep(POLL_S)


def _planned(run: Run) -> bool:
    """All judge and embed jobs are inserted, or none will be."""
    return run.judging.planned or run.status in TERMINAL_RUNS


async def _ask(question: Callable[[], Awaitable[T]]) -> T:
    """Of a MongoDB that may be away for a moment: the work of a night does not end for that. Raises ServiceError."""
    from nightjar.jobs.patience import patiently

    return await patiently(question, patience_s=PATIENCE_S)


async def _now(run: Run) -> Run | None:
    from nightjar.jobs.documents import Run as RunDocument

    return await _ask(lambda: RunDocument.get(run.id))


async def _halted_now(run: Run) -> bool:
    now = await _now(run)
    return now is None or _halted(now)


def _halted(run: Run) -> bool:
    return run.status in TERMINAL_RUNS or run.status is RunStatus.PAUSED


def _has_next_wave(before: Run | None, now: Run) -> bool:
    """Whether a look has opened a wave since then, and its jobs are there."""
    if before is None or before.waves is None or now.waves is None or now.status is RunStatus.EXPANDING:
        return False
    return now.waves.opened > before.waves.opened


async def finish(
    run: Run, formats: Sequence[str], out: Path, session: Session
) -> tuple[RunReport, list[Path], dict[str, UsageError]]:
    """Collects the run and writes its report files; the formats that it cannot be written in, with the reasons."""
    from nightjar.pipeline.collect.collector import collect
    from nightjar.pipeline.compare.baseline import since_baseline
    from nightjar.pipeline.exports.write import write_exports

    left_out: dict[str, UsageError] = {}
    report = await since_baseline(await collect(run.id, session.database), run, session.database)
    paths = await asyncio.to_thread(write_exports, report, formats, out, left_out=left_out.__setitem__)
    return report, paths, left_out
