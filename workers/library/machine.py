"""How this machine stands now: memory, disk, and what its NVIDIA cards say of themselves."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

import psutil

from nightjar.jobs.machines.machine_documents import CardReading

T = TypeVar("T")


def read_machine(folder: Path) -> dict[str, Any]:
    """Fields of a `MachineReading`. `folder`: whose disk is meant. What is not known is None."""
    memory = psutil.virtual_memory()
    fields: dict[str, Any] = {"memory_bytes": memory.total, "memory_used_bytes": memory.total - memory.available}
    with contextlib.suppress(OSError):
        disk = shutil.disk_usage(folder)
        fields |= {"disk_bytes": disk.total, "disk_used_bytes": disk.total - disk.free}
    return fields | {"gpus": [card.model_dump() for card in _read_gpus()]}


def _read_gpus() -> list[CardReading]:
    """None where there is no card, or no driver that says anything."""
    import pynvml

    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError:
        return []
    found = [_maybe(partial(_read_gpu, number)) for number in range(count)]
    return [card for card in found if card is not None]


def _read_gpu(number: int) -> CardReading:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(number)
    name = pynvml.nvmlDeviceGetName(handle)
    memory = _maybe(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
    return CardReading(
        index=str(number),
        name=name if isinstance(name, str) else name.decode("utf-8", "replace"),
        use=_maybe(lambda: float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100),
        memory_bytes=None if memory is None else int(memory.total),
        memory_used_bytes=None if memory is None else int(memory.used),
        temperature_c=_maybe(lambda: float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))),
        power_w=_maybe(lambda: float(pynvml.nvmlDeviceGetPowerUsage(handle)) / 1000),
    )


def _maybe(read: Callable[[], T]) -> T | None:
    import pynvml

    try:
        return read()
    except pynvml.NVMLError:
        return None


def minute_so_far(readings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of one minute's readings: the newest, with the means of what moves quickly. Pure."""
    newest = readings[-1]
    return newest | {"gpus": [gpu | _means(gpu["index"], readings) for gpu in newest["gpus"]]}


def _means(index: str, readings: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    cards = [gpu for reading in readings for gpu in reading["gpus"] if gpu["index"] == index]
    known = {name: [card[name] for card in cards if card[name] is not None] for name in ("use", "power_w")}
    return {name: fmean(values) if values else None for name, values in known.items()}
