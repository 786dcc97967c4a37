"""`/metrics` in Prometheus' text format: this process's live requests, every worker by its beat, and this machine."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from fastapi import Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from nightjar.jobs.machines.worker_documents import WorkerState
from nightjar.jobs.status.workers import alive_workers
from nightjar.pipeline.routing.savings import Savings
from nightjar.web.auth.roles import Action
from nightjar.web.routing import Route
from nightjar.web.savings import site_savings
from nightjar.web.site import site_of

_GAUGES = (
    ("num_requests_running", "Conversations in the model's slots.", "slots_used"),
    ("num_requests_waiting", "Requests that wait for a slot in the engine.", "waiting"),
    ("worker_slots", "Slots.", "slots"),
    ("worker_tokens_per_second", "Decoded over the last beats.", "tokens_per_s"),
    ("worker_turns_per_second", "Committed over the last two minutes.", "turns_per_s"),
    ("worker_memory_peak_bytes", "The process's, at its highest.", "process_peak_bytes"),
    ("gpu_memory_peak_bytes", "Of the GPU, at its highest.", "gpu_peak_bytes"),
    ("gpu_utilisation_ratio", "Mean share of the time since loading that the GPU was busy.", "gpu_utilisation"),
)
_COUNTERS = (
    ("worker_generation_tokens", "Decoded since it loaded its model, evaluations included.", "decode_tokens"),
    ("worker_prompt_tokens", "Prompt tokens computed since then.", "prefill_tokens"),
    ("worker_reused_tokens", "Prompt tokens taken from the cache since then.", "reused_tokens"),
    ("worker_wasted_tokens", "Generated for turns that were never committed.", "wasted_tokens"),
    ("gpu_energy_joules", "Used since it loaded its model.", "gpu_energy_j"),
)
_LABELS = ("worker", "host", "model_name", "device")


@dataclass(eq=False)
class PlacesCollector(Collector):
    """Workers as their beats have them, and the machine of this process. What is not known is left out."""

    workers: tuple[WorkerState, ...]
    folder: Path

    def collect(self) -> Iterator[Any]:
        for name, text, field in _GAUGES:
            yield _filled(GaugeMetricFamily(f"nightjar_{name}", text, labels=_LABELS), field, self.workers)
        for name, text, field in _COUNTERS:
            yield _filled(CounterMetricFamily(f"nightjar_{name}", text, labels=_LABELS), field, self.workers)
        memory = psutil.virtual_memory()
        yield GaugeMetricFamily("nightjar_host_memory_bytes", "Of this machine.", value=memory.total)
        yield GaugeMetricFamily("nightjar_host_memory_available_bytes", "Of that, free to use.", value=memory.available)
        with contextlib.suppress(OSError):
            yield from _disk(self.folder)


def _disk(folder: Path) -> Iterator[Any]:
    disk = shutil.disk_usage(folder)
    yield GaugeMetricFamily("nightjar_disk_bytes", "Where Nightjar's home is.", value=disk.total)
    yield GaugeMetricFamily("nightjar_disk_free_bytes", "Of that, free.", value=disk.free)


def _filled(family: Any, field: str, workers: Iterable[WorkerState]) -> Any:
    for worker in workers:
        value = getattr(worker, field)
        if value is not None:
            family.add_metric([worker.id, worker.host, worker.model, worker.device], value)
    return family


@dataclass(eq=False)
class SavingsCollector(Collector):
    """What was saved against the reference model; nothing where that is not known."""

    savings: Savings

    def collect(self) -> Iterator[Any]:
        text = "Saved against the reference model since this server started, with the bounds of 95 %."
        family = GaugeMetricFamily("nightjar_cost_savings_usd", text, labels=("bound",))
        for bound, value in (
            ("estimate", self.savings.saved_usd),
            ("low", self.savings.low_usd),
            ("high", self.savings.high_usd),
        ):
            if value is not None:
                family.add_metric([bound], value)
        yield family


async def metrics(request: Request) -> Response:
    """Everything, for a Prometheus whose token has the scope `metrics`."""
    site = site_of(request)
    workers = await alive_workers(site.database)
    places = CollectorRegistry()
    places.register(PlacesCollector(tuple(workers), site.settings.home))
    places.register(SavingsCollector(await site_savings(site)))
    text = generate_latest(site.meters.registry) + await asyncio.to_thread(generate_latest, places)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


ROUTES = (Route(method="GET", path="/metrics", action=Action.METRICS, answer=metrics, documented=True),)
