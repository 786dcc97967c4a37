"""The loads that are compared: checked from their files, opened for reading logits, and whether two fit at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nightjar.config.errors import UsageError
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.fidelity import LoadedSide
from nightjar.jobs.models import LoadFacts, ModelFacts, ModelKind
from nightjar.workers.engine.device import Device, driver_version
from nightjar.workers.engine.load_progress import LoadProgress
from nightjar.workers.engine.loading import load_budget, resolve_load
from nightjar.workers.fidelity.measure import ROWS_BYTES, rows_at_a_time
from nightjar.workers.fidelity.vocabularies import vocabulary_difference
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.library.fit.estimate import kv_bytes_per_token
from nightjar.workers.library.gguf.shape import shape_of
from nightjar.workers.library.inspect import inspect_file

if TYPE_CHECKING:
    from nightjar.workers.engine.llama.context import ContextSettings
    from nightjar.workers.engine.llama.logits import LogitsContext

SCRATCH_BYTES = 2**27
"""What reducing rows takes beside the rows themselves."""


@dataclass(frozen=True, kw_only=True)
class FidelityLoad:
    """A model, and how it is loaded: `entry` holds both."""

    label: str
    entry: ModelEntry
    facts: ModelFacts


@dataclass(frozen=True, kw_only=True)
class OpenLoad:
    """A load in memory."""

    side: LoadedSide
    context: LogitsContext


def check_kinds(loads: Sequence[FidelityLoad]) -> None:
    """Raises UsageError for a model that gives no distribution over tokens."""
    for load in loads:
        if load.facts.kind is ModelKind.EMBEDDING:
            raise UsageError(
                f"{load.label} is an embedding model: it makes vectors of texts and foretells no token, so there is "
                "nothing to compare. Name a chat or base model; `nightjar model list` shows the kinds."
            )


def check_vocabularies(
    reference: FidelityLoad, candidates: Sequence[FidelityLoad], entries: Mapping[str, Sequence[bytes]]
) -> None:
    """Raises UsageError for a candidate of another vocabulary. `entries`: by label."""
    for candidate in candidates:
        difference = vocabulary_difference(entries[reference.label], entries[candidate.label])
        if difference is not None:
            raise UsageError(
                f"{candidate.label} has another vocabulary than {reference.label}: {difference}. Distributions over "
                "different tokens cannot be compared; name loads of one model, or models of one family."
            )


def longest_context(loads: Sequence[FidelityLoad]) -> int | None:
    """The most tokens that all of them were made for; None where no file says."""
    trained = [load.facts.file_facts.context_train for load in loads]
    return min((tokens for tokens in trained if tokens), default=None)


def fit_together(reference: FidelityLoad, candidate: FidelityLoad, context: int, device: Device) -> bool:
    """Whether both, with the rows that are held, fit the device's free memory at once, by the files' own sizes."""
    budgets = [
        load_budget(
            shape_of(inspect_file(load.entry.path).metadata),
            (settings := _wanted(load, context)),
            device,
            context,
            settings.n_ubatch if isinstance(settings.n_ubatch, int) else rows_at_a_time(_vocabulary(load)),
            settings.flash_attention and not settings.reproducible,
        )
        for load in (reference, candidate)
    ]
    rows = 2 * ROWS_BYTES + SCRATCH_BYTES if device.is_cpu else 0
    needed = sum(budget.fixed + budget.per_slot for budget in budgets) + rows
    return needed <= min(budget.usable for budget in budgets)


@contextmanager
def opened(load: FidelityLoad, context: int, device: Device, progress: LoadProgress) -> Iterator[OpenLoad]:
    """Loads the model for passages of at most `context` tokens, with its adapters, and frees it again.

    Raises ModelFileError, ModelFitError, ModelError.
    """
    from nightjar.workers.engine.llama.logits import LogitsContext
    from nightjar.workers.engine.llama.model import LlamaModel

    began = time.monotonic()
    settings = _wanted(load, context)
    resolved, kv_bytes = resolve_load(load.entry.path, settings, load.facts, device)
    most = rows_at_a_time(_vocabulary(load))
    resolved = replace(resolved, n_batch=most, n_ubatch=min(resolved.n_ubatch, most))
    layers = 0 if device.is_cpu else settings.gpu_layers
    model = LlamaModel(
        load.entry.path, gpu_layers=layers, mmap=settings.mmap, mlock=settings.mlock, progress=progress.step
    )
    try:
        for adapter, scale in load.entry.adapters:
            model.add_adapter(adapter, scale)
        reader = LogitsContext(model, resolved)
        try:
            offloaded = 0 if device.is_cpu else (model.layers + 1 if layers < 0 else min(layers, model.layers + 1))
            facts = _load_facts(resolved, device, offloaded, kv_bytes, reader, time.monotonic() - began)
            shape = shape_of(inspect_file(load.entry.path).metadata)
            cache = 1000 * kv_bytes_per_token(shape, settings.cache_type_k, settings.cache_type_v)
            side = LoadedSide(label=load.label, facts=load.facts, load=facts, cache_bytes=cache)
            yield OpenLoad(side=side, context=reader)
        finally:
            reader.close()
    finally:
        model.close()


def _wanted(load: FidelityLoad, context: int) -> LoadSettings:
    return load.entry.load.model_copy(update={"context": context, "slots": 1})


def _vocabulary(load: FidelityLoad) -> int:
    return max(1, load.facts.file_facts.vocabulary)


def _load_facts(
    resolved: ContextSettings,
    device: Device,
    offloaded: int,
    kv_bytes: int | None,
    reader: LogitsContext,
    load_s: float,
) -> LoadFacts:
    from nightjar.workers.engine.llama.library import BINDING, BUILD

    return LoadFacts(
        device=device.described(resolved.threads),
        device_id=device.id,
        driver=None if device.is_cpu else driver_version(),
        offloaded_layers=offloaded,
        context=resolved.context,
        slots=1,
        n_batch=resolved.n_batch,
        n_ubatch=resolved.n_ubatch,
        threads=resolved.threads,
        flash_attention=reader.flash_attention,
        cache_type_k=resolved.cache_type_k,
        cache_type_v=resolved.cache_type_v,
        llama_cpp_build=BUILD,
        llama_cpp_python=BINDING,
        load_s=load_s,
        kv_bytes=kv_bytes,
    )
