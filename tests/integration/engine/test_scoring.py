"""Likelihoods of given texts on real models: each as a plain loop over llama.cpp gives it for that text alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import Request, Scored, ScoreRequest
from nightjar.workers.library.inspect import read_facts
from tests.gguf_files import write_llama, write_lora, write_mamba
from tests.plain_scores import MICRO_BATCH, PLAIN_CONTEXT, Ids, PlainScorer
from tests.smollm2 import smollm2

DEMO = Path(__file__).parents[3] / "config/models/nightjar-demo.gguf"
MODELS: dict[str, Callable[[Path], Path]] = {
    "SmolLM2": lambda _: smollm2(),
    "the demo": lambda _: DEMO,
    "sliding window": lambda folder: write_llama(folder / "window.gguf", layers=4, window=32),
    "recurrent": lambda folder: write_mamba(folder / "state.gguf"),
}


Adapters = Sequence[tuple[Path, float]]


@asynccontextmanager
async def opened(path: Path, adapters: Adapters = (), **settings: Any) -> AsyncIterator[BatchEngine]:
    own = LoadSettings(threads=1, slots=1, context=PLAIN_CONTEXT, n_ubatch=MICRO_BATCH, **settings)
    async with await load(path, settings=own, facts=read_facts(path, "m"), gpu="none", adapters=adapters) as engine:
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


def plainly(path: Path, asked: Sequence[ScoreRequest], adapters: Adapters = ()) -> list[tuple[Scored, ...]]:
    plain = PlainScorer(path, adapters)
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
        talking = asyncio.create_task(engine.generate(reply))
        results = await asyncio.gather(*map(engine.score, asked))
        generation = await talking
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


@pytest.mark.parametrize("quantisation", ["F32", "Q8_0"])
async def test_with_adapters_every_bit_is_the_plain_references(quantisation: str, tmp_path: Path) -> None:
    """Two LoRA adapters at their scales, item by item; in branches up to rounding. Without them it says otherwise."""
    path = write_llama(tmp_path / "m.gguf", vocab=600, quantisation=quantisation)
    adapters = [
        (write_lora(tmp_path / "one.gguf"), 0.5),
        (write_lora(tmp_path / "two.gguf", rank=2), 1.0),
    ]
    asked = questions(600)
    async with opened(path, adapters, reproducible=True) as engine:
        results = [result.scored for result in await asyncio.gather(*map(engine.score, asked))]
    expected = plainly(path, asked, adapters)
    assert results == expected
    assert plainly(path, asked)[0] != expected[0]
    assert plainly(path, asked, adapters[:1])[0] != expected[0]
    if quantisation != "F32":  # on quantised weights branches say otherwise by batch shape
        return
    async with opened(path, adapters, flash_attention=False) as engine:
        branches = await asyncio.gather(*map(engine.score, asked))
    for got, wanted in zip(branches, expected, strict=True):
        assert got.layout == "branches"
        for one, other in zip(got.scored, wanted, strict=True):
            assert np.abs(np.subtract(one.logprobs, other.logprobs)).sum() < 1e-3


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
