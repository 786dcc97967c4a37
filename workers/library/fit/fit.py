"""How a model fits a machine: layers on the GPU, context, slots, cache types, expected speed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from nightjar.config.errors import ModelFitError
from nightjar.config.load_settings import CacheType, LoadSettings
from nightjar.workers.library.fit.estimate import Memory, memory, memory_on_cpu, scoring_bytes
from nightjar.workers.library.gguf.shape import Shape

CPU_BANDWIDTH = 40e9
"""Bytes/s assumed for a machine's memory: two channels of DDR4/DDR5 in use."""
GPU_BANDWIDTH = 400e9
"""Bytes/s assumed for a GPU whose driver does not report it."""
EFFICIENCY = 0.6
"""Share of the peak bandwidth that decoding reaches."""
GPU_UBATCH, CPU_UBATCH = 512, 64
"""Tokens per micro-batch. llama.cpp lays its intermediate results out for a whole one, and on a CPU decodes slower from
a wider layout: 7 % with 256 than with 64, for prompts computed 5 % faster (docs/benchmarks.md)."""
MAX_SLOTS_GPU, MAX_SLOTS_CPU = 32, 8
DEFAULT_CONTEXT = 8192
SMALLEST_CONTEXT = 2048
"""Below this an automatic context is not shrunk: multi-turn sequences would not fit."""


class SpeedClass(StrEnum):
    """Tokens a second of one conversation while it is generated."""

    FAST = "fast"
    """40 and more."""
    FLUENT = "fluent"
    """10 to 40: faster than one reads."""
    SLOW = "slow"
    """2 to 10: for nightly runs."""
    CRAWL = "crawl"


