"""Likelihoods of given texts on real models: each as a plain loop over llama.cpp gives it for that text alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import llama_cpp as llama
import numpy as np
import pytest

from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.parameters import Parameters
from nightjar.scripts.dev.bench.__main__ import ROOT
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import Request, Scored, ScoreRequest
from nightjar.workers.library.inspect import read_facts
from tests.gguf_files import write_llama, write_mamba
from tests.smollm2 import smollm2

Ids = tuple[int, ...]
CONTEXT, MICRO_BATCH = 512, 64
MODELS: dict[str, Callable[[Path], Path]] = {
    "SmolLM2": lambda _: smollm2(),
    "the demo": lambda _: ROOT / "config/models/nightjar-demo.gguf",
    "sliding window": lambda folder: write_llama(folder / "window.gguf", layers=4, window=32),
    "recurrent": lambda folder: write_mamba(folder / "state.gguf"),
}


class Plain:
    """The plainest way: a cleared cache, one call for the context and one for the continuation, flash attention off."""

    def __init__(self, path: Path) -> None:
        self._model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = CONTEXT, CONTEXT, MICRO_BATCH
        params.n_threads = params.n_threads_batch = 1
        params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context = llama.llama_init_from_model(self._model, params)
        self._vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self._model))

    def score(self, context: Ids, continuation: Ids) -> Scored:
        llama.llama_memory_clear(llama.llama_get_memory(self._context), True)
        rows = self._rows(context, 0, 1)
        if len(continuation) > 1:
            rows = np.concatenate([rows, self._rows(continuation[:-1], len(context), len(continuation) - 1)])
        peaks = rows.max(axis=1, keepdims=True)
        sums = np.log(np.exp(rows - peaks).sum(axis=1, dtype=np.float64))
        places = range(len(continuation))
        return Scored(
            logprobs=tuple(
                float(rows[at, continuation[at]]) - float(float(peaks[at, 0]) + float(sums[at])) for at in places
            ),
            greedy=tuple(bool(rows[at].argmax() == continuation[at]) for at in places),
        )

    def _rows(self, ids: Ids, start: int, outputs: int) -> Any:
        batch = llama.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for at, token in enumerate(ids):
            batch.token[at], batch.pos[at], batch.n_seq_id[at] = token, start + at, 1
            batch.seq_id[at][0], batch.logits[at] = 0, at >= len(ids) - outputs
        assert llama.llama_decode(self._context, batch) == 0
        llama.llama_batch_free(batch)
        pointer = llama.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, shape=(outputs, self._vocabulary)).copy()

    def close(self) -> None:
        llama.llama_free(self._context)
        llama.llama_model_free(self._model)


@asynccontextmanager
async def opened(path: Path, **settings: Any) -> AsyncIterator[BatchEngine]:
    own = LoadSettings(threads=1, slots=1, context=CONTEXT, n_ubatch=MICRO_BATCH, **settings)
    async with await load(path, settings=own, facts=read_facts(path, "m"), gpu="none") as engine:
        yield engine


def questions(vocabulary: int) -> list[ScoreRequest]:
    """Two of one header, with four answers each, of one token and of several; and a text scored from its start."""
    draw = np.random.default_rng(5)

    def ids(count: int) -> Ids:
        return tuple(int(token) for token in draw.integers(4, vocabulary, count))

    header, stem = ids(130), ids(3)
    asked = [
        ScoreRequest(
            id=f"q{number}",
            context=(*header, *ids(20 + number)),
            continuations=(ids(1), (*stem, *ids(4)), (*stem, *ids(2)), ids(67)),
        )
        for number in range(2)
    ]
    window = ids(150)
    return [*asked, ScoreRequest(id="w", context=window[:1], continuations=(window[1:],))]


def plainly(path: Path, asked: Sequence[ScoreRequest]) -> list[tuple[Scored, ...]]:
    plain = Plain(path)
    try:
        return [tuple(plain.score(request.context, text) for text in request.continuations) for request in asked]
    finally:
        plain.close()


@pytest.mark.parametrize("name", MODELS)
async def test_under_reproducible_every_bit_is_the_plain_references(name: str, tmp_path: Path) -> None:
    """At once, beside a conversation, and again with all of it in the cache."""
    path = MODELS[name](tmp_path)
    asked = questions(read_facts(path, "m").file_facts.vocabulary)
    async with opened(path, reproducible=True) as engine:
        parameters = Parameters(max_tokens=20, temperature=0)
        reply = Request(id="r", prompt=(5, 6), max_tokens=20, parameters=parameters, seed=1, ignore_end=True)
        generation, *results = await asyncio.gather(engine.generate(reply), *map(engine.score, asked))
        again = [await engine.score(request) for request in asked]
        engine.check_integrity()
    expected = plainly(path, asked)
    assert len(generation.token_ids) == 20
    assert [result.scored for result in results] == expected
    assert [result.scored for result in again] == expected
    assert {result.layout for result in results} == {"resumed"}
    if engine.load.reproducible_alone or name in ("sliding window", "recurrent"):
        assert all(result.computed_tokens >= len(request.context) for request, result in zip(asked, again, strict=True))
    else:
        assert again[1].reused_tokens > 3 * 128, "the header's pieces were shared"


async def test_branches_are_the_plain_reference_up_to_rounding(tmp_path: Path) -> None:
    """On weights in full precision the layout says the same to a thousandth of a nat."""
    path = write_llama(tmp_path / "m.gguf", quantisation="F32", vocab=600)
    asked = questions(600)
    async with opened(path, flash_attention=False) as engine:
        results = await asyncio.gather(*map(engine.score, asked))
        again = [await engine.score(request) for request in asked]
    for got in (results, again):
        for result, expected in zip(got, plainly(path, asked), strict=True):
            assert result.layout == "branches"
            for one, other in zip(result.scored, expected, strict=True):
                assert np.abs(np.subtract(one.logprobs, other.logprobs)).sum() < 1e-3
                assert one.greedy == other.greedy
    distinct = 130 + sum(20 + number + 3 + 3 + 1 + 66 for number in range(2)) + 149
    assert sum(result.computed_tokens for result in results) <= 1.02 * distinct
