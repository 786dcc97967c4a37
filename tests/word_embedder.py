"""A `SmallEmbedder` without a model: texts are near each other when they share words. And one that cannot be had."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nightjar.config.errors import ModelError
from nightjar.jobs.models import ModelFacts, ModelKind, ModelSource

if TYPE_CHECKING:
    from nightjar.jobs.text_embedder import Vectors

DIMENSIONS = 512
_COMMON = frozenset("a an and assistant for from i in is it of on or that the they to user was what which".split())


def _facts(name: str) -> ModelFacts:
    return ModelFacts(name=name, source=ModelSource.REMOTE, digest=name, kind=ModelKind.EMBEDDING)


@dataclass
class WordEmbedder:
    """A dimension for each word in the order in which words are first seen."""

    asked: list[str] = field(default_factory=list)
    """All texts so far."""
    words: dict[str, int] = field(default_factory=dict)

    @property
    def facts(self) -> ModelFacts:
        return _facts("words")

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return np.array([self._vector(text) for text in texts], np.float32)

    def _vector(self, text: str) -> npt.NDArray[np.float64]:
        vector = np.zeros(DIMENSIONS)
        for word in re.findall(r"[a-z0-9]+", text.lower()):
            if word not in _COMMON:
                vector[self.words.setdefault(word, len(self.words)) % DIMENSIONS] += 1.0
        return vector / (np.linalg.norm(vector) or 1.0)


class AbsentEmbedder:
    """Its helper process has died."""

    facts = _facts("gone")

    async def embed(self, texts: Sequence[str]) -> Vectors:
        raise ModelError("The embedding helper does not answer.")
