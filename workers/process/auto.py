"""`nightjar worker --model auto`: each place serves the model that needs it most.

A place is a GPU (or the CPU). To switch models, the place's `nightjar worker` process drains and ends and another one
starts, since memory is reliably freed only when a process ends. `workers.process.choose_model` decides what to serve.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Protocol

import structlog

from nightjar.config.errors import UsageError
from nightjar.config.hardware import memory_limit
from nightjar.config.interpreter import NIGHTJAR
from nightjar.config.settings import Settings
from nightjar.config.stopping import end_signals
from nightjar.jobs.backlog import Waiting, live_workers, waiting_jobs
from nightjar.jobs.live.places import wanted_models
from nightjar.jobs.machines.auto_workers import end_auto, mark_auto
from nightjar.jobs.machines.workers import worker_id
from nightjar.jobs.mongo import Database, DatabaseError
from nightjar.jobs.periodic import every
from nightjar.jobs.published import published
from nightjar.workers.library.memory_model import room_here
from nightjar.workers.process.choose_model import (
    PREEMPTS_EVERY_S,
    Backlog,
    Capability,
    Present,
    choose_model,
    hindrances,
)
from nightjar.workers.process.gpus import Pin, choose_pins, list_cards
from nightjar.workers.process.survey import Loadable, backlogs, loadable

CAPABILITIES = ("chat", "embedding", "judge")
POLL_S = 3.0
_log = structlog.get_logger()


class Process(Protocol):
    """A started worker; `asyncio.subprocess.Process` is one."""

    @property
    def returncode(self) -> int | None: ...

    def send_signal(self, signum: int, /) -> None: ...

    async def wait(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Everything known at one moment: the backlogs as a place sees them, and the models with running jobs."""

    backlogs: Sequence[Backlog]
    busy: frozenset[str]


@dataclass(eq=False, kw_only=True)
class ServingPlace:
    """A GPU or the CPU, and what it serves."""

    pin: Pin
    room_bytes: int
    model: str | None = None
    process: Process | None = None
    loaded_at: float = 0.0
    busy_at: float = 0.0
    preempted_at: float | None = None
    """When it was last taken from its work for a live request."""
    failures: dict[str, str] = field(default_factory=dict)
    """Model -> why it could not be loaded here."""


_Look = Callable[["ServingPlace", Mapping[str, int]], Awaitable[Outlook]]
"""(the place that chooses, this process's workers at its other places by model) -> outlook."""
_Start = Callable[[str, Pin], Awaitable[Process]]


class AutoWorkers:
    """Keeps every place on the model that `choose_model` names, until a signal or a long idle time ends it."""

    def __init__(
        self,
        places: Sequence[ServingPlace],
        look: _Look,
        start: _Start,
        *,
        capability: Capability | None = None,
        live_preempts: bool = False,
        idle_exit_s: float | None = None,
        poll_s: float = POLL_S,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._places = places
        self._look = look
        self._start = start
        self._capability = capability
        self._live_preempts = live_preempts
        self._idle_exit_s = idle_exit_s
        self._poll_s = poll_s
        self._clock = clock
        self._stop = asyncio.Event()
        self._said: dict[str, str] = {}
        self._cannot: dict[ServingPlace, dict[str, str]] = {}
        self._worked_at = clock()

    @property
    def cannot(self) -> dict[str, str]:
        """Models that wait and that none of the places can serve, with the reason of one of them."""
        if len(self._cannot) < len(self._places):
            return {}  # not all have looked yet
        first, *others = self._cannot.values()
        return {model: why for model, why in first.items() if all(model in other for other in others)}

    @property
    def preempts_in_s(self) -> float | None:
        """When one of its places may next be taken from its work for a live request; None: never."""
        if not self._live_preempts:
            return None
        return min((self._rest_s(place) for place in self._places), default=0.0)

    def _rest_s(self, place: ServingPlace) -> float:
        if place.preempted_at is None:
            return 0.0
        return max(0.0, place.preempted_at + PREEMPTS_EVERY_S - self._clock())

    async def run(self) -> bool:
        """Runs until a signal, or until idle for `idle_exit_s`; whether it ended for that."""
        for signum in end_signals():
            asyncio.get_running_loop().add_signal_handler(signum, self._stop.set)
        while not self._stop.is_set():
            for place in self._places:
                await self.turn(place)
            idle_s = self._clock() - self._worked_at
            if self._idle_exit_s is not None and idle_s >= self._idle_exit_s:
                _log.info("worker_idle_exit", idle_s=round(idle_s))
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._poll_s)
        idle = not self._stop.is_set()
        await asyncio.gather(*(self._end(place) for place in self._places))
        for signum in end_signals():
            asyncio.get_running_loop().remove_signal_handler(signum)
        return idle

    async def turn(self, place: ServingPlace) -> None:
        """Looks at one place once: notes how its process ended, and switches the model if `choose_model` says so."""
        if place.process is not None and place.process.returncode is not None:
            self._note_end(place, place.process.returncode)
        outlook = await self._look(place, self._ours(place))
        self._cannot[place] = hindrances(outlook.backlogs, place.room_bytes, self._capability)
        now = self._clock()
        if place.model in outlook.busy:
            place.busy_at = now
        present = None
        if place.model is not None:
            present = Present(
                model=place.model,
                loaded_s=now - place.loaded_at,
                idle_s=now - place.busy_at,
                yields=self._live_preempts and not self._rest_s(place),
            )
        choice = choose_model(
            outlook.backlogs, room_bytes=place.room_bytes, capability=self._capability, present=present
        )
        if choice.work or place.model in outlook.busy:
            self._worked_at = now
        self._say(place, choice.model, choice.reason)
        if choice.model is None or choice.model == place.model:
            return
        if choice.preempts:
            place.preempted_at = now
        await self._end(place)
        place.process = await self._start(choice.model, place.pin)
        place.model, place.loaded_at, place.busy_at = choice.model, self._clock(), self._clock()

    def _note_end(self, place: ServingPlace, code: int) -> None:
        """A model that could not be loaded is not started again here; after any other end the place chooses again."""
        assert place.model is not None
        if code > 0:
            place.failures[place.model] = f"it could not be served here (exit code {code}; see `nightjar status`)"
            _log.error("model_given_up", model=place.model, code=code)
        place.model, place.process = None, None

    def _ours(self, place: ServingPlace) -> dict[str, int]:
        """This process's workers by model, without that of `place`."""
        counts: dict[str, int] = {}
        for other in self._places:
            if other.model is not None and other is not place:
                counts[other.model] = counts.get(other.model, 0) + 1
        return counts

    def _say(self, place: ServingPlace, model: str | None, reason: str) -> None:
        key = place.pin.gpu or "default"
        if self._said.get(key) != f"{model} {reason}" and (model is None or model != place.model):
            _log.info("model_chosen", place=key, model=model, reason=reason)
            self._said[key] = f"{model} {reason}"

    async def _end(self, place: ServingPlace) -> None:
        """Drains and ends the place's worker, and waits until its memory is free."""
        if place.process is None:
            return
        if place.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                place.process.send_signal(signal.SIGTERM)
        await place.process.wait()
        place.model, place.process = None, None


