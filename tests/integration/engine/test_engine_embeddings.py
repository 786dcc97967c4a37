"""Embeddings from tiny models built here: batched as well as alone, pooled as their metadata says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nightjar.config.errors import ContextError, ModelError
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.models import ModelKind
from nightjar.jobs.parameters import Parameters
from nightjar.scripts.dev.bench.models import TINY, build
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import Request
from nightjar.workers.library.inspect import read_facts
from tests.encoder_files import write_bert, write_t5

MEAN, CLS, LAST = 1, 2, 3


def an_encoder(folder: Path, pooling: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return write_bert(folder / "encoder.gguf", pooling=pooling)


def an_encoder_of_t5(folder: Path, pooling: int) -> Path:
    return write_t5(folder / "encoder.gguf", pooling=pooling)


def a_decoder(folder: Path, pooling: int) -> Path:
    return build(TINY, folder, extra={"llama.pooling_type": pooling})


async def opened(path: Path) -> BatchEngine:
    facts = read_facts(path, "tiny")
    assert facts.kind is ModelKind.EMBEDDING
    return await load(path, settings=LoadSettings(threads=1, slots=3, context=64), facts=facts, gpu="none")


@pytest.mark.parametrize(
    ("make", "pooling"),
    [(an_encoder, MEAN), (an_encoder, CLS), (an_encoder_of_t5, MEAN), (a_decoder, MEAN), (a_decoder, LAST)],
)
async def test_a_text_has_the_same_embedding_alone_and_among_others(tmp_path: Path, make: Any, pooling: int) -> None:
    engine = await opened(make(tmp_path, pooling))
    texts = [[2, 5, 6, 3], [2, 5, 7, 3], [2, *[8] * 58, 3], [2, 9, 10, 11, 3], [2, 5, 6, 3]]
    together = await engine.embed(texts)
    alone = [(await engine.embed([text]))[0] for text in texts]
    for one, other in zip(together, alone, strict=True):
        assert np.dot(one, other) > 0.999
        assert np.dot(one, one) == pytest.approx(1)
    assert np.dot(together[0], together[4]) > 0.999
    assert np.dot(together[0], together[1]) < 0.999
    await engine.close()


async def test_pooling_is_that_of_the_metadata(tmp_path: Path) -> None:
    """The first token's vector is not the mean of all."""
    found = {}
    for pooling in (MEAN, CLS):
        engine = await opened(an_encoder(tmp_path / str(pooling), pooling))
        (found[pooling],) = await engine.embed([[2, 5, 6, 3]])
        await engine.close()
    assert np.dot(found[MEAN], found[CLS]) < 0.999


async def test_texts_get_the_control_tokens_the_model_wants(tmp_path: Path) -> None:
    """BERT wants CLS and SEP around a text; such tokens written in it stay text."""
    engine = await opened(an_encoder(tmp_path, MEAN))
    ids = engine.tokenize("the fox ran")
    assert (ids[0], ids[-1]) == (2, 3)
    assert engine.count_tokens("the fox ran") == len(ids) == 5
    assert 3 not in engine.tokenize("fox [SEP] fox")[1:-1]
    await engine.close()


async def test_an_embedding_model_does_not_generate_and_texts_must_fit(tmp_path: Path) -> None:
    engine = await opened(an_encoder(tmp_path, MEAN))
    with pytest.raises(ModelError, match="embedding model"):
        await engine.generate(Request(id="1", prompt=(5,), max_tokens=1, parameters=Parameters(), seed=1))
    with pytest.raises(ContextError, match=r"Text 1 has 65 tokens.*64"):
        await engine.embed([[5], [5] * 65])
    await engine.close()
