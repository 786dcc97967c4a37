"""What the pipeline knows of a model without holding its file. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nightjar.jobs.remote_models import RemoteFacts


class ModelKind(StrEnum):
    CHAT = "chat"
    """Generates text and has a chat template."""
    BASE = "base"
    """Generates text and has no chat template: `mode: completion` only."""
    EMBEDDING = "embedding"


class ModelSource(StrEnum):
    """Where a model's replies are computed."""

    FILE = "file"
    """By a worker that loads a GGUF file."""
    REMOTE = "remote"
    """By an endpoint that a worker calls."""


class AdapterFacts(BaseModel):
    """A LoRA adapter applied to a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_name: str
    digest: str
    """SHA-256 of the file."""
    scale: float


class FileFacts(BaseModel):
    """What a model's GGUF file says of itself; equal on every host that holds the same file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_name: str
    file_bytes: int
    architecture: str
    parameters: int
    quantisation: str
    vocabulary: int
    context_train: int
    """Tokens: the context the file declares."""
    layers: int
    licence: str | None = None
    adapters: tuple[AdapterFacts, ...] = ()


class ChainFacts(BaseModel):
    """Who compresses what a model at an endpoint is then asked, and down to what: see `workers/remote/chain.py`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    compress: str
    """Name of the model with a file."""
    compress_digest: str
    reply: str
    """Name of the model at the endpoint."""
    budget: int
    """Tokens of a prompt from which on it is compressed."""


class ModelFacts(BaseModel):
    """What is known of a model by whoever has neither its file nor its endpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str
    source: ModelSource = ModelSource.FILE
    digest: str
    """64 hexadecimal characters that tell this model from any other. For a file: its SHA-256 (of its parts in order, if
    it is split). With adapters: the SHA-256 of the file's digest and of theirs with their scales, since together they
    are another model."""
    kind: ModelKind
    template_digest: str | None = None
    """SHA-256 of the chat template that renders its prompts, the file's or the registry's; None if there is none."""
    sampling_defaults: dict[str, Any] = Field(default_factory=dict)
    """The model's own: a file's `general.sampling.*`, under Nightjar's parameter names."""
    registry_parameters: dict[str, Any] = Field(default_factory=dict)
    """From models.toml on the host that published these facts."""
    file: FileFacts | None = None
    """None for a remote model."""
    remote: RemoteFacts | None = Field(None, exclude_if=lambda remote: remote is None)
    """None for a file, and for a remote model of before these facts were kept."""
    chain: ChainFacts | None = Field(None, exclude_if=lambda chain: chain is None)
    """Of a remote model whose prompts another one compresses first."""

    @property
    def most_context(self) -> int | None:
        """Tokens that it can hold at most; None where nobody says."""
        return self.file.context_train if self.file is not None else self.remote.context if self.remote else None

    @property
    def file_facts(self) -> FileFacts:
        """The file's facts, for code that holds the file and so knows that there is one."""
        assert self.file is not None, f"{self.name} is not a file"
        return self.file

    @model_validator(mode="after")
    def _source_has_its_facts(self) -> Self:
        if (self.source is ModelSource.FILE) != (self.file is not None):
            raise ValueError("a model has file facts if its source is a file, and only then")
        return self


FLAT_KEYS = (
    "name",
    "digest",
    "file_name",
    "file_bytes",
    "kind",
    "architecture",
    "parameters",
    "quantisation",
    "vocabulary",
    "context_train",
    "layers",
    "template_digest",
    "licence",
    "sampling_defaults",
    "registry_parameters",
    "adapters",
)
"""The keys of `flat_facts`. Scripts rely on them: a key may be added, but none renamed or removed."""


def flat_facts(facts: ModelFacts) -> dict[str, Any]:
    """The facts as `--json`, reports and run files show them, all on one level; null for what only a file has."""
    stored = facts.model_dump(mode="json")
    file = stored.pop("file") or dict.fromkeys(FileFacts.model_fields)
    together = stored | file
    return {key: together[key] for key in FLAT_KEYS}


