"""When a worker measures its model's speed: after its work or while nobody waits, and once for each machine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import structlog

from nightjar.config.cpu_meter import CpuMeter
from nightjar.config.errors import NightjarError
from nightjar.config.hardware import memory_limit, usable_cores
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.machines.doing import BUSY_CORES
from nightjar.jobs.machines.speeds import SpeedKey, keep_speed, known_speed
from nightjar.jobs.models import ModelKind, SpeedProbe
from nightjar.jobs.mongo import Database, DatabaseError
from nightjar.workers.conversation.replier import ServedModel
from nightjar.workers.engine.device import Device, this_device
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.library.inspect import entry_facts
from nightjar.workers.process.gpus import NONE, Pin

IDLE_S = 10.0
"""So long nothing was to do before an idle worker measures."""
LOOK_S = 0.1
_NOT_OF_SPEED = {"slots", "context", "memory_share", "mmap", "mlock"}
_log = structlog.get_logger()


def speed_key(entry: ModelEntry, wanted: LoadSettings, gpu: str | None) -> SpeedKey | None:
    """What a speed measured now would hold for; None where none is measured: a file that cannot be read or embeds, an
    endpoint. Reads the file once.
    """
    return _key(entry, wanted, lambda: this_device(gpu))


def speed_key_at(entry: ModelEntry, wanted: LoadSettings, pin: Pin) -> SpeedKey | None:
    """The same for a worker that another process will start with this pin. Touches no card."""
    return _key(entry, wanted, lambda: _device_at(pin))


def _device_at(pin: Pin) -> Device:
    from nightjar.workers.engine.llama.devices import gpu_backends

    if pin.card is None or not gpu_backends():
        return this_device(pin.gpu if pin.card is None else NONE)
    return Device(name=pin.card.name, is_cpu=False, free_bytes=0, id=pin.card.uuid)


def _key(entry: ModelEntry, wanted: LoadSettings, where: Callable[[], Device]) -> SpeedKey | None:
    if entry.remote is not None:
        return None
    try:
        facts = entry_facts(entry)
    except NightjarError:
        return None  # the load will say why
    if facts.kind is ModelKind.EMBEDDING:
        return None
    from nightjar.workers.engine.llama.library import BUILD

    device = where()
    machine = f"{device.name}, {usable_cores()} cores, {round(memory_limit() / 2**30)} GiB"
    settings = wanted.model_dump(mode="json", exclude=_NOT_OF_SPEED) | {"llama_cpp_build": BUILD}
    return SpeedKey(digest=facts.digest, machine=f"{machine}, {device.id}" if device.id else machine, settings=settings)


class Measuring:
    """Measures at most once in a worker's life: where nothing is known, or only a busy machine's speed, or `again`."""

    def __init__(
        self,
        model: ServedModel,
        key: SpeedKey | None,
        database: Database,
        *,
        again: bool,
        at_work: Callable[[], bool],
        stop: asyncio.Event,
    ) -> None:
        """`at_work`: whether somebody waits for the model now, which ends a measurement."""
        self._model = model
        self._key = key
        self._database = database
        self._at_work = at_work
        self._stop = stop
        self._again = again
        self._idle_since: float | None = None
        self._tried = False
        self.probe: SpeedProbe | None = model.load.probe
        """The newest that is known."""
        self.running = False

    @property
    def wanted(self) -> bool:
        """Whether something is left to measure."""
        known = self.probe is not None and not self.probe.busy
        return self._key is not None and not self._tried and (self._again or not known)

    async def while_idle(self) -> None:
        """Call it every second: measures once nothing was to do for a while."""
        if self._at_work() or not self.wanted:
            self._idle_since = None
            return
        self._idle_since = self._idle_since or monotonic()
        if monotonic() - self._idle_since >= IDLE_S:
            await self.measure()

    async def measure(self) -> None:
        """Measures and stores, unless work comes or the worker is to stop meanwhile."""
        if not self.wanted:
            return
        assert self._key is not None
        self.running = True
        try:
            meter = CpuMeter()
            probe = await self._unless_disturbed(self._model.probe())
            if probe is None:
                return
            self._tried = True
            others = meter.others()
            self.probe = probe.model_copy(update={"busy": others is not None and others > BUSY_CORES})
            await keep_speed(self._key, self.probe, self._database)
        except (NightjarError, DatabaseError) as error:
            self._tried = True
            _log.warning("speed_not_measured", error=str(error))
        finally:
            self.running = False

    async def _unless_disturbed(self, measuring: Awaitable[SpeedProbe | None]) -> SpeedProbe | None:
        task = asyncio.ensure_future(measuring)
        while not task.done() and not self._stop.is_set() and not self._at_work():
            await asyncio.wait([task], timeout=LOOK_S)
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        return None if task.cancelled() else task.result()


async def speed_known(key: SpeedKey | None, database: Database) -> SpeedProbe | None:
    """What is known of the speed before the model is loaded; a MongoDB that is away for a moment costs only this."""
    if key is None:
        return None
    try:
        return await known_speed(key, database)
    except DatabaseError as error:
        _log.warning("speed_not_read", error=str(error))
        return None
