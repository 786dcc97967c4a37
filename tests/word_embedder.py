"""A `SmallEmbedder` without a model: texts are near each other when they share words. And one that cannot be had."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from nightjar.config.errors import ModelError
from nightjar.workers.engine.request import Vector

DIMENSIONS = 512
_COMMON = frozenset("a an and assistant for from i in is it of on or that the they to user was what which".split())


@dataclass
class WordEmbedder:
    """A dimension for each word in the order in which words are first seen."""

    digest: str = "words"
    asked: list[str] = field(default_factory=list)
    """All texts so far."""
    words: dict[str, int] = field(default_factory=dict)

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        self.asked += texts
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> Vector:
        vector = [0.0] * DIMENSIONS
        for word in re.findall(r"[a-z0-9]+", text.lower()):
            if word not in _COMMON:
                vector[self.words.setdefault(word, len(self.words)) % DIMENSIONS] += 1.0
        length = math.hypot(*vector) or 1.0
        return [value / length for value in vector]


class AbsentEmbedder:
    """Its helper process has died."""

    digest = "gone"

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        raise ModelError("The embedding helper does not answer.")
