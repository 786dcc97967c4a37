"""What a worker measures about itself: its memory, and its GPU's memory, use and energy if NVML reports them."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from nightjar.config.cpu_meter import CpuMeter

T = TypeVar("T")
_log = structlog.get_logger()


def process_peak_bytes() -> int:
    """The most memory this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory_kills() -> int:
    """How many processes the kernel has killed for lack of memory since boot; 0 if it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


@dataclass(frozen=True, kw_only=True)
class OthersReading:
    """Cores that other processes keep from this one; None where it is not known."""

    now: float | None = None
    mean: float | None = None
    """While this one had work."""


class OthersMeter:
    """The newest reading of `CpuMeter`, and the mean of those that were taken at work."""

    def __init__(self) -> None:
        self._meter = CpuMeter()
        self._now: float | None = None
        self._readings: list[float] = []

    def read(self, *, at_work: bool) -> OthersReading:
        """Takes a reading, which is of the time since the last one."""
        reading = self._meter.others()
        if reading is not None:
            self._now = reading
            if at_work:
                self._readings.append(reading)
        mean = sum(self._readings) / len(self._readings) if self._readings else None
        return OthersReading(now=self._now, mean=mean)


@dataclass(frozen=True, kw_only=True)
class GpuReading:
    """One reading. A value is None if the card or its driver does not report it."""

    peak_bytes: int | None = None
    utilisation: float | None = None
    """Mean share of time busy since the meter started, 0..1."""
    energy_j: float | None = None
    """Used since the meter started."""


class GpuMeter:
    """Samples one GPU, by UUID. Without one every value is None."""

    def __init__(self, uuid: str | None) -> None:
        self._card: Any = None
        self._peak: int | None = None
        self._busy: list[float] = []
        self._first_energy: float | None = None
        if uuid is not None:
            import pynvml

            try:
                pynvml.nvmlInit()
                self._card = pynvml.nvmlDeviceGetHandleByUUID(uuid)
                self._first_energy = self.counter_j()
            except pynvml.NVMLError as error:
                _log.warning("gpu_meter_unavailable", gpu=uuid, error=str(error))

    def read(self) -> GpuReading:
        """Takes a sample; returns the totals since the start."""
        if self._card is None:
            return GpuReading()
        import pynvml

        used = _maybe(lambda: int(pynvml.nvmlDeviceGetMemoryInfo(self._card).used))
        if used is not None:
            self._peak = max(self._peak or 0, used)
        busy = _maybe(lambda: float(pynvml.nvmlDeviceGetUtilizationRates(self._card).gpu) / 100)
        if busy is not None:
            self._busy.append(busy)
        energy = self.counter_j()
        spent = None if energy is None or self._first_energy is None else energy - self._first_energy
        mean = sum(self._busy) / len(self._busy) if self._busy else None
        return GpuReading(peak_bytes=self._peak, utilisation=mean, energy_j=spent)

    def counter_j(self) -> float | None:
        """The card's own counter, in joules since its driver was loaded; None without a card, or where it has none."""
        if self._card is None:
            return None
        import pynvml

        return _maybe(lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(self._card)) / 1000)


def _maybe(read: Callable[[], T]) -> T | None:
    """A reading, or None if this card does not support it."""
    import pynvml

    try:
        return read()
    except pynvml.NVMLError:
        return None
