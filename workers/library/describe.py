"""Everything about one model: its facts, load settings and memory, and how it would be loaded here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from nightjar.config.errors import ModelFitError
from nightjar.jobs.models import flat_facts
from nightjar.workers.library.fit.estimate import kv_bytes, kv_bytes_per_token
from nightjar.workers.library.fit.fit import CPU_UBATCH, context_of, fit
from nightjar.workers.library.fit.hardware import room_of, this_machine
from nightjar.workers.library.gguf.shape import shape_of
from nightjar.workers.library.inspect import entry_facts, inspect_file

if TYPE_CHECKING:
    from nightjar.config.load_settings import LoadSettings
    from nightjar.workers.library.find import ModelEntry
    from nightjar.workers.library.gguf.shape import Shape


@dataclass(frozen=True, kw_only=True)
class AdapterView:
    """A LoRA adapter that is applied to the model."""

    path: str
    scale: float


@dataclass(frozen=True, kw_only=True)
class MemoryView:
    """The memory a model takes, from its own numbers and its entry's cache types."""

    weights_bytes: int
    kv_bytes_per_1000_tokens: int
    kv_bytes_per_slot: int
    cache_type_k: str
    cache_type_v: str


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How the model would be loaded on this machine now."""

    fits: Literal[True] = True
    offloaded_layers: int
    context: int | None
    slots: int | Literal["auto"]
    cache_type_k: str
    memory_bytes: int
    tokens_per_s: float
    speed: str
    compromises: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NotFitting:
    """Why the model cannot be loaded on this machine now."""

    fits: Literal[False] = False
    reason: str


@dataclass(frozen=True, kw_only=True)
class ModelDetail:
    """A model's facts (see `jobs.models.ModelFacts`), and what they mean on this machine."""

    name: str
    digest: str
    file_name: str
    file_bytes: int
    kind: str
    architecture: str
    parameters: int
    quantisation: str
    vocabulary: int
    context_train: int
    layers: int
    template_digest: str | None
    licence: str | None
    sampling_defaults: dict[str, Any]
    registry_parameters: dict[str, Any]
    adapters: tuple[AdapterView, ...]
    path: str
    context: int
    """Tokens per conversation."""
    embedding_width: int
    load: LoadSettings
    template_source: str | None
    """"registry" or "file"; None for a model without a chat template."""
    reasoning: tuple[str, str] | None
    tags: tuple[str, ...]
    memory: MemoryView
    fit: Fitting | NotFitting


def describe(entry: ModelEntry, kept_bytes: int = 0) -> ModelDetail:
    """Reads the model's file, hashing it the first time. `kept_bytes`: of the host's memory, for others.

    Raises ModelFileError.
    """
    facts = entry_facts(entry)
    shape = shape_of(inspect_file(entry.path).metadata)
    context = context_of(entry.load.context, facts.file_facts.context_train)
    return ModelDetail(
        **{name: value for name, value in flat_facts(facts).items() if name != "adapters"},
        adapters=tuple(AdapterView(path=str(path), scale=scale) for path, scale in entry.adapters),
        path=str(entry.path),
        context=context,
        embedding_width=shape.width,
        load=entry.load,
        template_source="registry" if entry.template else "file" if facts.template_digest else None,
        reasoning=entry.reasoning,
        tags=entry.tags,
        memory=_memory(entry, shape, context),
        fit=_fit(entry, shape, kept_bytes),
    )


def _memory(entry: ModelEntry, shape: Shape, context: int) -> MemoryView:
    caches = {"k": entry.load.cache_type_k, "v": entry.load.cache_type_v}
    return MemoryView(
        weights_bytes=shape.weights_bytes,
        kv_bytes_per_1000_tokens=1000 * kv_bytes_per_token(shape, **caches),
        kv_bytes_per_slot=kv_bytes(shape, context=context, slots=1, n_ubatch=CPU_UBATCH, **caches),
        cache_type_k=entry.load.cache_type_k,
        cache_type_v=entry.load.cache_type_v,
    )


def fitting(entry: ModelEntry) -> Fitting | NotFitting:
    """How the model fits this machine, by the header of its file alone: nothing is hashed. Raises ModelFileError."""
    return _fit(entry, shape_of(inspect_file(entry.path).metadata), 0)


def _fit(entry: ModelEntry, shape: Shape, kept_bytes: int) -> Fitting | NotFitting:
    room = room_of(this_machine())
    try:
        fitted = fit(entry.name, shape, replace(room, host=max(0, room.host - kept_bytes)), entry.load)
    except ModelFitError as error:
        return NotFitting(reason=str(error))
    return Fitting(
        offloaded_layers=fitted.offloaded_layers,
        context=fitted.load.context,
        slots=fitted.load.slots,
        cache_type_k=fitted.load.cache_type_k,
        memory_bytes=fitted.memory.total,
        tokens_per_s=round(fitted.tokens_per_s, 1),
        speed=fitted.speed,
        compromises=tuple(fitted.notes),
    )
