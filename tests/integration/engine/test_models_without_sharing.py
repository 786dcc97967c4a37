"""Models whose cache cannot be copied or trimmed: they work, many conversations at once, without sharing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import Request
from nightjar.workers.library.inspect import read_facts
from tests.gguf_files import write_llama, write_mamba

Replies = list[tuple[tuple[int, ...], tuple[int, ...]]]
KINDS: dict[str, Callable[[Path], Path]] = {
    "sliding window": lambda folder: write_llama(folder / "window.gguf", layers=4, window=32),
    "recurrent": lambda folder: write_mamba(folder / "state.gguf"),
}


async def conversations(path: Path, slots: int) -> tuple[BatchEngine, Replies]:
    """Six conversations of two turns that begin alike, greedy, at once where there are slots."""
    settings = LoadSettings(threads=1, slots=slots, context=512, flash_attention=False)
    engine = await load(path, settings=settings, facts=read_facts(path, "m"), gpu="none")

    async def ask(id_: str, prompt: tuple[int, ...], final: bool) -> tuple[int, ...]:
        parameters = Parameters(max_tokens=12, temperature=0)
        request = Request(id=id_, prompt=prompt, max_tokens=12, parameters=parameters, seed=1, final=final)
        return (await engine.generate(request)).token_ids

    async def one(number: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        prompt = (*range(10, 90), 100 + number)
        first = await ask(f"{number}/1", prompt, False)
        return first, await ask(f"{number}/2", (*prompt, *first, 200 + number), True)

    replies = list(await asyncio.gather(*(one(number) for number in range(6))))
    engine.check_integrity()
    return engine, replies


@pytest.mark.parametrize("kind", KINDS)
async def test_conversations_at_once_say_what_they_say_one_at_a_time(kind: str, tmp_path: Path) -> None:
    path = KINDS[kind](tmp_path)
    many, together = await conversations(path, slots=3)
    await many.close()
    one, apart = await conversations(path, slots=1)
    await one.close()
    assert together == apart
    assert len({first for first, _ in together}) > 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cut_beginning_is_computed_again(kind: str, tmp_path: Path) -> None:
    """Where the cells do not end where the new prompt leaves them, nothing of them is used."""
    path = KINDS[kind](tmp_path)
    engine, _ = await conversations(path, slots=1)
    parameters = Parameters(max_tokens=4, temperature=0)
    prompt = tuple(range(10, 60))
    request = Request(id="r", prompt=prompt, max_tokens=4, parameters=parameters, seed=1)
    first = await engine.generate(request)
    again = await engine.generate(request)
    assert first.reused_tokens == again.reused_tokens == 0
    assert first.token_ids == again.token_ids
    await engine.close()
