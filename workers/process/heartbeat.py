"""A worker's heartbeat: what `nightjar status` shows of it, written every few seconds on MongoDB's clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from time import monotonic

from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.machines.doing import Activity, Doing
from nightjar.jobs.machines.workers import LONGEST_BEAT_S, sign_off, write_beat
from nightjar.jobs.migrations import SCHEMA_VERSION
from nightjar.jobs.models import LoadFacts, SpeedProbe
from nightjar.jobs.money.energy import EnergyKey, write_energy
from nightjar.jobs.mongo import Database, DatabaseError, Row
from nightjar.jobs.periodic import board, every
from nightjar.jobs.states import WorkerStatus
from nightjar.jobs.troubles import StoredBoard
from nightjar.workers.engine.load_progress import LoadProgress
from nightjar.workers.engine.request import EngineStats
from nightjar.workers.process.energy import EnergyMeter
from nightjar.workers.process.held_jobs import ENGINE_STUCK_S
from nightjar.workers.process.meters import GpuMeter, OthersMeter, process_peak_bytes

RATE_WINDOW_S = 10.0
TURN_WINDOW_S = 120.0


@dataclass
class Tally:
    """What the worker's jobs have done since it started."""

    turns_done: int = 0
    wasted_tokens: int = 0
    """Tokens of complete replies that were never committed; the engine counts those of replies it dropped half-way."""


class Heartbeat:
    """Holds what is known about this worker and writes it. Others set `state` and `reason`."""

    def __init__(self, *, worker: str, host: str, pid: int, model: str, beat_s: float, database: Database) -> None:
        self.state = WorkerStatus.LOADING
        self.reason: str | None = None
        self.load: LoadFacts | None = None
        self.stats: Callable[[], EngineStats] = EngineStats
        self.meter = GpuMeter(None)
        self.energy = EnergyMeter(lambda: self.meter.counter_j())
        self.usd_per_kwh: float | None = None
        """What a kilowatt-hour costs here; None: nobody said."""
        self.progress = LoadProgress()
        self.probe: Callable[[], SpeedProbe | None] = lambda: None
        """The newest measured speed."""
        self.measuring: Callable[[], bool] = lambda: False
        self.waits_for: str | None = None
        """What is missing while there is nothing to do."""
        self.tally = Tally()
        self._identity: Row = {"host": host, "pid": pid, "model": model}
        self._told: WorkerStatus | None = None
        """Its state as an event said it last."""
        self._worker = worker
        self._beat_s = min(beat_s, LONGEST_BEAT_S)
        self._database = database
        self._others = OthersMeter()
        self._written: dict[EnergyKey, float | None] = {}
        self._tokens = _Rate(RATE_WINDOW_S)
        self._turns = _Rate(TURN_WINDOW_S)

    async def run(self, stop: asyncio.Event) -> None:
        """Beats until `stop` is set."""
        board.set(StoredBoard(self._worker, self._database))
        await every(self._beat_s, self.write, stop, name="beat")

    async def write(self) -> None:
        """One beat."""
        fields = self._fields()
        await write_beat(self._worker, fields, self._database)
        await self._write_energy()
        if fields["state"] is not self._told:
            self._told = fields["state"]
            self._say()

    async def _write_energy(self) -> None:
        """Of runs for which more was used since the last beat. Of a card that does not tell, once, that it does not:
        else the others' sum would pass for the whole.
        """
        for key, joules in self.energy.totals().items():
            if key not in self._written or self._written[key] != joules:
                await write_energy(self._worker, key, joules, self.usd_per_kwh, self._database)
                self._written[key] = joules

    def _say(self) -> None:
        event = Moved(kind=EventKind.WORKER, worker=self._worker, model=self._identity["model"])
        self._database.events.say(event)

    async def leave(self) -> None:
        """Takes the worker off the list: it ended as it should. What it measured is kept for reports."""
        with contextlib.suppress(DatabaseError):
            await self.write()
        await sign_off(self._worker, self._database)
        self._say()

    def doing(self) -> Doing:
        """What the worker does now, and how far it is."""
        stats = self.stats()
        if self.state is WorkerStatus.LOADING:
            return self.progress.doing
        if self.state is WorkerStatus.DRAINING:
            return Doing(task=Activity.STOPPING)
        if self.measuring():
            return Doing(task=Activity.MEASURING)
        if not stats.slots_used:
            return Doing(task=Activity.WAITING, why=f"its endpoint: {stats.paused}" if stats.paused else self.waits_for)
        if stats.prompts < stats.slots_used or not stats.prompts_tokens:
            return Doing(task=Activity.GENERATING)
        share = stats.prompts_done / stats.prompts_tokens
        return Doing(task=Activity.PREFILL, share=share, tokens=stats.prompts_tokens)

    def _fields(self) -> Row:
        stats = self.stats()
        others = self._others.read(at_work=stats.slots_used > 0)
        stuck = self.state is WorkerStatus.READY and stats.last_step_age_s > ENGINE_STUCK_S
        gpu = self.meter.read()
        return self._identity | {
            "state": WorkerStatus.STALLED if stuck else self.state,
            "reason": f"the engine has made no step for {stats.last_step_age_s:.0f} s"
            if stuck
            else self.reason or stats.paused,
            "load": None if self.load is None else self.load.model_dump(mode="json"),
            "probe": None if (probe := self.probe()) is None else probe.model_dump(mode="json"),
            "device": "" if self.load is None else self.load.device,
            "slots": stats.slots,
            "slots_used": stats.slots_used,
            "waiting": stats.waiting,
            "doing": asdict(self.doing()),
            "decode_tokens": stats.decode_tokens,
            "prefill_tokens": stats.prefill_tokens,
            "threads": None if stats.threads is None else stats.threads.model_dump(),
            "others_cores": others.now,
            "others_cores_mean": others.mean,
            "tokens_per_s": self._tokens.per_s(stats.decode_tokens),
            "turns_per_s": self._turns.per_s(self.tally.turns_done),
            "reused_tokens": stats.reused_tokens,
            "wasted_tokens": self.tally.wasted_tokens + stats.dropped_tokens,
            "schema_version": SCHEMA_VERSION,
            "nightjar_version": NIGHTJAR_VERSION,
            "process_peak_bytes": process_peak_bytes(),
            "gpu_peak_bytes": gpu.peak_bytes,
            "gpu_utilisation": gpu.utilisation,
            "gpu_energy_j": gpu.energy_j,
        }


class _Rate:
    """Growth of a counter per second, over the last `window_s`."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._samples: deque[tuple[float, int]] = deque()

    def per_s(self, count: int) -> float:
        now = monotonic()
        self._samples.append((now, count))
        while len(self._samples) > 2 and self._samples[1][0] < now - self._window_s:
            self._samples.popleft()
        began, first = self._samples[0]
        return (count - first) / (now - began) if now > began else 0.0
