"""Embeddings of a model loaded into this process.

A text longer than the model's context is halved at white space until its parts fit; its vector is the mean of theirs,
weighted by their tokens. Nothing is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice

from nightjar.config.errors import ContextError
from nightjar.workers.conversation.local_model import LocalModel
from nightjar.workers.conversation.replier import Embedding
from nightjar.workers.engine.request import Engine, Vector


class LocalEmbedder(LocalModel):
    """An `Embedder` on an engine."""

    async def probe(self) -> None:
        """Embedding models are not compared by speed."""

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """See `Embedder.embed`; white space around a text does not count."""
        texts_parts = [_parts(text.strip(), self.engine) for text in texts]
        vectors = iter(await self.engine.embed([ids for parts in texts_parts for ids in parts]))
        return [
            Embedding(vector=_mean(parts, list(islice(vectors, len(parts)))), parts=len(parts)) for parts in texts_parts
        ]


def _mean(parts: Sequence[list[int]], vectors: Sequence[Vector]) -> Vector:
    """The mean of the parts' vectors, weighted by their tokens, as a unit vector."""
    if len(vectors) == 1:
        return vectors[0]
    total = [
        math.fsum(len(ids) * vector[at] for ids, vector in zip(parts, vectors, strict=True))
        for at in range(len(vectors[0]))
    ]
    length = math.hypot(*total) or 1.0
    return [value / length for value in total]


def _parts(text: str, engine: Engine) -> list[list[int]]:
    """Token ids of parts that fit the context. Raises ContextError if not even one character does."""
    ids = engine.tokenize(text)
    context = engine.load.context
    if len(ids) <= context:
        return [ids]
    halves = _halved(text)
    if not all(halves):
        raise ContextError(f"The text {text!r} has {len(ids)} tokens and the context holds {context}.")
    return [part for half in halves for part in _parts(half, engine)]


def _halved(text: str) -> tuple[str, str]:
    """The text in two, cut at the last white space of its first half, else in the middle."""
    middle = len(text) // 2
    cut = next((at for at in range(middle, 0, -1) if text[at].isspace()), middle)
    return text[:cut].strip(), text[cut:].strip()
