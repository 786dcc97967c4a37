"""The vectors of prompts: those that a search has stored are read, the others are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nightjar.jobs.mongo import Database
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.jobs.search.vector_reading import stored_vectors
from nightjar.jobs.search.vectors import vector_id

if TYPE_CHECKING:
    from nightjar.jobs.search.text_embedder import Vectors


async def prompt_vectors(prompts: Sequence[str], embedder: TextEmbedder, database: Database) -> Vectors:
    """One for each prompt. Raises as the embedder does."""
    ids = [vector_id(prompt, embedder.facts.digest) for prompt in prompts]
    stored = await stored_vectors(set(ids), database)
    new = {name: prompt for name, prompt in zip(ids, prompts, strict=True) if name not in stored}
    made = dict(zip(new, await embedder.embed(list(new.values())), strict=True))
    if not ids:
        return np.zeros((0, 1), np.float32)
    rows = [made[name] if name in made else np.frombuffer(stored[name], "<f2").astype(np.float32) for name in ids]
    return np.stack(rows)
