"""The main job in one terminal: import, enqueue, dispatch, generate model after model, judge, report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.config.errors import ModelError
from nightjar.jobs.states import TERMINAL_RUNS, JobKind, JobStatus, RunStatus
from nightjar.scripts.children import Child
from nightjar.scripts.options.load import LoadOptions

if TYPE_CHECKING:
    from nightjar.jobs.documents import Run
    from nightjar.pipeline.report.data.run_report import RunReport
    from nightjar.pipeline.suites.content import SuiteContent
    from nightjar.scripts.session import Session
    from nightjar.workers.library.find import ModelEntry

POLL_S = 0.3
PRIORITY = 100
"""Somebody sits and waits: before runs that were only enqueued."""
CLOSING_S = 120.0
"""At most this long for scoring and the dispatcher's own report after the last job."""


@dataclass(frozen=True, kw_only=True)
class EvalProgress:
    """Where a run stands. Turns of jobs that died count as not committed."""

    model: str
    committed: int
    total: int
    failed_jobs: int
    judging: bool = False


Watch = Callable[[EvalProgress], None]


@dataclass(frozen=True, kw_only=True)
class WorkerFlags:
    """How the workers of an evaluation are started."""

    gpu: str | None = None
    load: LoadOptions = field(default_factory=LoadOptions)

    def arguments(self, model: str) -> list[str]:
        """The command line of a worker that serves this model until the run has no work for it."""
        flags = ["worker", "--model", model, "--burst"]
        if self.gpu is not None:
            flags += ["--gpu", self.gpu]
        return [*flags, *self.load.arguments()]


async def take_models(names: Sequence[str], session: Session) -> list[ModelEntry]:
    """Finds the models by name or path, fetches what may be fetched, and publishes their facts for the producer.

    Raises UnknownNameError, ModelFileError, HubError.
    """
    from nightjar.jobs.published import publish_model
    from nightjar.scripts.views.model_pull import obtained
    from nightjar.workers.library.inspect import entry_facts
    from nightjar.workers.library.origin import origin

    entries = []
    for name in names:
        entry = await asyncio.to_thread(obtained, name, session.settings)
        facts = await asyncio.to_thread(entry_facts, entry)
        came_from = await asyncio.to_thread(origin, entry, session.settings)
        await publish_model(session.database, facts, by="eval", origin=came_from)
        entries.append(entry)
    return entries


async def suite_to_enqueue(name_or_file: str, format_: str | None, session: Session) -> str:
    """The name of the suite to enqueue, NAME@VERSION; a file is imported first. Raises SuiteError."""
    content = read_if_file(name_or_file, format_)
    if content is None:
        return name_or_file
    from nightjar.pipeline.suites.importer import import_suite

    version, _ = await import_suite(content, session.database)
    return f"{version.name}@{version.version}"


def read_if_file(name_or_file: str, format_: str | None) -> SuiteContent | None:
    """The content of a suite file; None where the text is a name. Raises SuiteError."""
    from nightjar.pipeline.suites.read import read_suite

    path = Path(name_or_file).expanduser()
    return read_suite(path, format_) if path.is_file() or "/" in name_or_file else None


async def generate(
    run: Run,
    entries: Sequence[ModelEntry],
    judges: Sequence[ModelEntry],
    flags: WorkerFlags,
    session: Session,
    watch: Watch,
) -> None:
    """Generates the run's replies: one model after the other, each with one worker per GPU; then judges them likewise.

    `judges`: those that judge, and the model that embeds.

    Raises ModelError with the worker's last words when a model's workers end and leave it unfinished.
    """
    async with _dispatching(session):
        for entry in entries:
            await _generate_model(run, entry, flags, session, watch)
        if judges:
            await _until(_planned, run)
        for judge in judges:
            await _generate_model(run, judge, flags, session, watch, judging=True)
        await _until(_halted, run)