async def start_worker(model: str, pin: Pin, arguments: Sequence[str] = ()) -> Process:
    """Starts a `nightjar worker` for one model on one place, with a supervisor of its own."""
    gpu = ["--gpu", pin.gpu] if pin.gpu else []
    return await asyncio.create_subprocess_exec(
        *NIGHTJAR,
        "worker",
        "--model",
        model,
        "--parent",
        str(os.getpid()),
        *gpu,
        *arguments,
        start_new_session=True,
    )


async def roam(
    settings: Settings,
    database: Database,
    *,
    only: str | None,
    gpu: str | None,
    flags: Sequence[str],
    wanted: str | None,
    live_preempts: bool = False,
    idle_exit_s: float | None,
) -> bool:
    """Serves on the chosen cards; whether it ended for want of work, not by a signal. Raises UsageError.

    `only`: the one model to serve; `flags`: further ones of `nightjar worker`.
    """
    if wanted is not None and wanted not in CAPABILITIES:
        raise UsageError(f"--for {wanted!r} is not known. Choose one of: {', '.join(CAPABILITIES)}.")
    places = [ServingPlace(pin=pin, room_bytes=_room(pin, settings)) for pin in choose_pins(gpu, list_cards())]

    async def start(model: str, pin: Pin) -> Process:
        return await start_worker(model, pin, flags)

    look = _look(settings, database, only)
    workers = AutoWorkers(
        places,
        look,
        start,
        capability=wanted,  # type: ignore[arg-type]
        live_preempts=live_preempts,
        idle_exit_s=idle_exit_s,
    )
    name, ended = worker_id(os.getpid(), int(time() * 1000)), asyncio.Event()
    marking = asyncio.create_task(
        every(
            POLL_S,
            lambda: mark_auto(name, only, workers.cannot, database, preempts_in_s=workers.preempts_in_s),
            ended,
            name="mark_auto",
        )
    )
    try:
        return await workers.run()
    finally:
        ended.set()
        await marking
        with contextlib.suppress(DatabaseError):
            await end_auto(name, database)


def _room(pin: Pin, settings: Settings) -> int:
    """Bytes a model may take at this place."""
    share = settings.model.memory_share
    if pin.card is not None and pin.card.memory_bytes is not None:
        return int(pin.card.memory_bytes * share)
    if pin.cpu_only:
        return int(memory_limit() * share)
    room = room_here(settings)
    return int(max(room.gpu, room.host) * share)


def _look(settings: Settings, database: Database, only: str | None) -> _Look:
    """What a place sees: waiting jobs, what this host could load for them, and who serves them already."""
    known: dict[str, Loadable] = {}

    async def look(place: ServingPlace, ours: Mapping[str, int]) -> Outlook:
        wanted = await wanted_models(database)
        waiting = dict.fromkeys(wanted, Waiting()) | await waiting_jobs(database)
        if only is not None:
            waiting = {model: jobs for model, jobs in waiting.items() if model == only}
        sure = {model for model, here in known.items() if here.kind and here.memory_bytes is not None}
        new = sorted(set(waiting) - sure)
        facts = {model: publication.facts for model, publication in (await published(new, database)).items()}
        for model in new:
            known[model] = await asyncio.to_thread(loadable, model, facts.get(model), settings)
        live = await live_workers(database)
        others = {
            model: max(ours.get(model, 0), live.get(model, 0) - (1 if model == place.model else 0)) for model in waiting
        }
        busy = frozenset(model for model, jobs in waiting.items() if jobs.due or jobs.running)
        return Outlook(backlogs=backlogs(waiting, known, others, place.failures, wanted), busy=busy)

    return look
