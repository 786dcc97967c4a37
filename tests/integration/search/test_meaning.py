"""A real embedding model: our ranking is the original's, and near-duplicates are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nightjar.config.settings import Settings
from nightjar.pipeline.search.rank import nearest
from nightjar.workers.embedder.client import open_embedder
from tests.minilm import WHEEL_SHA256, Original, cached_gguf, embed_all
from tests.original_sentences import sentences

SAME = 0.002
"""Cosines closer than this may change places: the model's file holds halved floats, and so do stored vectors."""


@pytest.fixture(scope="module")
def minilm(request: pytest.FixtureRequest) -> tuple[Original, Path]:
    assert request.config.cache is not None
    return cached_gguf(request.config.cache.mkdir(f"minilm-{WHEEL_SHA256[:12]}"))


async def test_the_ranking_is_the_originals(
    settings: Settings, minilm: tuple[Original, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """On 200 sentences with known neighbours: the nearest of each, in the original's order; and near-duplicates."""
    from tokenizers import Tokenizer

    texts = sentences()
    assert len(texts) == len(set(texts)) == 200
    async with await open_embedder(settings.model_copy(update={"memory_model": str(minilm[1])}), "This test") as ours:
        vectors = (await ours.embed(texts)).astype("<f2").astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tokenizer = Tokenizer.from_file(str(minilm[0].tokenizer_file))
    tokenizer.no_padding()
    theirs = embed_all(minilm[0], [tokenizer.encode(text).ids for text in texts])
    for query in range(200):
        cosines = theirs @ theirs[query]
        found = [row for row, _ in nearest(vectors, vectors[query], 6)]
        assert found[0] == query
        original = np.sort(cosines)[::-1][:6]
        assert np.abs(cosines[found] - original).max() < SAME, texts[query]
    known = {(a, b) for a in range(200) for b in range(a + 1, 200) if a // 4 == b // 4}
    pairs = {(int(a), int(b)) for a, b in np.argwhere(np.triu(vectors @ vectors.T >= 0.6, 1))}
    precision, recall = len(pairs & known) / len(pairs), len(pairs & known) / len(known)
    with capsys.disabled():
        print(f"\nnear-duplicates at 0.6: precision {precision:.3f}, recall {recall:.3f}")
    assert precision > 0.9
    assert recall > 0.6