@dataclass(frozen=True, kw_only=True)
class Room:
    """Memory to put a model in. Bytes and bytes/s; `gpu` 0: there is none."""

    host: int
    gpu: int = 0
    gpu_bandwidth: float | None = None
    host_bandwidth: float = CPU_BANDWIDTH


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Settings under which the model fits, and what they cost."""

    load: LoadSettings
    memory: Memory
    offloaded_layers: int
    """The output counted as one; 0: all on the CPU."""
    tokens_per_s: float
    speed: SpeedClass
    notes: tuple[str, ...] = ()
    """What had to be reduced from what was asked for."""


def fit(name: str, shape: Shape, room: Room, wanted: LoadSettings) -> Fit:
    """The largest settings that fit, tried in this order: all wanted; fewer slots; q8_0 caches; a shorter context;
    fewer layers on the GPU; the CPU alone. What `wanted` fixes stays as it is.

    Raises ModelFitError with the numbers and what would fit.
    """
    context = context_of(wanted.context, shape.context_train)
    for candidate in _candidates(shape, wanted, context, on_gpu=room.gpu > 0):
        fitting = _try(shape, room, candidate, wanted, context)
        if fitting is not None:
            return fitting
    smallest = _smallest(shape, wanted, context)
    raise ModelFitError(
        f"{name} is too large for this machine: with its smallest cache and {smallest[1]:,} tokens of context it "
        f"takes {smallest[0] / 1e9:.2f} GB (weights {shape.weights_bytes / 1e9:.2f} GB), and "
        f"{room.host * wanted.memory_share / 1e9:.2f} GB of memory"
        + (f" or {room.gpu * wanted.memory_share / 1e9:.2f} GB of GPU memory" if room.gpu else "")
        + f" may be used ({wanted.memory_share:.0%}). A smaller quantisation or model would fit: see "
        "`nightjar model recommend`."
    )


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    layers: int
    slots: int
    context: int
    cache_k: CacheType
    cache_v: CacheType


def _candidates(shape: Shape, wanted: LoadSettings, context: int, *, on_gpu: bool) -> list[_Candidate]:
    every = shape.layers + 1
    asked = every if wanted.gpu_layers < 0 else min(wanted.gpu_layers, every)
    layer_steps = [asked, *(asked * share // 8 for share in range(7, 0, -1))] if on_gpu else []
    contexts = [context] if wanted.context else _halvings(context)
    caches = _caches(wanted)
    tried: list[_Candidate] = []
    for layers in [*(step for step in layer_steps if step > 0), 0]:
        slots = _slot_steps(wanted, MAX_SLOTS_GPU if layers else MAX_SLOTS_CPU)
        ways = [(slot, caches[0], contexts[0]) for slot in slots]
        ways += [(slots[-1], cache, length) for length in contexts for cache in caches]
        tried += [
            _Candidate(layers=layers, slots=slot, context=length, cache_k=cache[0], cache_v=cache[1])
            for slot, cache, length in ways
        ]
    return tried


def _halvings(context: int) -> list[int]:
    lengths = [context]
    while lengths[-1] // 2 >= SMALLEST_CONTEXT:
        lengths.append(lengths[-1] // 2)
    return lengths


def _caches(wanted: LoadSettings) -> list[tuple[CacheType, CacheType]]:
    """The cache types to try; a quantised V needs flash attention, which `reproducible` turns off."""
    asked = (wanted.cache_type_k, wanted.cache_type_v)
    if asked != ("f16", "f16") or not wanted.flash_attention or wanted.reproducible:
        return [asked]
    return [asked, ("q8_0", "q8_0")]


def _slot_steps(wanted: LoadSettings, most: int) -> list[int]:
    if wanted.slots != "auto":
        return [wanted.slots]
    return [slots for slots in (32, 24, 16, 12, 8, 6, 4, 3, 2, 1) if slots <= most]


def _try(shape: Shape, room: Room, candidate: _Candidate, wanted: LoadSettings, context: int) -> Fit | None:
    needed = _memory(shape, candidate, wanted)
    later = _scoring(shape, candidate, wanted)
    if candidate.layers:
        on_gpu = needed.device + later <= room.gpu * wanted.memory_share
        fits = on_gpu and needed.host <= room.host * wanted.memory_share
    else:
        fits = needed.total + later <= room.host * wanted.memory_share
    if not fits:
        return None
    speed = expected_speed(shape, room, candidate.layers)
    return Fit(
        load=wanted.model_copy(
            update={
                "context": candidate.context,
                "slots": candidate.slots,
                "gpu_layers": -1 if candidate.layers > shape.layers else candidate.layers,
                "cache_type_k": candidate.cache_k,
                "cache_type_v": candidate.cache_v,
            }
        ),
        memory=needed,
        offloaded_layers=candidate.layers,
        tokens_per_s=speed,
        speed=speed_class(speed),
        notes=_notes(shape, room, candidate, wanted, context),
    )


def context_of(wanted: int | None, trained: int | None) -> int:
    """Tokens per slot: as set, else what the model was trained for, up to a usual size."""
    return wanted or min(trained or DEFAULT_CONTEXT, DEFAULT_CONTEXT)


def micro_batch(wanted: LoadSettings, *, on_gpu: bool, slots: int) -> int:
    """Tokens per micro-batch, with room for one of each slot: a step of decoding is one pass over the weights."""
    if wanted.n_ubatch != "auto":
        return wanted.n_ubatch
    return max(GPU_UBATCH if on_gpu else CPU_UBATCH, slots)


def _memory(shape: Shape, candidate: _Candidate, wanted: LoadSettings) -> Memory:
    on_gpu = candidate.layers > 0
    n_ubatch = micro_batch(wanted, on_gpu=on_gpu, slots=candidate.slots)
    if not on_gpu:
        return memory_on_cpu(
            shape,
            context=candidate.context,
            slots=candidate.slots,
            n_ubatch=n_ubatch,
            k=candidate.cache_k,
            v=candidate.cache_v,
            flash_attention=wanted.flash_attention,
        )
    return memory(
        shape,
        context=candidate.context,
        slots=candidate.slots,
        n_ubatch=n_ubatch,
        gpu_layers=candidate.layers,
        k=candidate.cache_k,
        v=candidate.cache_v,
        flash_attention=wanted.flash_attention,
        offload_kv=wanted.offload_kv,
    )


def _scoring(shape: Shape, candidate: _Candidate, wanted: LoadSettings) -> int:
    """Bytes of the context for texts to score. It is made when there are some, so a model whose slots are set, or that
    has room for one alone, is not refused for it."""
    if wanted.slots != "auto" or candidate.slots == 1:
        return 0
    return scoring_bytes(
        shape,
        context=candidate.context,
        n_ubatch=micro_batch(wanted, on_gpu=candidate.layers > 0, slots=candidate.slots),
        k=candidate.cache_k,
        v=candidate.cache_v,
        flash_attention=wanted.flash_attention and (candidate.layers > 0 or candidate.cache_v != "f16"),
    )


def _notes(shape: Shape, room: Room, candidate: _Candidate, wanted: LoadSettings, context: int) -> tuple[str, ...]:
    notes = []
    if (
        room.gpu
        and candidate.layers <= shape.layers
        and (wanted.gpu_layers < 0 or candidate.layers < wanted.gpu_layers)
    ):
        notes.append(f"{candidate.layers} of {shape.layers + 1} layers on the GPU")
    if candidate.context < context:
        notes.append(f"context {candidate.context:,} instead of {context:,} tokens")
    if candidate.cache_k != wanted.cache_type_k:
        notes.append(f"{candidate.cache_k} cache instead of {wanted.cache_type_k}")
    return tuple(notes)


def _smallest(shape: Shape, wanted: LoadSettings, context: int) -> tuple[int, int]:
    """Bytes and context of the smallest candidate there is."""
    last = _candidates(shape, wanted, context, on_gpu=False)[-1]
    return _memory(shape, last, wanted).total, last.context


def expected_speed(shape: Shape, room: Room, offloaded_layers: int) -> float:
    """Tokens/s of one conversation: decoding reads every active weight once a token, so bandwidth bounds it."""
    share = min(offloaded_layers / (shape.layers + 1), 1.0)
    active = sum(shape.layer_bytes) * shape.active_share + shape.output_bytes
    active += shape.input_bytes if shape.tied else 0
    gpu_bandwidth = room.gpu_bandwidth or GPU_BANDWIDTH
    seconds = active * share / gpu_bandwidth + active * (1 - share) / room.host_bandwidth
    return EFFICIENCY / seconds if seconds > 0 else float("inf")


def speed_class(tokens_per_s: float) -> SpeedClass:
    for least, name in ((40, SpeedClass.FAST), (10, SpeedClass.FLUENT), (2, SpeedClass.SLOW)):
        if tokens_per_s >= least:
            return name
    return SpeedClass.CRAWL