def nest_file_facts(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Model facts with the file's own facts nested under `file`, from either form; idempotent.

    Facts were flat until they had a `source`, and `flat_facts` still writes them so.
    """
    if "source" in stored or "file" in stored:
        return dict(stored)
    file = {key: value for key, value in stored.items() if key in FileFacts.model_fields}
    other = {key: value for key, value in stored.items() if key not in FileFacts.model_fields}
    if file.get("file_name") is None:
        return {**other, "source": ModelSource.REMOTE.value, "file": None}
    return {**other, "source": ModelSource.FILE.value, "file": file}


_RETIRED = "all_slots_prefill_tokens_per_s"


class ProbeKind(StrEnum):
    """How a speed was probed. Only probes of one kind are compared with each other."""

    WORK = "work"
    """A fixed amount of work, right after loading, as earlier versions did it."""
    TIME = "time"
    """What a fixed time is enough for, after the work or while idle."""


class SpeedProbe(BaseModel):
    """A model's speed apart from its work: what the turns of many conversations at once cannot tell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ProbeKind = ProbeKind.WORK
    measured_at: datetime | None = None
    """None: right after the load that it is recorded with."""
    prompt_tokens: int
    generated_tokens: int
    slots: int
    """Conversations at once in `all_slots_decode_tokens_per_s`."""
    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    """One conversation."""
    all_slots_decode_tokens_per_s: float | None = None
    by_slots: dict[int, float] = Field(default_factory=dict)
    """Conversations at once -> tokens per second of all of them, each with little context."""
    busy: bool = False
    """Other processes took cores meanwhile: it is measured again when the machine is quiet."""
    reproducible_cost: float | None = Field(None, exclude_if=lambda cost: cost is None)
    """Share of the decode speed with all slots busy that `reproducible` costs: 0.2 is a fifth slower. Left out of what
    is stored where that is off."""

    @model_validator(mode="before")
    @classmethod
    def _without_retired(cls, data: Any) -> Any:
        """Run files and kept aggregates of earlier versions still hold the retired field, always null."""
        return {key: value for key, value in data.items() if key != _RETIRED} if isinstance(data, dict) else data

    def with_slots(self, slots: int) -> Self:
        """The same, as a load with so many slots shows it."""
        return self.model_copy(update={"slots": slots, "all_slots_decode_tokens_per_s": self.by_slots.get(slots)})

    def shown(self) -> dict[str, Any]:
        """For reports and run files, whose keys stay: the retired one is null."""
        return {**self.model_dump(mode="json"), _RETIRED: None}


class ThreadUse(BaseModel):
    """How many threads computed, where the engine follows the machine's load."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    used: int
    """Most of the time."""
    lowest: int
    highest: int


class LoadFacts(BaseModel):
    """How one worker loaded a model: everything a reader needs to judge its speed."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    device: str
    """For people: "NVIDIA L4 (GPU-1234)", "Metal: Apple M3", "CPU: 8 threads, AMD EPYC"."""
    device_id: str | None = None
    driver: str | None = None
    """The card's: "NVIDIA 550.54.14"; None for a CPU, and if the driver does not say."""
    offloaded_layers: int
    context: int
    """Tokens per conversation."""
    slots: int
    n_batch: int
    n_ubatch: int
    threads: int
    """At most, where `threads` is auto."""
    flash_attention: bool
    cache_type_k: str
    cache_type_v: str
    llama_cpp_build: str
    llama_cpp_python: str
    load_s: float
    grammar_engine: str = "llama.cpp"
    """What holds replies to schemas and grammars: the same seed gives other replies with another one."""
    kv_bytes: int | None = None
    given_up: tuple[str, ...] = ()
    """What automatic settings gave up because memory was short, in words."""
    reproducible: bool = False
    reproducible_alone: bool = False
    """This device's results depend on the batch, so each decode holds one conversation and nothing is shared."""
    reproducible_cost: float | None = None
    """Of loads of earlier versions, which measured it before the first reply; now the probe's."""
    probe: SpeedProbe | None = None
    """What was known when the model was loaded; None: it had not been probed here."""

    def shown(self) -> dict[str, Any]:
        """For reports and run files; see `SpeedProbe.shown`."""
        return {**self.model_dump(mode="json"), "probe": self.probe.shown() if self.probe is not None else None}
