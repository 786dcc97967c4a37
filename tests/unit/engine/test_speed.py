"""The speed probe on an engine whose rates are given: it takes seconds on any machine, and measures what is there."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from nightjar.jobs.models import SpeedProbe
from nightjar.jobs.records import Timings
from nightjar.workers.engine.request import Engine, Generation, Request
from nightjar.workers.engine.speed import GENERATED_TOKENS, LIMIT_S, PROMPT_TOKENS, measure_speed
from tests.factories import load_facts


class Paced:
    """Generates at given rates, in tokens per second, on a clock of its own: conversations at once share a rate."""

    def __init__(self, *, prefill: float, decode: float, together: float, slots: int) -> None:
        self.load = load_facts(1.0).model_copy(update={"slots": slots})
        self.rates = (prefill, decode, together)
        self.seconds = 0.0
        self.tokens: list[int] = []
        self._waiting: list[tuple[Request, asyncio.Future[Generation]]] = []

    async def generate(self, request: Request) -> Generation:
        self._waiting.append((request, asyncio.get_running_loop().create_future()))
        await asyncio.sleep(0)
        batch, self._waiting = self._waiting, []
        if batch:
            self._serve(batch)
            self._served = {asked.id: done for asked, done in batch}
        return await self._served[request.id]

    def _serve(self, batch: list[tuple[Request, asyncio.Future[Generation]]]) -> None:
        prefill, decode, together = self.rates
        rate = decode if len(batch) == 1 else together / len(batch)
        took = 0.0
        for request, done in batch:
            prefill_s, decode_s = len(request.prompt) / prefill, (request.max_tokens - 1) / rate
            took = max(took, prefill_s + decode_s)
            timings = Timings(queue_s=0, prefill_s=prefill_s, decode_s=decode_s)
            done.set_result(
                Generation(
                    token_ids=(1,) * request.max_tokens,
                    text="",
                    finish_reason="length",
                    prompt_tokens=len(request.prompt),
                    reused_tokens=0,
                    timings=timings,
                )
            )
            self.tokens.append(request.max_tokens)
        self.seconds += took


async def probed(engine: Paced) -> SpeedProbe:
    return await measure_speed(cast(Engine, cast(Any, engine)), vocabulary=32_000)


@pytest.mark.parametrize(
    ("prefill", "decode", "together", "slots"),
    [(5.0, 2.5, 5.0, 16), (60.0, 8.0, 20.0, 8), (400.0, 40.0, 60.0, 4), (2.0, 1.0, 1.0, 1), (1000.0, 90.0, 120.0, 64)],
)
async def test_a_slow_model_is_measured_within_seconds(
    prefill: float, decode: float, together: float, slots: int
) -> None:
    """Four minutes and more before; the rates are those of the model."""
    engine = Paced(prefill=prefill, decode=decode, together=together, slots=slots)
    probe = await probed(engine)
    assert engine.seconds <= 2 * LIMIT_S + 4 * (16 / prefill + 4 / decode + slots * 4 / together)
    assert engine.seconds <= 60
    assert probe.prefill_tokens_per_s == pytest.approx(prefill)
    assert probe.decode_tokens_per_s == pytest.approx(decode)
    assert probe.all_slots_decode_tokens_per_s == pytest.approx(together if slots > 1 else decode)


async def test_a_fast_model_does_the_whole_work() -> None:
    """The same as ever, so that its nights stay comparable."""
    engine = Paced(prefill=9000.0, decode=150.0, together=2400.0, slots=16)
    probe = await probed(engine)
    assert (probe.prompt_tokens, probe.generated_tokens, probe.slots) == (PROMPT_TOKENS, GENERATED_TOKENS, 16)
    assert engine.tokens.count(GENERATED_TOKENS) == 1 + 16
