"""A model file's facts, read from its metadata without loading a tensor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightjar.config.errors import ModelError, ModelFileError, ParameterError
from nightjar.jobs.models import AdapterFacts, ChainFacts, FileFacts, ModelFacts, ModelKind
from nightjar.workers.library.digests import DigestCache
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.library.gguf.metadata import LongArray, Metadata, read_metadata, template_key
from nightjar.workers.library.gguf.split import parts_of
from nightjar.workers.library.gguf.tensor_types import FILE_TYPES, mix
from nightjar.workers.library.remote_facts import remote_facts
from nightjar.workers.library.unusable import positions_of, why_unusable

EMBEDDING_ARCHITECTURES = frozenset(
    "bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert gemma-embedding "
    "t5encoder llama-embed".split()
)
SAMPLING_KEYS: Mapping[str, str] = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "xtc_probability": "xtc_probability",
    "xtc_threshold": "xtc_threshold",
    "penalty_last_n": "repeat_last_n",
    "penalty_repeat": "repeat_penalty",
}
"""`general.sampling.KEY` -> Nightjar's parameter. `sequence` and `mirostat*` have no counterpart and are left out."""


MAX_LAYERS = 1_024
MAX_ARCHITECTURE = 64
MAX_LICENCE = 500
"""Limits in characters: a longer one is not from a real model, or is not worth storing in full."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A model's metadata, from its first part, with the tensors of all parts."""

    path: Path
    parts: tuple[Path, ...]
    metadata: Metadata

    @property
    def file_bytes(self) -> int:
        return sum(part.stat().st_size for part in self.parts)


def inspect_file(path: Path) -> Inspection:
    """Reads a model file with all its parts.

    Raises ModelFileError if it is missing, broken, or not a model that can write or embed.
    """
    parts = parts_of(path)
    read = [read_metadata(part) for part in parts]
    first = read[0]
    tensors = tuple(tensor for metadata in read for tensor in metadata.tensors)
    metadata = Metadata(
        version=first.version,
        values=first.values,
        tensors=tensors,
        data_offset=first.data_offset,
        file_bytes=sum(part.file_bytes for part in read),
    )
    _refuse_other_files(path, metadata)
    return Inspection(path=parts[0], parts=parts, metadata=metadata)


def read_facts(
    path: Path,
    name: str,
    *,
    registry_parameters: Mapping[str, Any] | None = None,
    template: str | None = None,
    digests: DigestCache | None = None,
) -> ModelFacts:
    """The facts of the model at `path` under `name`; `template` is used instead of the file's own.

    Hashes the file when the cache does not know it (slow, once). Raises ModelFileError.
    """
    inspection = inspect_file(path)
    digest = (digests or default_digests()).digest(inspection.parts)
    return facts_of(inspection, name, digest, registry_parameters or {}, template)


def default_digests() -> DigestCache:
    """The digest cache of this project's home."""
    from nightjar.config.settings import load_settings

    return DigestCache(load_settings().home / "digests.json")


def entry_facts(entry: ModelEntry, digests: DigestCache | None = None) -> ModelFacts:
    """The facts of a model from `find_model`: `read_facts` with what the registry says about it, or `remote_facts`.

    Raises ModelFileError, and ModelError for a `context` that the model has no positions for.
    """
    if entry.remote is not None:
        return remote_facts(entry) if entry.chain is None else _chain_facts(entry, digests)
    check_context(inspect_file(entry.path), entry.load.context)
    cache = digests or default_digests()
    facts = read_facts(
        entry.path, entry.name, registry_parameters=entry.parameters, template=entry.template, digests=cache
    )
    if not entry.adapters:
        return facts
    adapters = tuple(adapter_facts(path, scale, facts, cache) for path, scale in entry.adapters)
    together = [facts.digest, *(f"{adapter.digest} {adapter.scale!r}" for adapter in adapters)]
    digest = hashlib.sha256("\n".join(together).encode()).hexdigest()
    file = facts.file_facts.model_copy(update={"adapters": adapters})
    return facts.model_copy(update={"file": file, "digest": digest})


def _chain_facts(entry: ModelEntry, digests: DigestCache | None) -> ModelFacts:
    """Those of the model that replies; the digest is of both models and the budget: other prompts are sent."""
    chain, facts = entry.chain, remote_facts(entry)
    assert chain is not None
    compress = entry_facts(chain.compress, digests)
    if compress.kind is not ModelKind.CHAT:
        raise ModelError(
            f"{entry.name!r} is a chain, and {compress.name!r}, which is to compress for it, is no chat model. Name "
            "another one in models.toml: chain = {compress = ...}."
        )
    together = f"chain {compress.digest} {facts.digest} {chain.budget}"
    said = ChainFacts(compress=compress.name, compress_digest=compress.digest, reply=chain.reply, budget=chain.budget)
    return facts.model_copy(update={"digest": hashlib.sha256(together.encode()).hexdigest(), "chain": said})


def check_context(inspection: Inspection, context: int | None) -> None:
    """Raises ModelError if it is more than the model has positions for: llama.cpp would end the process."""
    positions = positions_of(inspection.metadata)
    if positions is not None and context is not None and context > positions:
        raise ModelError(
            f"{inspection.path.name} has a table of {positions:,} positions, and `context` asks for {context:,}. "
            f"Set it to {positions} at most for this model (`context` under `load` in models.toml), or leave it out."
        )


