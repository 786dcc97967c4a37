"""What this machine offers to models: GPUs (NVML or Metal), and the memory and cores this process may use."""

from __future__ import annotations

import importlib
import platform
from dataclasses import dataclass
from typing import Any

import structlog

from nightjar.config.hardware import memory_available, memory_limit, usable_cores
from nightjar.workers.library.fit.fit import Room

METAL_SHARE = 0.7
"""Share of an Apple machine's memory that Metal lets one process hold."""
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A device that can hold a model. Bytes; bandwidth in bytes/s, None if the driver does not say."""

    index: int
    uuid: str
    name: str
    memory: int
    free: int
    bandwidth: float | None = None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What can be used of this machine now. Bytes."""

    memory: int
    available: int
    cores: int
    gpus: tuple[Gpu, ...] = ()
    metal: bool = False
    """The GPU shares the machine's memory."""

    @property
    def best_gpu(self) -> Gpu | None:
        """The one with the most free memory."""
        return max(self.gpus, key=lambda gpu: gpu.free, default=None)


def room_of(machine: Machine) -> Room:
    """Memory for a model on this machine: its GPU with the most free memory, and the host's."""
    gpu = machine.best_gpu
    if gpu is None:
        return Room(host=machine.available)
    return Room(host=machine.available, gpu=gpu.free, gpu_bandwidth=gpu.bandwidth)


def this_machine(nvml: Any = None) -> Machine:
    """Detects the machine. `nvml` stands in for `pynvml` in tests."""
    metal = platform.system() == "Darwin" and platform.machine() == "arm64"
    gpus = nvidia_gpus(nvml)
    if metal and not gpus:
        memory = int(memory_limit() * METAL_SHARE)
        free = min(memory, memory_available())
        gpus = (Gpu(index=0, uuid="metal", name=f"Metal: {platform.processor()}", memory=memory, free=free),)
    return Machine(memory=memory_limit(), available=memory_available(), cores=usable_cores(), gpus=gpus, metal=metal)


def nvidia_gpus(nvml: Any = None) -> tuple[Gpu, ...]:
    """The NVIDIA GPUs that the driver shows; none without a driver. A broken card does not hide the others."""
    nvml = nvml or importlib.import_module("pynvml")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        _log.debug("nvml_absent", reason=str(error))
        return ()
    try:
        cards = [_gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
    finally:
        nvml.nvmlShutdown()
    return tuple(gpu for gpu in cards if gpu is not None)


def _gpu(nvml: Any, index: int) -> Gpu | None:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        return Gpu(
            index=index,
            uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
            name=_text(nvml.nvmlDeviceGetName(handle)),
            memory=int(memory.total),
            free=int(memory.free),
            bandwidth=_bandwidth(nvml, handle),
        )
    except nvml.NVMLError as error:
        _log.warning("gpu_unreadable", index=index, reason=str(error))
        return None


def _bandwidth(nvml: Any, handle: Any) -> float | None:
    """Peak memory bandwidth: bus width x clock x two transfers a clock."""
    try:
        bits = nvml.nvmlDeviceGetMemoryBusWidth(handle)
        megahertz = nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_MEM)
    except (nvml.NVMLError, AttributeError):
        return None
    return bits / 8 * megahertz * 1e6 * 2 if bits and megahertz else None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
