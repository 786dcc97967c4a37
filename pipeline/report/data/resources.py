"""What a model used of its machine: load time, memory, GPU. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median_low
from types import MappingProxyType

from nightjar.jobs.models import SpeedProbe, ThreadUse
from nightjar.pipeline.report.data.model import ModelInput, Resources


def resources(model: ModelInput, reply_tokens: int) -> Resources:
    """The largest peak, the mean utilisation and the total energy over the workers that served the model.

    `reply_tokens`: of the replies that it committed in the run.
    """
    workers = model.workers
    energy_j = None if model.energy is None else model.energy.joules
    each_j = None if energy_j is None or not reply_tokens else 1000 * energy_j / reply_tokens
    values = {
        "load_s": _largest(load.load_s for load in model.loads),
        "process_peak_bytes": _largest(worker.process_peak_bytes for worker in workers),
        "gpu_peak_bytes": _largest(worker.gpu_peak_bytes for worker in workers),
        "gpu_utilisation": _mean(worker.gpu_utilisation for worker in workers),
        "gpu_energy_j": _total(worker.gpu_energy_j for worker in workers),
    }
    probes = [load.probe for load in model.loads] + [worker.probe for worker in workers]
    probe = max((probe for probe in probes if probe is not None), key=_when, default=None)
    threads = _together([worker.threads for worker in workers if worker.threads is not None])
    others = _largest(worker.others_cores for worker in workers)
    return Resources(
        load_s=values["load_s"],
        process_peak_bytes=_whole(values["process_peak_bytes"]),
        gpu_peak_bytes=_whole(values["gpu_peak_bytes"]),
        gpu_utilisation=values["gpu_utilisation"],
        gpu_energy_j=values["gpu_energy_j"],
        probe=probe,
        threads=threads,
        others_cores=others,
        energy_j=energy_j,
        energy_j_per_1000_tokens=each_j,
        reasons=_reasons(
            model,
            {
                **values,
                "probe": 1.0 if probe else None,
                "threads": 1.0 if threads else None,
                "others_cores": others,
                "energy_j": energy_j,
                "energy_j_per_1000_tokens": each_j,
            },
        ),
    )


def _when(probe: SpeedProbe) -> float:
    """To take the newest; among those without a date the first."""
    return probe.measured_at.timestamp() if probe.measured_at is not None else 0.0


def _together(uses: Sequence[ThreadUse]) -> ThreadUse | None:
    if not uses:
        return None
    return ThreadUse(
        used=median_low(use.used for use in uses),
        lowest=min(use.lowest for use in uses),
        highest=max(use.highest for use in uses),
    )


def _reasons(model: ModelInput, values: Mapping[str, float | None]) -> Mapping[str, str]:
    reasons = {name: _why(model, name) for name, value in values.items() if value is None}
    return MappingProxyType(reasons)


def _why(model: ModelInput, name: str) -> str:
    if not model.loads:
        return "no worker has loaded the model in this run"
    if name == "load_s":
        return "the worker did not measure it"
    if name == "threads":
        return "their number is fixed"
    if name == "probe":
        return "not measured yet on this machine; `--probe` measures it"
    if name in ("process_peak_bytes", "others_cores"):
        return "no record of the worker is left" if not model.workers else "the worker did not measure it"
    if all(load.offloaded_layers == 0 for load in model.loads):
        return "no GPU"
    if name.startswith("energy_j"):
        return "not measured: some card of this run does not tell what it uses, or a worker kept no account"
    return "not measured: NVML is not available" if model.workers else "no record of the worker is left"


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _total(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) if there else None


def _mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
