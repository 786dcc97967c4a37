"""The dated list behind `nightjar model recommend`, and the shape each of its models has at its quantisation."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from nightjar.workers.library.gguf.shape import WITHOUT_KV, Shape
from nightjar.workers.library.gguf.tensor_types import BLOCKS

LIST = Path(__file__).resolve().parents[3] / "config" / "recommended.toml"
GATED_FEED_FORWARD = frozenset(("llama", "qwen2", "qwen3", "phi3", "nomic-bert"))
"""Architectures with three feed-forward matrices; the others have two."""
_TYPES = {name: (block, size) for name, block, size in BLOCKS.values()}


class Curated(BaseModel):
    """One model of the list, as its publisher's configuration describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    repo: str
    architecture: str
    quantisation: Literal["Q4_K_M", "Q8_0", "F16"]
    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    hidden: int
    vocabulary: int
    context: int
    tied: bool
    licence: str
    best_for: tuple[Literal["chat", "judge", "embedding"], ...] = Field(min_length=1)
    note: str
    embedding_dimensions: int | None = None

    @property
    def parameters(self) -> int:
        """Elements of its matrices; norms and biases are left out."""
        embeddings = self.vocabulary * self.width * (1 if self.tied else 2)
        return embeddings + self.layers * (sum(self._attention()) + self.hidden * self.width * self._matrices)

    @property
    def shape(self) -> Shape:
        """Its shape as a GGUF file of its quantisation."""
        kept = 0 if self.architecture in WITHOUT_KV else self.kv_heads * self.head
        return Shape(
            layers=self.layers,
            width=self.width,
            hidden=self.hidden,
            heads=self.heads,
            vocabulary=self.vocabulary,
            context_train=self.context,
            k_widths=(kept,) * self.layers,
            v_widths=(kept,) * self.layers,
            sliding=(False,) * self.layers,
            layer_bytes=tuple(self._layer_bytes(layer) for layer in range(self.layers)),
            input_bytes=self._bytes(self.vocabulary * self.width, "output" if self.tied else "input"),
            output_bytes=0 if self.tied else self._bytes(self.vocabulary * self.width, "output"),
            tied=self.tied and self.architecture not in WITHOUT_KV,
        )

    @property
    def _matrices(self) -> int:
        return 3 if self.architecture in GATED_FEED_FORWARD else 2

    def _attention(self) -> tuple[int, int, int, int]:
        """Elements of the Q, K, V and output matrices of a layer."""
        kv = self.width * self.kv_heads * self.head
        q = self.width * self.heads * self.head
        return q, kv, kv, q

    def _layer_bytes(self, layer: int) -> int:
        q, k, v, output = self._attention()
        finer = "finer" if _has_finer_types(layer, self.layers) else "plain"
        feed = self.hidden * self.width
        plain = q + k + output + feed * (self._matrices - 1)
        return self._bytes(plain, "plain") + self._bytes(v + feed, finer)

    def _bytes(self, elements: int, role: str) -> int:
        """Bytes at this quantisation. Q4_K_M keeps the output, and V and down of some layers, as Q6_K."""
        mixed = "Q6_K" if role in ("output", "finer") else "Q4_K"
        block, size = _TYPES[mixed if self.quantisation == "Q4_K_M" else self.quantisation]
        return elements // block * size


class CuratedPhotoModel(BaseModel):
    """A CLIP or SigLIP model in ONNX, for photos."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    repo: str
    licence: str
    note: str


class CuratedList(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: date
    models: tuple[Curated, ...]
    photo_models: tuple[CuratedPhotoModel, ...] = ()


def curated_list(file: Path = LIST) -> CuratedList:
    """The list as it is shipped."""
    return CuratedList.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))


def _has_finer_types(layer: int, layers: int) -> bool:
    """The layers whose V and down matrices Q4_K_M keeps finer (llama.cpp, `use_more_bits`)."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
