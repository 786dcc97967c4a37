"""A small embedding model that answers at once, as whoever needs one sees it. Pure.

Recall, a search's question and the texts beside photos want an embedding now, which a worker of one chat model on one
card cannot give. The real one is `workers.embedder.client.SmallEmbedder`: a process a host, on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from nightjar.jobs.models import ModelFacts

    Vectors = npt.NDArray[np.float32]
    """n x d: a unit vector for each text."""


class TextEmbedder(Protocol):
    """Embeds a few texts at once. Much text is embedded by jobs."""

    @property
    def facts(self) -> ModelFacts:
        """The model's; `digest` goes into the provenance of whatever is made with its vectors."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """n x d, a unit vector a text, nothing cut off. Raises ModelError, EngineError, ContextError."""


EmbedderOpener = Callable[[str], AbstractAsyncContextManager[TextEmbedder]]
"""Opens a host's embedder for a while; it is told what needs it, for messages, as the beginning of a sentence."""