def adapter_facts(path: Path, scale: float, model: ModelFacts, digests: DigestCache) -> AdapterFacts:
    """A LoRA adapter's facts.

    Raises ModelFileError if it is missing, broken, not an adapter, or for another architecture.
    """
    metadata = read_metadata(path)
    kind = metadata.values.get("adapter.type")
    if kind != "lora":
        raise ModelFileError(f"{path}, an adapter of {model.name}, is no LoRA adapter (adapter.type is {kind!r}).")
    architecture = model.file_facts.architecture
    if metadata.architecture != architecture:
        raise ModelFileError(
            f"{path} adapts models of the architecture {metadata.architecture}; {model.name} is {architecture}."
        )
    return AdapterFacts(file_name=path.name, digest=digests.digest([path]), scale=scale)


def facts_of(
    inspection: Inspection,
    name: str,
    digest: str,
    registry_parameters: Mapping[str, Any] | None = None,
    template: str | None = None,
) -> ModelFacts:
    """Facts from metadata that has already been read."""
    metadata = inspection.metadata
    template = template or metadata.values.get(template_key(metadata.values) or "")
    file = FileFacts(
        file_name=inspection.path.name,
        file_bytes=inspection.file_bytes,
        architecture=metadata.architecture,
        parameters=sum(tensor.elements for tensor in metadata.tensors),
        quantisation=quantisation_of(metadata),
        vocabulary=vocabulary_of(metadata),
        context_train=_count(metadata.of_architecture("context_length")),
        layers=_count(metadata.of_architecture("block_count")),
        licence=licence_of(metadata),
    )
    return ModelFacts(
        name=name,
        digest=digest,
        kind=kind_of(metadata, inspection.path.name, template),
        template_digest=hashlib.sha256(template.encode()).hexdigest() if isinstance(template, str) else None,
        sampling_defaults=sampling_defaults(metadata),
        registry_parameters=dict(registry_parameters or {}),
        file=file,
    )


def kind_of(metadata: Metadata, file_name: str, template: str | None) -> ModelKind:
    """Chat, base or embedding: by architecture and pooling first; the name decides only if nothing else does."""
    pooling = metadata.of_architecture("pooling_type")
    if metadata.architecture in EMBEDDING_ARCHITECTURES or metadata.of_architecture("attention.causal") is False:
        return ModelKind.EMBEDDING
    if isinstance(pooling, int) and pooling > 0:
        return ModelKind.EMBEDDING
    if template is not None:
        return ModelKind.CHAT
    if "embed" in f"{metadata.values.get('general.name', '')} {file_name}".lower():
        return ModelKind.EMBEDDING
    return ModelKind.BASE


def quantisation_of(metadata: Metadata) -> str:
    """The file type's name and the mix of tensor types: "Q4_K_M (Q4_K 82 %, Q6_K 18 %)"."""
    shares = mix((tensor.type_id, tensor.elements) for tensor in metadata.tensors)
    file_type = metadata.values.get("general.file_type")
    name = FILE_TYPES.get(file_type) if isinstance(file_type, int) else None
    if name is None:
        return shares
    return f"{name} ({shares})" if "," in shares else name


def vocabulary_of(metadata: Metadata) -> int:
    """Tokens in the vocabulary; 0 if the file has none."""
    tokens = metadata.values.get("tokenizer.ggml.tokens")
    if isinstance(tokens, LongArray):
        return tokens.length
    return len(tokens) if isinstance(tokens, tuple) else 0


def licence_of(metadata: Metadata) -> str | None:
    """The licence that the file names, in its own words."""
    for key in ("general.license", "general.license.name", "general.license.link"):
        value = metadata.values.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()[:MAX_LICENCE]
    return None


def sampling_defaults(metadata: Metadata) -> dict[str, Any]:
    """The file's `general.sampling.*` as Nightjar's parameters; values out of range are left out."""
    from nightjar.jobs.parameters import check

    defaults: dict[str, Any] = {}
    for key, parameter in SAMPLING_KEYS.items():
        value = metadata.values.get(f"general.sampling.{key}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        number = value if isinstance(value, int) else float(f"{value:.7g}")  # stored as float32: 0.7, not 0.69999998
        try:
            check({parameter: number}, "the GGUF file")
        except ParameterError:
            continue
        defaults[parameter] = number
    return defaults


def _refuse_other_files(path: Path, metadata: Metadata) -> None:
    file_type = metadata.values.get("general.type", "model")
    if file_type == "adapter" or "adapter.type" in metadata.values:
        raise ModelFileError(f"{path} is a LoRA adapter, not a model: name it under `adapters` of a registry entry.")
    if file_type in ("imatrix", "mmproj") or metadata.architecture == "clip":
        raise ModelFileError(f"{path} is a GGUF file of type {file_type!r}, not a language model.")
    if "general.architecture" not in metadata.values:
        raise ModelFileError(f"{path} names no architecture (general.architecture): it is a GGUF file, but no model.")
    if not metadata.tensors:
        raise ModelFileError(f"{path} holds no tensors (a vocabulary alone?), so that nothing can be computed with it.")
    if (instead := why_unusable(metadata)) is not None:
        raise ModelFileError(f"{path} is {instead}.")
    if len(metadata.architecture) > MAX_ARCHITECTURE:
        raise ModelFileError(
            f"{path} names an architecture of {len(metadata.architecture):,} characters: it is no model."
        )
    layers = metadata.of_architecture("block_count")
    if isinstance(layers, int) and not 0 <= layers <= MAX_LAYERS:
        raise ModelFileError(
            f"{path} claims {layers:,} layers, and llama.cpp loads at most 512: it is damaged. Fetch it again."
        )


def _count(value: Any) -> int:
    """A required count; 0 if it is missing or impossible (llama.cpp refuses such files)."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40 else 0
