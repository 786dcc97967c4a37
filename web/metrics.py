"""`/metrics` in Prometheus' text format: this process's live requests, workers by their beats, machines and cards."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
from fastapi import Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from nightjar.jobs.machines.machine_documents import MachineReading
from nightjar.jobs.machines.machine_readings import newest_readings
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
_CARD_GAUGES = (
    ("gpu_use_ratio", "Share of the time in which the GPU computed, over the minute so far.", "use"),
    ("gpu_memory_bytes", "Of the GPU.", "memory_bytes"),
    ("gpu_memory_used_bytes", "Of that, in use by whatever process.", "memory_used_bytes"),
    ("gpu_temperature_celsius", "Of the GPU.", "temperature_c"),
    ("gpu_power_watts", "Drawn by the GPU, over the minute so far.", "power_w"),
)
_CARD_LABELS = ("host", "gpu", "name")
_MACHINE_GAUGES = (
    ("machine_memory_bytes", "Of the machine.", "memory_bytes"),
    ("machine_memory_used_bytes", "Of that, in use.", "memory_used_bytes"),
    ("machine_disk_bytes", "Where the home of whoever looked is.", "disk_bytes"),
    ("machine_disk_used_bytes", "Of that, in use.", "disk_used_bytes"),
)
READ_LATELY = timedelta(minutes=3)
"""Machines are looked at several times a minute; what nobody has looked at for so long is not known."""


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
    named = ((worker, (worker.id, worker.host, worker.model, worker.device)) for worker in workers)
    return _known(family, ((labels, getattr(worker, field)) for worker, labels in named))


@dataclass(eq=False)
class MachinesCollector(Collector):
    """Every machine that a worker or a server looks at, and its cards. What is not known is left out."""

    readings: Sequence[MachineReading]

    def collect(self) -> Iterator[Any]:
        for name, text, field in _MACHINE_GAUGES:
            family = GaugeMetricFamily(f"nightjar_{name}", text, labels=("host",))
            yield _known(family, (((reading.host,), getattr(reading, field)) for reading in self.readings))
        cards = [((each.host, card.index, card.name), card) for each in self.readings for card in each.gpus]
        for name, text, field in _CARD_GAUGES:
            family = GaugeMetricFamily(f"nightjar_{name}", text, labels=_CARD_LABELS)
            yield _known(family, ((labels, getattr(card, field)) for labels, card in cards))


def _known(family: Any, values: Iterable[tuple[tuple[str, ...], float | None]]) -> Any:
    for labels, value in values:
        if value is not None:
            family.add_metric(labels, value)
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
    places.register(MachinesCollector(await newest_readings(READ_LATELY, site.database)))
    places.register(SavingsCollector(await site_savings(site)))
    text = generate_latest(site.meters.registry) + await asyncio.to_thread(generate_latest, places)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


ROUTES = (Route(method="GET", path="/metrics", action=Action.METRICS, answer=metrics, documented=True),)
