"""How busy other processes keep the cores that this one may use."""

from __future__ import annotations

import os
from time import monotonic, process_time
from typing import Any

from nightjar.config.hardware import usable_cores

LEAST_SPAN_S = 0.5
"""The kernel counts in hundredths of a second."""


class CpuMeter:
    """How many cores' worth of this process's cores other processes use, by the kernel's own accounts."""

    def __init__(self) -> None:
        self._last = self._read()

    def others(self) -> float | None:
        """Cores that others kept from this process since the last call; None where it cannot be known.

        Of a machine with more cores than this process may use, those do not count that are free for it.
        """
        now, before = self._read(), self._last
        self._last = now
        if now is None or before is None or now[0] - before[0] < LEAST_SPAN_S:
            return None
        span_s, busy_s, own_s = (later - earlier for later, earlier in zip(now, before, strict=True))
        cores = len(_cores())
        others = max(0.0, (busy_s - own_s) / span_s)
        return max(0.0, min(usable_cores(), others - (cores - usable_cores())))

    @staticmethod
    def _read() -> tuple[float, float, float] | None:
        """Now; seconds that these cores were busy; seconds that this process used. None where they are not told."""
        import psutil

        try:
            each = psutil.cpu_times(percpu=True)
            busy_s = sum(_busy_s(each[core]) for core in _cores())
        except (OSError, IndexError, NotImplementedError):
            return None
        return monotonic(), busy_s, process_time()


def _cores() -> list[int]:
    """Those that the process may be put on."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _busy_s(times: Any) -> float:
    """Time that was neither idle nor waiting for a disk, with what the host of a virtual machine took."""
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # also counted as user's
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - guests)


def waiting_for_cores() -> float:
    """How many threads of this machine computed or wanted to, on average over the last minute; 0 if it does not say.

    For a first guess, before a meter has run.
    """
    try:
        return os.getloadavg()[0]
    except OSError:
        return 0.0
