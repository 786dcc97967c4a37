"""The seam to what is stored of memories: what a conversation may be given, and where it keeps its own facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nightjar.jobs.memory import KeptTurn, MemoryScope
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.workers.conversation.remembering import StoredFact


class Memories(Protocol):
    """The real one is `workers.process.stored_memories.StoredMemories`."""

    async def facts(self, scope: MemoryScope, embedder: TextEmbedder) -> list[StoredFact]:
        """All facts of a memory, in the order in which they were kept. Raises ServiceError, and as `embed` does."""

    async def keep(
        self, scope: MemoryScope, turn: KeptTurn, facts: Sequence[str], embedder: TextEmbedder
    ) -> tuple[str, ...]:
        """Keeps what a turn says anew, and returns it. Safe to repeat for the same turn."""
