"""Gives texts that have none an embedding: never twice for the same text and model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nightjar.config.errors import ModelError
from nightjar.jobs.mongo import Database
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.jobs.search.unindexed import Unindexed, forget_gone_runs, gone_meanwhile, read_indexable
from nightjar.jobs.search.vector_reading import known_vectors
from nightjar.jobs.search.vectors import TextPlace, being_indexed, drop_vectors, mark_indexed, vector_id, write_vectors
from nightjar.pipeline.search.texts import texts_of_job

BATCH_JOBS = 100
FEW = 200
"""Conversations that a search indexes by itself, with the small embedder; more are work for jobs."""
IndexProgress = Callable[[int, int], None]
"""Called with the conversations that are indexed and those there are to be."""


async def index_texts(
    unindexed: Unindexed,
    embedder: TextEmbedder,
    database: Database,
    progress: IndexProgress = lambda done, total: None,
    *,
    batch_jobs: int = BATCH_JOBS,
) -> int:
    """Embeds what is missing and stores it; returns how many texts were embedded. Raises as the embedder does.

    Interrupted, what was stored stays, up to the last `batch_jobs` conversations; finding and calling it again does
    the rest. What was removed while it was embedded goes again.
    """
    model, done, embedded = embedder.facts.digest, 0, 0
    for run, jobs in unindexed.jobs.items():
        for start in range(0, len(jobs), batch_jobs):
            batch = jobs[start : start + batch_jobs]
            texts = [pair for job in await read_indexable(batch, database) for pair in texts_of_job(job)]
            async with being_indexed(run, model, batch, database):
                embedded += await store_texts(texts, embedder, database)
            # Only now: whoever removes it from here on sees what was written.
            if gone := await gone_meanwhile(run, batch, database):
                await drop_vectors({"run": run, "source": {"$in": gone}}, database)
            done += len(batch)
            progress(done, unindexed.count)
    for run, version in unindexed.versions.items():
        await mark_indexed(run, model, version, database)
    await forget_gone_runs({*unindexed.jobs, *unindexed.versions}, database)
    return embedded


async def store_texts(places: Sequence[tuple[TextPlace, str]], embedder: TextEmbedder, database: Database) -> int:
    """Gives each text an embedding and its references; returns how many had none yet."""
    model = embedder.facts.digest
    texts: dict[str, str] = {}
    refs: dict[str, list[TextPlace]] = {}
    for place, text in places:
        name = vector_id(text, model)
        texts[name] = text
        refs.setdefault(name, []).append(place)
    known = await known_vectors(texts, database)
    new = [name for name in texts if name not in known]
    vectors = await embedder.embed([texts[name] for name in new])
    if not np.isfinite(vectors).all():
        raise ModelError(f"{embedder.facts.name} gave numbers that mean nothing for a text. Nothing of it was stored.")
    made = {name: (texts[name], vector.astype("<f2").tobytes()) for name, vector in zip(new, vectors, strict=True)}
    await write_vectors(model, made, refs, database)
    return len(new)
