"""A search: by words and by meaning together. What commands and pages call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from nightjar.config.counting import how_many
from nightjar.config.errors import UnknownNameError
from nightjar.jobs.mongo import Database
from nightjar.jobs.search.rank_fusion import fused
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.jobs.search.unindexed import Unindexed, find_unindexed
from nightjar.jobs.search.vector_reading import (
    any_vectors,
    asked_models,
    describe_places,
    ids_with_phrases,
    read_stored_texts,
    reply_vector,
    seen_ids,
    vectors_state,
)
from nightjar.pipeline.search.index import FEW, index_texts
from nightjar.pipeline.search.matrix import VectorMatrix, open_matrix
from nightjar.pipeline.search.question import Hit, SearchAnswer, SearchQuestion, SearchTimes
from nightjar.pipeline.search.rank import nearest
from nightjar.pipeline.search.sentences import clipped, sentences, with_phrases

AT_ONCE = 10
"""Conversations whose texts a search stores at once: one that is cut off after a while has done something."""
EXACT = 50
"""Exact hits that are ranked."""
SPARE = 3
"""Times as many of the nearest are looked at as are shown: some may not be seen by whoever asks."""
PLACES = 5
"""Of a hit, shown."""
INDEX_REMEDY = "`nightjar search --index` has them embedded by jobs"
_Vector = npt.NDArray[np.float32]
FoundRows = npt.NDArray[np.intp]


async def search(question: SearchQuestion, embedder: TextEmbedder, database: Database, home: Path) -> SearchAnswer:
    """What is found. A few conversations that have no embedding yet are given one first.

    Raises UsageError for what cannot be asked, UnknownNameError, and as the embedder does.
    """
    question.check()
    model = embedder.facts.digest
    unindexed = await find_unindexed(model, database, user=question.user)
    notices = await catch_up(unindexed, embedder, database)
    moments = [perf_counter()]
    vector, own = await _vector(question, embedder, database)
    moments.append(perf_counter())
    matrix = await open_matrix(home, model, database)
    moments.append(perf_counter())
    filtered = question.run is not None or question.model is not None
    rows = await _rows(question, matrix, model, database) if filtered else None
    if question.model is not None and rows is not None and not len(rows):
        await _check_model(question.model, model, database)
    near = await _nearest(question, matrix, rows, vector, model, database)
    phrases = question.phrases
    exact = await ids_with_phrases(phrases, question.seen, model, EXACT, database) if phrases else []
    similarities = {name: cosine for name, cosine in near if name != own}
    ranked = [name for name in fused(list(similarities), exact) if name != own][: question.most]
    moments.append(perf_counter())
    hits = await _hits(question, ranked, similarities, set(exact), vector, embedder, database)
    moments.append(perf_counter())
    embed_s, load_s, rank_s, show_s = (after - before for before, after in pairwise(moments))
    return SearchAnswer(
        hits=tuple(hits),
        model=embedder.facts.name,
        model_digest=model,
        texts=len(matrix.ids if rows is None else rows),
        unindexed=unindexed.count,
        notices=tuple(notices),
        times=SearchTimes(embed_s=embed_s, load_s=load_s, rank_s=rank_s, show_s=show_s),
    )


async def catch_up(unindexed: Unindexed, embedder: TextEmbedder, database: Database) -> list[str]:
    """Indexes what is little; else says that it is missing, and why where another model had it."""
    if unindexed.count <= FEW:
        await index_texts(unindexed, embedder, database, batch_jobs=AT_ONCE)
        unindexed.jobs.clear()
        return []
    missing = f"{how_many(unindexed.count, 'conversation')} are not indexed yet and are not found: {INDEX_REMEDY}."
    count, _ = await vectors_state(embedder.facts.digest, database)
    if count or not await any_vectors(database):
        return [missing]
    return [f"What is indexed was embedded by another model than {embedder.facts.name}. {missing}"]


async def _vector(question: SearchQuestion, embedder: TextEmbedder, database: Database) -> tuple[_Vector, str | None]:
    """The question's vector, and the id of the very text that it is (for `like`)."""
    if question.like is None:
        return (await embedder.embed([question.text]))[0], None
    job, turn = question.like
    found = await reply_vector(job, turn, question.user, embedder.facts.digest, database)
    if found is None:
        raise UnknownNameError("indexed reply", f"{job}:{turn + 1}", (), f"Is it there, and indexed? {INDEX_REMEDY}.")
    vector = np.frombuffer(found[1], "<f2").astype(np.float32)
    return vector / np.linalg.norm(vector), found[0]


async def _nearest(
    question: SearchQuestion,
    matrix: VectorMatrix,
    rows: FoundRows | None,
    vector: _Vector,
    model: str,
    database: Database,
) -> list[tuple[str, float]]:
    """Ids and cosines of the nearest texts that may be found. `rows`: only these."""
    if not len(matrix.ids):
        return []
    most = SPARE * question.most
    if rows is None:
        near = [(matrix.name(row), cosine) for row, cosine in nearest(matrix.vectors, vector, most)]
        seen = set(await seen_ids(question.seen, model, database, among=[name for name, _ in near]))
        found = [(name, cosine) for name, cosine in near if name in seen]
        if len(found) > question.most or len(near) < most:
            return found
        rows = await _rows(question, matrix, model, database)  # most of the nearest are other users'
    return [(matrix.name(row), cosine) for row, cosine in nearest(matrix.vectors, vector, most, rows)]


async def _check_model(contestant: str, model: str, database: Database) -> None:
    """Raises UnknownNameError for a contestant that said nothing anywhere."""
    known = await asked_models(model, database)
    if contestant not in known:
        raise UnknownNameError("model", contestant, known, "A variant is a model of its own here: MODEL+VARIANT.")


async def _rows(question: SearchQuestion, matrix: VectorMatrix, model: str, database: Database) -> FoundRows:
    """The rows of the texts that may be found."""
    return matrix.rows_of(await seen_ids(question.seen, model, database))


async def _hits(
    question: SearchQuestion,
    names: Sequence[str],
    similarities: Mapping[str, float],
    exact: set[str],
    vector: _Vector,
    embedder: TextEmbedder,
    database: Database,
) -> list[Hit]:
    texts = await read_stored_texts(names, question.seen, database)
    names = [name for name in names if name in texts]
    shown = await describe_places((place for name in names for place in texts[name].places[:PLACES]), database)
    best = await _best_sentences(
        {name: sentences(texts[name].text) for name in names if name not in exact}, vector, embedder
    )
    hits = []
    for name in names:
        text, phrases = texts[name].text, question.phrases if name in exact else ()
        sentence = with_phrases(text, phrases) if phrases else best.get(name, text)
        places = tuple(shown[place] for place in texts[name].places[:PLACES] if place in shown)
        hit = Hit(
            sentence=clipped(sentence, phrases),
            text=text,
            similarity=similarities.get(name),
            exact=name in exact,
            places=places,
            places_total=len(texts[name].places),
        )
        hits += [hit] if places else []
    return hits


async def _best_sentences(
    parts: Mapping[str, Sequence[str]], vector: _Vector, embedder: TextEmbedder
) -> dict[str, str]:
    """Of each text the sentence that is nearest to the question."""
    best = {name: texts[0] for name, texts in parts.items() if len(texts) == 1}
    several = {name: texts for name, texts in parts.items() if len(texts) > 1}
    vectors = await embedder.embed([text for texts in several.values() for text in texts])
    at = 0
    for name, texts in several.items():
        best[name] = texts[int(np.argmax(vectors[at : at + len(texts)] @ vector))]
        at += len(texts)
    return best
