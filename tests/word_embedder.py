"""A `TextEmbedder` without a model: words become directions, so that texts with the same words are near."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nightjar.jobs.models import ModelFacts, ModelKind, ModelSource

if TYPE_CHECKING:
    from nightjar.jobs.search.text_embedder import Vectors

WIDTH = 64


class WordEmbedder:
    """Counts the texts that it embedded."""

    def __init__(self, digest: str = "a" * 64) -> None:
        self.facts = ModelFacts(name="words", source=ModelSource.REMOTE, digest=digest, kind=ModelKind.EMBEDDING)
        self.texts: list[str] = []

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        vectors = np.array([self._vector(text) for text in texts], np.float32).reshape(len(texts), WIDTH)
        unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return unit

    def _vector(self, text: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        vector = np.full(WIDTH, 1e-3)
        for word in re.findall(r"\w+", text.lower()):
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
            vector += np.random.default_rng(seed).normal(size=WIDTH)
        return vector
