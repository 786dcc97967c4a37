"""The device a model runs on: what it is called and how much memory it has free."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from nightjar.config.hardware import memory_available


@dataclass(frozen=True, kw_only=True)
class Device:
    name: str
    """For people: "NVIDIA L4", "AMD EPYC"."""
    is_cpu: bool
    free_bytes: int
    id: str | None = None

    def described(self, threads: int) -> str:
        """As recorded: "NVIDIA L4 (GPU-1234)", "CPU: 8 threads, AMD EPYC"."""
        if self.is_cpu:
            return f"CPU: {threads} thread{'' if threads == 1 else 's'}, {self.name}"
        return f"{self.name} ({self.id})" if self.id else self.name


def this_device(gpu: str | None) -> Device:
    """The GPU this process was pinned to, or else the CPU. `gpu` "none" asks for the CPU."""
    if gpu != "none":
        from nightjar.workers.engine.llama.devices import gpus

        for device in gpus():
            return Device(name=device.description, is_cpu=False, free_bytes=device.free_bytes, id=gpu)
    return Device(name=_processor(), is_cpu=True, free_bytes=memory_available())


def driver_version() -> str | None:
    """Of the NVIDIA driver; None if there is none."""
    import pynvml

    try:
        pynvml.nvmlInit()
        version = pynvml.nvmlSystemGetDriverVersion()
    except pynvml.NVMLError:
        return None
    return f"NVIDIA {version.decode() if isinstance(version, bytes) else version}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
