"""What the pipeline knows of a model without holding its file. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ModelKind(StrEnum):
    CHAT = "chat"
    """Generates text and has a chat template."""
    BASE = "base"
    """Generates text and has no chat template: `mode: completion` only."""
    EMBEDDING = "embedding"


class AdapterFacts(BaseModel):
    """A LoRA adapter applied to a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_name: str
    digest: str
    """SHA-256 of the file."""
    scale: float


class ModelFacts(BaseModel):
    """A model file's own facts; equal on every host that holds the same file."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str
    digest: str
    """SHA-256 of the file (of its parts in order, for a split file), 64 hexadecimal characters. With adapters: of the
    file's digest and theirs with their scales, since together they are another model."""
    file_name: str
    file_bytes: int
    kind: ModelKind
    architecture: str
    parameters: int
    quantisation: str
    vocabulary: int
    context_train: int
    """Tokens: the context the file declares."""
    layers: int
    template_digest: str | None = None
    licence: str | None = None
    sampling_defaults: dict[str, Any] = Field(default_factory=dict)
    """Of the file's `general.sampling.*`, under Nightjar's parameter names."""
    registry_parameters: dict[str, Any] = Field(default_factory=dict)
    """Of models.toml, on the host that published these facts."""
    adapters: tuple[AdapterFacts, ...] = ()


class SpeedProbe(BaseModel):
    """Fixed work done right after loading, so that models are compared by the same work."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt_tokens: int
    generated_tokens: int
    slots: int
    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    all_slots_decode_tokens_per_s: float
    all_slots_prefill_tokens_per_s: float | None = None


class LoadFacts(BaseModel):
    """How one worker loaded a model: everything a reader needs to judge its speed."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    device: str
    """For people: "NVIDIA L4 (GPU-1234)", "Metal: Apple M3", "CPU: 8 threads, AMD EPYC"."""
    device_id: str | None = None
    driver: str | None = None
    """Of the card: "NVIDIA 550.54.14"; None for a CPU, or where no driver tells."""
    offloaded_layers: int
    context: int
    """Tokens per conversation."""
    slots: int
    n_batch: int
    n_ubatch: int
    threads: int
    flash_attention: bool
    cache_type_k: str
    cache_type_v: str
    llama_cpp_build: str
    llama_cpp_python: str
    load_s: float
    kv_bytes: int | None = None
    reproducible: bool = False
    reproducible_alone: bool = False
    """This device's results depend on the batch: each decode holds one conversation, and nothing is shared."""
    reproducible_cost: float | None = None
    """Share of the decode speed, all slots, that `reproducible` takes: 0.2 is a fifth slower."""
    probe: SpeedProbe | None = None
