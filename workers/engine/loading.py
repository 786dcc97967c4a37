"""From settings to a running engine: resolves every "auto" for this machine, checks memory, loads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from nightjar.config.cpu_meter import CpuMeter, waiting_for_cores
from nightjar.config.errors import ModelError
from nightjar.config.hardware import usable_cores
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.models import LoadFacts, ModelFacts, ModelKind
from nightjar.workers.engine.device import Device, driver_version, this_device
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.load_progress import LoadProgress
from nightjar.workers.engine.memory import Budget, check_fit, fitting_slots
from nightjar.workers.engine.thread_tuner import ThreadTuner
from nightjar.workers.library.fit.estimate import memory, memory_on_cpu, scoring_bytes
from nightjar.workers.library.fit.fit import MAX_SLOTS_CPU, MAX_SLOTS_GPU, context_of, micro_batch
from nightjar.workers.library.gguf.shape import Shape, shape_of
from nightjar.workers.library.inspect import check_context, inspect_file, read_facts

if TYPE_CHECKING:
    from nightjar.workers.engine.llama.backend import LlamaBackend
    from nightjar.workers.engine.llama.context import ContextSettings
    from nightjar.workers.engine.llama.model import LlamaModel

log = structlog.get_logger()

PARAMETERS_PER_THREAD = 10_000_000
COPY_COST = 20.0
"""Computing a token costs about as much per parameter as copying this many bytes of cache (see docs/benchmarks.md)."""
BATCH = 2048


@dataclass(frozen=True, kw_only=True)
class LoadRequest:
    """What is loaded, and how. See `load`."""

    path: Path
    settings: LoadSettings
    facts: ModelFacts
    gpu: str | None
    adapters: tuple[tuple[Path, float], ...]
    auto_slots: int | None
    progress: LoadProgress


async def load(
    path: Path,
    *,
    settings: LoadSettings | None = None,
    facts: ModelFacts | None = None,
    gpu: str | None = None,
    adapters: Sequence[tuple[Path, float]] = (),
    auto_slots: int | None = None,
    progress: LoadProgress | None = None,
) -> BatchEngine:
    """Loads a model with its LoRA adapters, in a thread; `async with await load(path) as engine` closes it again.

    `facts` None reads them from the file and names the model after it. `gpu` "none" means the CPU alone. `auto_slots`:
    how many `slots = auto` means on a CPU, at most, where that was measured. `progress` is told how far it is.

    Cancelled, it gives up as soon as llama.cpp asks. Raises ModelFileError (not a usable file), ModelFitError (too
    large, with the numbers), ModelError.
    """
    known = await asyncio.to_thread(read_facts, path, path.stem) if facts is None else facts
    asked = LoadRequest(
        path=path,
        settings=settings or LoadSettings(),
        facts=known,
        gpu=gpu,
        adapters=tuple(adapters),
        auto_slots=auto_slots,
        progress=progress or LoadProgress(),
    )
    try:
        engine = await asyncio.to_thread(_open, asked)
    except asyncio.CancelledError:
        asked.progress.give_up()
        raise
    log.info("model_loaded", model=known.name, **engine.load.model_dump(exclude={"probe"}, exclude_none=True))
    return engine


def _open(asked: LoadRequest) -> BatchEngine:
    """Loads in the calling thread, adapters at their scales. Raises ModelFileError, ModelFitError, ModelError."""
    from nightjar.workers.engine.grammar.matcher import GRAMMAR_ENGINE
    from nightjar.workers.engine.llama.backend import LlamaBackend
    from nightjar.workers.engine.llama.library import BINDING, BUILD
    from nightjar.workers.engine.llama.model import LlamaModel
    from nightjar.workers.engine.together import together_rate

    began, meter = time.monotonic(), CpuMeter()
    path, settings, facts = asked.path, asked.settings, asked.facts
    _refuse_untrained_positions(settings, facts)
    device = this_device(asked.gpu)
    resolved, kv_bytes = resolve_load(path, settings, facts, device, auto_slots=asked.auto_slots)
    layers = 0 if device.is_cpu else settings.gpu_layers
    model = LlamaModel(
        path,
        gpu_layers=layers,
        mmap=settings.mmap,
        mlock=settings.mlock,
        progress=asked.progress.step,
        grammars=facts.kind is not ModelKind.EMBEDDING,
    )
    try:
        for adapter, scale in asked.adapters:
            model.add_adapter(adapter, scale)
        backend = LlamaBackend(model, resolved)
        load_s = time.monotonic() - began
        if settings.reproducible:
            _make_reproducible(backend, resolved.n_ubatch, asked.progress)
    except BaseException:
        model.close()
        raise
    load = LoadFacts(
        device=device.described(resolved.threads),
        device_id=device.id,
        driver=None if device.is_cpu else driver_version(),
        offloaded_layers=0 if device.is_cpu else (model.layers + 1 if layers < 0 else min(layers, model.layers + 1)),
        context=resolved.context,
        slots=resolved.slots,
        n_batch=resolved.n_batch,
        n_ubatch=resolved.n_ubatch,
        threads=resolved.threads,
        flash_attention=backend.flash_attention,
        cache_type_k=resolved.cache_type_k,
        cache_type_v=resolved.cache_type_v,
        llama_cpp_build=BUILD,
        llama_cpp_python=BINDING,
        load_s=load_s,
        grammar_engine=GRAMMAR_ENGINE,
        kv_bytes=kv_bytes,
        reproducible=settings.reproducible,
        reproducible_alone=backend.limits.alone,
    )
    alone = backend.limits.alone
    exact = settings.reproducible and not resolved.embeddings
    tuner = _tuner(settings, resolved, device, meter)
    if tuner is not None:
        backend.set_threads(tuner.count)
    return BatchEngine(
        backend,
        facts=facts,
        load=load,
        chat_template=model.chat_template,
        bos_text=model.tokenizer.bos_text,
        eos_text=model.tokenizer.eos_text,
        tuner=tuner,
        together=None if resolved.embeddings else partial(together_rate, model, resolved, alone=alone),
        cost=partial(_cost, model, resolved, settings.flash_attention, alone) if exact else None,
    )


def _tuner(settings: LoadSettings, resolved: ContextSettings, device: Device, meter: CpuMeter) -> ThreadTuner | None:
    """None where the number of threads is set, or fixed by `reproducible`: nothing may depend on what else runs.

    It begins with the cores that others left since the `meter` was made, or in the last minute where that is too short:
    beside others' work all cores can take seconds for the first piece of a prompt.
    """
    follows = settings.threads == "auto" and device.is_cpu and not settings.reproducible and resolved.threads > 1
    if not follows or resolved.embeddings:
        return None

    def free() -> float | None:
        return None if (others := meter.others()) is None else usable_cores() - others

    left = usable_cores() - waiting_for_cores() if (measured := free()) is None else measured
    return ThreadTuner(resolved.threads, min(resolved.threads, max(1, round(left))), free)


def _refuse_untrained_positions(settings: LoadSettings, facts: ModelFacts) -> None:
    trained = facts.file_facts.context_train
    if trained and (settings.context or 0) > trained:
        raise ModelError(
            f"`context` is {settings.context:,}, and {facts.name} was made for {trained:,} tokens: positions beyond "
            f"them mean nothing to it. Set `context` to {trained:,} at most, or leave it out."
        )


def _make_reproducible(backend: LlamaBackend, micro_batch: int, progress: LoadProgress) -> None:
    """Probes the device and restricts the backend as it needs. What fails, or is given up, frees it."""
    from nightjar.workers.engine.reproducible import logit_differences

    progress.abort = backend.abort
    try:
        deviations = logit_differences(backend, micro_batch, progress)
    except BaseException:
        progress.abort = None
        backend.free()
        raise
    progress.abort = None
    backend.limits = replace(backend.limits, fixed_pieces=micro_batch)
    if deviations:
        backend.limits = replace(backend.limits, alone=True, can_copy=False, can_trim=False)
    log.info("reproducible", differences=deviations, one_conversation_per_decode=bool(deviations))


def _cost(
    model: LlamaModel, resolved: ContextSettings, flash_attention: bool, alone: bool, limit_s: float
) -> float | None:
    from nightjar.workers.engine.together import reproducible_cost

    return reproducible_cost(model, resolved, flash_attention=flash_attention, alone=alone, limit_s=limit_s)


def resolve_load(
    path: Path, settings: LoadSettings, facts: ModelFacts, device: Device, *, auto_slots: int | None = None
) -> tuple[ContextSettings, int | None]:
    """Every "auto" decided, and the bytes of the KV cache where they can be known. Raises ModelFitError, ModelError."""
    from nightjar.workers.engine.llama.context import ContextSettings

    inspection = inspect_file(path)
    context = context_of(settings.context, facts.file_facts.context_train)
    check_context(inspection, context)
    flash_attention = settings.flash_attention and not settings.reproducible
    if settings.cache_type_v != "f16" and not flash_attention:
        raise ModelError(
            f"`cache_type_v` is {settings.cache_type_v}, which needs flash attention, and that is off"
            f"{' under `reproducible`' if settings.flash_attention else ''}. Set `cache_type_v` to f16."
        )
    n_batch = BATCH if settings.n_batch == "auto" else settings.n_batch
    wanted_slots = 1 if settings.slots == "auto" else settings.slots  # auto takes fewer than a micro-batch has tokens
    n_ubatch = micro_batch(settings, on_gpu=not device.is_cpu, slots=wanted_slots)
    if facts.kind is ModelKind.EMBEDDING:  # a text is attended to as a whole
        n_batch = n_ubatch = max(n_batch, context)
    n_ubatch = min(n_ubatch, n_batch)
    budget = load_budget(shape_of(inspection.metadata), settings, device, context, n_ubatch, flash_attention)
    if facts.kind is ModelKind.EMBEDDING:
        budget = replace(budget, scoring=0)
    if settings.slots == "auto":
        slots = fitting_slots(budget, (auto_slots or MAX_SLOTS_CPU) if device.is_cpu else MAX_SLOTS_GPU)
    else:
        slots = settings.slots
        check_fit(budget, slots)
    n_batch = max(n_batch, 2 * slots)
    if facts.kind is ModelKind.EMBEDDING:  # llama.cpp aborts the process where the slots do not divide the batch
        n_batch = n_ubatch = -(-n_batch // slots) * slots
    resolved = ContextSettings(
        context=context,
        slots=slots,
        n_batch=n_batch,
        n_ubatch=n_ubatch,
        threads=_useful_threads(facts) if settings.threads == "auto" else settings.threads,
        flash_attention=flash_attention,
        offload_kv=settings.offload_kv and not device.is_cpu,
        cache_type_k=settings.cache_type_k,
        cache_type_v=settings.cache_type_v,
        embeddings=facts.kind is ModelKind.EMBEDDING,
        min_copy=_least_copied(budget.per_slot, facts.file_facts.parameters),
    )
    return resolved, slots * budget.per_slot


def load_budget(
    shape: Shape, settings: LoadSettings, device: Device, context: int, n_ubatch: int, flash_attention: bool
) -> Budget:
    """What a model of this shape takes on the device, and what is free there."""

    def taken(slots: int) -> int:
        if device.is_cpu:
            return memory_on_cpu(
                shape,
                context=context,
                slots=slots,
                n_ubatch=n_ubatch,
                k=settings.cache_type_k,
                v=settings.cache_type_v,
                flash_attention=flash_attention,
            ).total
        return memory(
            shape,
            context=context,
            slots=slots,
            n_ubatch=n_ubatch,
            gpu_layers="all" if settings.gpu_layers < 0 else settings.gpu_layers,
            k=settings.cache_type_k,
            v=settings.cache_type_v,
            flash_attention=flash_attention,
            offload_kv=settings.offload_kv,
        ).device

    fixed = taken(0)
    return Budget(
        device=device.name,
        free=device.free_bytes,
        share=settings.memory_share,
        fixed=fixed,
        per_slot=taken(1) - fixed,
        scoring=scoring_bytes(
            shape,
            context=context,
            n_ubatch=n_ubatch,
            k=settings.cache_type_k,
            v=settings.cache_type_v,
            flash_attention=flash_attention and not (device.is_cpu and settings.cache_type_v == "f16"),
        ),
    )


def _useful_threads(facts: ModelFacts) -> int:
    """The cores this process may use, but no more than a small model's layers can keep busy between two barriers."""
    return max(1, min(usable_cores(), facts.file_facts.parameters // PARAMETERS_PER_THREAD))


def _least_copied(slot_bytes: int, parameters: int) -> int:
    """Shared tokens from which a copy pays: it moves a slot's whole cache, while computing them reads the weights."""
    return min(256, max(4, round(COPY_COST * slot_bytes / max(parameters, 1))))