async def _generate_model(
    run: Run, entry: ModelEntry, flags: WorkerFlags, session: Session, watch: Watch, *, judging: bool = False
) -> None:
    if not await _open_jobs(run, entry.name, session, judging=judging):
        return
    reference = str(entry.path) if _is_bare(entry, session) else entry.name
    log = session.settings.home / "logs" / f"worker-{run.name}-{entry.name}.log"
    child = await Child.start(flags.arguments(reference), log)
    ended = asyncio.create_task(child.process.wait())
    try:
        while not ended.done():
            watch(await progress(run, entry.name, session, judging=judging))
            if not await _open_jobs(run, entry.name, session, judging=judging):
                break  # the worker would go on with other runs of this model
            await asyncio.wait([ended], timeout=POLL_S)
        watch(await progress(run, entry.name, session, judging=judging))
    finally:
        await child.stop(session.settings.drain_s + 5)
    if await _open_jobs(run, entry.name, session, judging=judging):
        raise ModelError(
            f"The worker of model {entry.name!r} ended (exit code {child.process.returncode}) before its work was "
            f"done. Its log {child.log} ends with:\n{child.last_words()}\nRun {run.name!r} keeps what was generated; "
            f"the same command with --name {run.name} goes on."
        )


def _is_bare(entry: ModelEntry, session: Session) -> bool:
    """No registry or models folder knows the name: workers must be given the file."""
    from nightjar.config.errors import NightjarError
    from nightjar.workers.library.find import find_model

    try:
        return find_model(entry.name, session.settings).path != entry.path
    except NightjarError:
        return True


async def progress(run: Run, model: str, session: Session, *, judging: bool = False) -> EvalProgress:
    """Committed turns of one model in one phase, and how many there will be."""
    from nightjar.jobs.status import census

    kind = _kinds(judging)
    jobs = await census.count(run.id, session.database, model=model, kind=kind)
    return EvalProgress(
        model=model,
        committed=jobs.of().committed,
        total=await census.planned_turns(run.id, model, kind, session.database),
        failed_jobs=jobs.of(JobStatus.DEAD).jobs,
        judging=judging,
    )


async def _open_jobs(run: Run, model: str, session: Session, *, judging: bool) -> bool:
    from nightjar.jobs.backlog import has_open_jobs

    return await has_open_jobs(run.id, session.database, model=model, kinds=_kinds(judging))


def _kinds(judging: bool) -> tuple[JobKind, ...]:
    """The jobs of a phase: the last model may also judge, and is not to be waited for with its judging."""
    return (JobKind.JUDGE, JobKind.EMBED) if judging else (JobKind.REPLY,)


@asynccontextmanager
async def _dispatching(session: Session) -> AsyncIterator[None]:
    from nightjar.pipeline.dispatch.dispatcher import Dispatcher

    stop = asyncio.Event()
    task = asyncio.create_task(Dispatcher(session.database, session.doorbell, session.settings).run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def _until(reached: Callable[[Run], bool], run: Run) -> None:
    """Waits until the dispatcher has moved the run so far, or it is gone; at most CLOSING_S."""
    from nightjar.jobs.documents import Run as RunDocument

    deadline = asyncio.get_running_loop().time() + CLOSING_S
    while asyncio.get_running_loop().time() < deadline:
        now = await RunDocument.get(run.id)
        if now is None or reached(now):
            return
        await asyncio.sleep(POLL_S)


def _planned(run: Run) -> bool:
    """All judge and embed jobs are inserted, or none will be."""
    return run.judging.planned or run.status in TERMINAL_RUNS


def _halted(run: Run) -> bool:
    return run.status in TERMINAL_RUNS or run.status is RunStatus.PAUSED


async def finish(run: Run, formats: Sequence[str], out: Path, session: Session) -> tuple[RunReport, list[Path]]:
    """Collects the run and writes its report files."""
    from nightjar.pipeline.collect.collector import collect
    from nightjar.pipeline.exports.write import write_exports

    report = await collect(run.id, session.database)
    return report, await asyncio.to_thread(write_exports, report, formats, out)
