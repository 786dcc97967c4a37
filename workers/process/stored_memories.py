"""Memories in MongoDB, for the conversations of a worker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nightjar.jobs.memory import KeptTurn, MemoryScope, facts_of_memory, keep_facts
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.patience import patiently
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.workers.conversation.remembering import StoredFact


class StoredMemories:
    """`Memories` on the collection `facts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def facts(self, scope: MemoryScope, embedder: TextEmbedder) -> list[StoredFact]:
        """See `Memories.facts`; what another model embedded, or nobody yet, is embedded now."""
        rows = await patiently(lambda: facts_of_memory(scope.name, self._database))
        digest = embedder.facts.digest
        lacking = [row for row in rows if row.vector is None or row.embedder != digest]
        made = await embedder.embed([row.text for row in lacking]) if lacking else ()
        vectors = {row.id: vector for row, vector in zip(lacking, made, strict=True)}
        return [
            StoredFact(
                id=row.id,
                text=row.text,
                vector=vectors[row.id] if row.id in vectors else np.frombuffer(row.vector or b"", "<f4"),
            )
            for row in rows
        ]

    async def keep(
        self, scope: MemoryScope, turn: KeptTurn, facts: Sequence[str], embedder: TextEmbedder
    ) -> tuple[str, ...]:
        """See `Memories.keep`."""
        vectors = await embedder.embed(facts) if facts else ()
        pairs = [(fact, vector.astype("<f4").tobytes()) for fact, vector in zip(facts, vectors, strict=True)]
        return await patiently(lambda: keep_facts(scope, turn, pairs, embedder.facts.digest, utc_now(), self._database))
