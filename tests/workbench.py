"""A run on a scripted engine or replier, inside one process: for tests of workers, dispatcher and status."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from nightjar.config.embedded import ServiceUrls
from nightjar.config.load_settings import LoadSettings
from nightjar.config.settings import Settings
from nightjar.jobs.documents import Job, Run, RunModel, SequenceDocument, SequenceRef, SuiteVersion
from nightjar.jobs.identity import job_id
from nightjar.jobs.machines.speeds import SpeedKey
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.queue import Doorbell
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.jobs.sequences import Choices, Mode, Sequence, TurnSpec
from nightjar.jobs.states import JobKind, JobStatus, RunStatus
from nightjar.pipeline.dispatch.dispatcher import Dispatcher
from nightjar.workers.engine.fake import ScriptedEngine
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.process.gpu_lease import GpuLease
from nightjar.workers.process.heartbeat import Heartbeat
from nightjar.workers.process.load_model import WorkerOptions, serving
from nightjar.workers.process.main import WorkerProcess
from tests.documents import a_job, a_run, take_judging
from tests.scripted_replier import ScriptedReplier

MODEL = "scripted"
M = TypeVar("M", ScriptedEngine, ScriptedReplier)


async def make_run(
    run_id: str,
    *,
    sequences: int = 4,
    turns: int = 2,
    model: str = MODEL,
    status: RunStatus = RunStatus.ACTIVE,
    choices: Choices | None = None,
    **changes: Any,
) -> Run:
    """Stores a suite, a run and its jobs: sequences s0, s1, ... of one model. `choices`: scored in the place of each
    reply. `changes`: of the run or its judging.
    """
    now = utc_now()
    suite = f"suite-{run_id}"
    contents = await _store_suite(suite, sequences, turns, choices)
    fields: dict[str, Any] = {
        "status": status,
        "suite": suite,
        "suite_name": suite,
        "sequences": [content.id for content in contents],
        "models": [RunModel(name=model)],
        "seed": 7,
        "jobs_total": sequences,
    }
    run = await a_run(run_id, **(fields | {"judging": take_judging(changes)} | changes)).insert()
    for order, content in enumerate(contents):
        await a_job(
            job_id(run_id, JobKind.REPLY, content.id, model, 0),
            run=run_id,
            model=model,
            sequence=content.id,
            sequence_digest=content.digest,
            sequence_document=content.digest,
            order=order,
            due_at=now,
            turns_total=turns,
        ).insert()
    return run


async def _store_suite(name: str, sequences: int, turns: int, choices: Choices | None) -> list[Sequence]:
    contents = [
        Sequence(
            id=f"s{n}",
            turns=tuple(TurnSpec(prompt=f"sequence {n}, turn {t}", choices=choices) for t in range(turns)),
            mode=Mode.CHAT if choices is None else Mode.COMPLETION,
        )
        for n in range(sequences)
    ]
    for content in contents:
        await SequenceDocument(id=content.digest, sequence=content).save()
    refs = [SequenceRef(id=c.id, digest=c.digest, document=c.digest, turns=turns, mode=c.mode) for c in contents]
    if await SuiteVersion.get(name) is None:
        stored = SuiteVersion(id=name, name=name, version=1, source="test", sequences=refs, imported_at=utc_now())
        await stored.insert()
    return contents


@dataclass
class Worker(Generic[M]):
    """A running worker process object, inside this process, and what it serves."""

    process: WorkerProcess
    engine: M
    beat: Heartbeat
    task: asyncio.Task[int]


@dataclass
class Bench:
    """Servers, settings and a dispatcher; it starts workers."""

    database: Database
    doorbell: Doorbell
    settings: Settings
    services: ServiceUrls
    dispatcher: Dispatcher

    @contextlib.asynccontextmanager
    async def dispatching(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(self.dispatcher.run(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    @contextlib.asynccontextmanager
    async def worker(
        self,
        engine: M,
        *,
        burst: bool = False,
        probe: bool | None = False,
        name: str = "host:1:1",
        live: int = 0,
        embedder: TextEmbedder | None = None,
    ) -> AsyncIterator[Worker[M]]:
        """A worker on that engine or replier; drained at the end. `probe`, `live`: as in `WorkerOptions`. `embedder`:
        the host's small one.
        """
        model = engine.facts.name
        entry = ModelEntry(
            name=model, path=Path("none.gguf"), load=LoadSettings(), parameters={}, template=None, reasoning=None
        )
        beat = Heartbeat(worker=name, host="host", pid=1, model=model, beat_s=0.2, database=self.database)
        options = WorkerOptions(model=model, burst=burst, probe=probe, live=live, started_ms=1)
        card = GpuLease(None, name, self.database)
        served = serving(engine, entry, embedder) if isinstance(engine, ScriptedEngine) else engine
        key = SpeedKey(digest=engine.facts.digest, machine="a test's", settings={})
        process = WorkerProcess(
            options, self.settings, entry, served, beat, card, self.database, self.services.redis, key=key
        )
        ended = asyncio.Event()
        beating = asyncio.create_task(beat.run(ended))
        task = asyncio.create_task(process.run(name))
        try:
            yield Worker(process=process, engine=engine, beat=beat, task=task)
        finally:
            process.drain()
            await task
            ended.set()
            await beating
            await engine.close()


async def until(check: Callable[[], Any], *, within_s: float = 20) -> Any:
    """Waits until the check returns something true, and returns that; fails after `within_s`."""
    end = time.monotonic() + within_s
    while True:
        value = check()
        if hasattr(value, "__await__"):
            value = await value
        if value:
            return value
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


async def statuses(run_id: str) -> dict[JobStatus, int]:
    """How many jobs a run has in each status."""
    counts: dict[JobStatus, int] = {}
    for job in await Job.find({"run": run_id}).to_list():
        counts[job.status] = counts.get(job.status, 0) + 1
    return counts


@contextlib.asynccontextmanager
async def opened_bench(database: Database, services: ServiceUrls, settings: Settings) -> AsyncIterator[Bench]:
    """A bench on an empty Redis; for the fixtures of files that want settings of their own."""
    doorbell = await Doorbell.connect(services.redis)
    await doorbell.redis.flushall()
    dispatcher = Dispatcher(database, doorbell, settings)
    yield Bench(database=database, doorbell=doorbell, settings=settings, services=services, dispatcher=dispatcher)
    await doorbell.close()
