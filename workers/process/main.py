"""A worker process from start to end: behind `nightjar worker`, this is where its parts are put together."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr

from nightjar.config.embedded import latest_redis_url
from nightjar.config.errors import NightjarError, SchemaError, UsageError
from nightjar.config.logging import bind_process
from nightjar.config.settings import Settings
from nightjar.jobs import backlog, schema
from nightjar.jobs.commits import Commits
from nightjar.jobs.leases import dispatcher_is_live
from nightjar.jobs.machines.speeds import SpeedKey
from nightjar.jobs.machines.workers import worker_id
from nightjar.jobs.models import ModelSource
from nightjar.jobs.mongo import Database
from nightjar.jobs.periodic import board, end_task, every
from nightjar.jobs.published import publish_model
from nightjar.jobs.queue import Doorbell, listen
from nightjar.jobs.schema import SCHEMA_EVERY_S
from nightjar.jobs.states import WorkerStatus
from nightjar.jobs.troubles import StoredBoard
from nightjar.workers.conversation.local import LocalReplier
from nightjar.workers.conversation.replier import Embedder, Pausing, Replier
from nightjar.workers.library.find import ModelEntry, find_model
from nightjar.workers.library.origin import origin
from nightjar.workers.library.usage import mark_used
from nightjar.workers.process.comparing import JobComparer
from nightjar.workers.process.exit_codes import BROKEN, CANNOT
from nightjar.workers.process.gpu_lease import LEASE_S as CARD_LEASE_S
from nightjar.workers.process.gpu_lease import GpuLease
from nightjar.workers.process.gpus import NONE
from nightjar.workers.process.heartbeat import Heartbeat
from nightjar.workers.process.held_jobs import HeldJobs
from nightjar.workers.process.live_side import LiveSide
from nightjar.workers.process.load_model import Loader, WorkerOptions, load_chain, load_local, load_remote
from nightjar.workers.process.measuring import Measuring, speed_key, speed_known
from nightjar.workers.process.meters import GpuMeter
from nightjar.workers.process.narrator import SAY_EVERY_S, Narrator
from nightjar.workers.process.run_cache import RunCache
from nightjar.workers.process.said_lines import SaidLines, lines_sent
from nightjar.workers.process.stopping import StopRequest, unless
from nightjar.workers.process.stored_memories import StoredMemories
from nightjar.workers.process.stored_summaries import StoredSummaries
from nightjar.workers.process.suspects import Suspects
from nightjar.workers.process.tasks import JobContext, run_job

BURST_POLL_S = 0.5
ENGINE_POLL_S = 1.0
IDLE_LOOK_S = 1.0
WAIT_LOOK_S = 3.0
_log = structlog.get_logger()


async def serve(
    options: WorkerOptions,
    settings: Settings,
    database: Database,
    redis: SecretStr,
    *,
    find: Callable[[str, Settings], ModelEntry] = find_model,
    loader: Loader = load_local,
) -> int:
    """Runs one worker process to a signal or the end of its burst; returns the exit code. Raises UnknownNameError."""
    stop = StopRequest(settings.drain_s)
    stop.listen()
    folders = map(str, (settings.models_dir, settings.home, Path.home()))
    said = SaidLines(worker_id(os.getpid(), options.started_ms), folders)
    async with lines_sent(said, Doorbell.unconnected(redis, partial(latest_redis_url, settings))):
        return await _serve(stop, options, settings, database, redis, find, loader)


async def _serve(
    stop: StopRequest,
    options: WorkerOptions,
    settings: Settings,
    database: Database,
    redis: SecretStr,
    find: Callable[[str, Settings], ModelEntry],
    loader: Loader,
) -> int:
    entry = find(options.model, settings)
    entry = replace(entry, name=options.name or entry.name)
    worker = worker_id(os.getpid(), options.started_ms)
    bind_process(worker=worker, model=entry.name)
    beat = Heartbeat(
        worker=worker,
        host=socket.gethostname(),
        pid=os.getpid(),
        model=entry.name,
        beat_s=settings.beat_s,
        database=database,
    )
    card = GpuLease(options.gpu, worker, database)
    ended = asyncio.Event()
    beating = asyncio.create_task(beat.run(ended))
    narrator = Narrator(beat, watched=sys.stderr.isatty())
    saying = asyncio.create_task(every(SAY_EVERY_S, narrator.say, ended, name="narrator"))

    async def loaded() -> tuple[Replier | Embedder, SpeedKey | None]:
        await card.take()
        async with card.kept():
            key = await asyncio.to_thread(speed_key, entry, options.wanted(entry), options.gpu)
            informed = replace(options, progress=beat.progress, speed=await speed_known(key, database))
            if entry.chain is not None:
                return await load_chain(entry, informed, worker, settings, database, redis), key
            if entry.remote is not None:
                return load_remote(entry, options, worker, settings, database, redis), key
            return await loader(entry, informed, settings), key

    try:
        model, key = await unless(stop.asked, loaded()) or (None, None)
    except NightjarError as error:
        ended.set()
        await asyncio.gather(beating, saying)
        beat.state, beat.reason = WorkerStatus.FAILED, str(error)
        await beat.write()
        _log.error("model_not_loaded", error=str(error))
        return CANNOT
    stop.serving = model is not None
    try:
        if model is None:
            return 0
        process = WorkerProcess(options, settings, entry, model, beat, card, database, redis, stop=stop.asked, key=key)
        return await process.run(worker)
    finally:
        ended.set()
        await asyncio.gather(beating, saying)
        await beat.leave()
        await card.give_back()
        if model is not None and model.stats().failure is None:  # a thread that hangs in native code cannot be joined
            await model.close()


class WorkerProcess:
    """A worker whose model is loaded, from ready to drained."""

    def __init__(
        self,
        options: WorkerOptions,
        settings: Settings,
        entry: ModelEntry,
        model: Replier | Embedder,
        beat: Heartbeat,
        lease: GpuLease,
        database: Database,
        redis: SecretStr,
        *,
        stop: asyncio.Event | None = None,
        key: SpeedKey | None = None,
    ) -> None:
        """`key`: what a measured speed holds for; None where none is to be measured."""
        self._key = key
        if isinstance(model, LocalReplier):
            model.memories = StoredMemories(database)
            model.summaries.store = StoredSummaries(database=database)
        self._options = options
        self._settings = settings
        self._entry = entry
        self._model = model
        self._beat = beat
        self._card = lease
        self._database = database
        self._redis = redis
        self._stop = stop or asyncio.Event()
        self._failed = False
        self._given_up = False
        """Its endpoint refuses, and in a burst nobody waits for somebody to act."""

    async def run(self, worker: str) -> int:
        """Serves until it is told to stop or the backlog ends (`burst`); then drains."""
        shown = StoredBoard(worker, self._database)
        board.set(shown)
        await self._become_ready(worker)
        if self._stop.is_set():
            return 0
        self._run_cache = RunCache(self._database, self._model.facts, self._model.load)
        latest = partial(latest_redis_url, self._settings)
        self._live = LiveSide(self._model.facts.name, self._redis, self._database, latest)
        held = self._held(worker)
        self._measuring = self._measure(held)
        ended = asyncio.Event()
        bells = [asyncio.create_task(bell) for bell in (self._listen(held), *self._live.listeners(held))]
        tasks = [asyncio.create_task(work) for work in self._chores(held, worker, ended)]
        await self._wait_for_end([*bells, *tasks])
        if not self._given_up:
            self._beat.state = WorkerStatus.DRAINING
        await asyncio.gather(*map(end_task, bells))
        await held.drain(self._settings.drain_s)
        ended.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._live.close()
        await shown.take_down()
        _log.info("worker_ended", turns=self._beat.tally.turns_done)
        if self._failed:
            return BROKEN
        return CANNOT if self._given_up or (self._options.burst and self._run_cache.refused) else 0

    def _held(self, worker: str) -> HeldJobs:
        slots = self._model.load.slots
        kept = max(0, min(self._options.live, slots - 1))
        if kept < self._options.live:
            _log.warning("live_slots_fewer", wanted=self._options.live, kept=kept, slots=slots)
        context = JobContext(
            model=self._model,
            run_cache=self._run_cache,
            worker=worker,
            tally=self._beat.tally,
            database=self._database,
            commits=Commits(self._database),
            slots=asyncio.Semaphore(slots),
            evaluations=asyncio.Semaphore(slots - kept),
            live=self._live,
            comparer=self._comparer(),
            energy=None if self._model.facts.source is ModelSource.REMOTE else self._beat.energy,
        )
        return HeldJobs(
            work=lambda hold: run_job(hold, context),
            run_cache=self._run_cache,
            stats=self._model.stats,
            worker=worker,
            host=socket.gethostname(),
            lease_s=self._settings.lease_s,
            slots=slots,
            live_slots=kept,
            database=self._database,
        )

    def _comparer(self) -> JobComparer | None:
        if not isinstance(self._model, LocalReplier):
            return None
        entry = replace(self._entry, load=self._options.wanted(self._entry))
        return JobComparer(entry, self._model.facts, self._options.gpu, self._settings, self._database)

    async def _become_ready(self, worker: str) -> None:
        came_from = await asyncio.to_thread(origin, self._entry, self._settings)
        await publish_model(self._database, self._model.facts, by=worker, origin=came_from)
        await asyncio.to_thread(mark_used, self._settings.home, self._model.facts.name)
        self._beat.load, self._beat.stats, self._beat.state = self._model.load, self._model.stats, WorkerStatus.READY
        gpu = self._options.gpu
        self._beat.meter = GpuMeter(None if gpu == NONE else gpu)
        self._beat.usd_per_kwh = self._settings.money.usd_per_kwh
        await self._beat.write()
        _log.info("worker_ready", slots=self._model.load.slots, device=self._model.load.device)

    def _measure(self, held: HeldJobs) -> Measuring:
        measuring = Measuring(
            self._model,
            self._key if self._options.probe is not False else None,
            self._database,
            again=self._options.probe is True,
            at_work=lambda: not held.idle,
            stop=self._stop,
        )
        self._beat.measuring = lambda: measuring.running
        self._beat.probe = lambda: measuring.probe
        return measuring

    async def _listen(self, held: HeldJobs) -> None:
        await listen(
            self._redis,
            self._model.facts.name,
            start=held.offer,
            free=lambda: held.free,
            most=held.most,
            latest=partial(latest_redis_url, self._settings),
        )

    def _chores(self, held: HeldJobs, worker: str, ended: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
        model = self._model.facts.name
        chores = [
            held.keep(ended),
            *self._live.chores(self._stop, ended),
            Suspects(model, worker, held, self._database).run(self._stop),
            every(ENGINE_POLL_S, self._watch_model, self._stop, name="engine"),
            every(CARD_LEASE_S / 3, self._card.renew, ended, name="card", raises=UsageError),
            every(SCHEMA_EVERY_S, self._watch_schema, self._stop, name="schema", raises=SchemaError),
        ]
        if self._options.burst:
            chores.append(every(BURST_POLL_S, lambda: self._watch_backlog(held), self._stop, name="backlog"))
        else:
            chores.append(every(IDLE_LOOK_S, self._measuring.while_idle, self._stop, name="measuring"))
        if isinstance(self._model, Pausing):
            chores.append(every(ENGINE_POLL_S, self._model.look_again, self._stop, name="endpoint"))
        chores.append(every(WAIT_LOOK_S, lambda: self._watch_waiting(held), self._stop, name="waiting"))
        return chores

    async def _wait_for_end(self, tasks: list[asyncio.Task[None]]) -> None:
        """Returns when the worker is to stop; an error in one of its tasks also stops it."""
        stopped = asyncio.create_task(self._stop.wait())
        waiting: set[asyncio.Task[Any]] = {stopped, *tasks}
        while not self._stop.is_set():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                if (error := task.exception()) is not None:
                    _log.error("worker_broken", error=str(error), exc_info=error)
                    self._failed = True
                    self._stop.set()
        stopped.cancel()

    def drain(self) -> None:
        """Makes `run` claim nothing more, finish or release what is running, and return."""
        self._stop.set()

    async def _watch_model(self) -> None:
        if (failure := self._model.stats().failure) is not None:
            _log.error("engine_stopped", error=failure)
            self._failed = True
            self._stop.set()

    async def _watch_schema(self) -> None:
        """Raises SchemaError, which ends this worker, where a newer Nightjar has taken the database over."""
        await schema.check_not_ahead(self._database)

    async def _watch_backlog(self, held: HeldJobs) -> None:
        if self._run_cache.refused:
            self._beat.reason = next(iter(self._run_cache.refused.values()))
        stats = self._model.stats()
        if held.idle and stats.refused and stats.paused:
            self._beat.state, self._beat.reason = WorkerStatus.FAILED, stats.paused
            self._given_up = True
            self._stop.set()
        if not held.idle or await self._has_work():
            return
        if self._beat.tally.turns_done or self._options.probe:  # else nobody asked anything of it
            await self._measuring.measure()
        if held.idle and not await self._has_work():
            self._stop.set()

    async def _has_work(self) -> bool:
        without = self._run_cache.unserved
        return await backlog.model_has_work(self._model.facts.name, self._database, without=without)

    async def _watch_waiting(self, held: HeldJobs) -> None:
        """What an idle worker waits for, for whoever looks."""
        model = self._model.facts.name
        if not held.idle:
            self._beat.waits_for = None
        elif not await self._has_work():
            self._beat.waits_for = f"a job: no run has work for {model}"
        elif not await dispatcher_is_live(self._database):
            self._beat.waits_for = f"a dispatcher: jobs for {model} are there, and none runs that hands them out"
        else:
            self._beat.waits_for = f"a job of {model} that is due"
