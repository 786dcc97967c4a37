"""The speed probe on an engine whose rates are given: it takes seconds on any machine, and measures what is there."""

from __future__ import annotations

from typing import Any, cast

import pytest

from nightjar.jobs.models import ProbeKind, SpeedProbe
from nightjar.jobs.records import Timings
from nightjar.workers.engine.request import Engine, Generation, Request
from nightjar.workers.engine.speed import (
    LIMIT_S,
    MOST_GENERATED_TOKENS,
    MOST_PROMPT_TOKENS,
    best_slots,
    measure_speed,
)
from tests.factories import load_facts


class Paced:
    """Generates at given rates, in tokens per second, on a clock of its own, and heeds a request's time limit."""

    def __init__(self, *, prefill: float, decode: float, context: int = 8192) -> None:
        self.load = load_facts(1.0).model_copy(update={"context": context})
        self.rates = (prefill, decode)
        self.seconds = 0.0
        self.prompts: list[tuple[int, ...]] = []

    async def generate(self, request: Request) -> Generation:
        prefill, decode = self.rates
        self.prompts.append(request.prompt)
        prefill_s = len(request.prompt) / prefill
        left_s = request.parameters.time_limit_s - prefill_s
        tokens = min(request.max_tokens, 1 + max(0, int(left_s * decode)))
        timings = Timings(queue_s=0, prefill_s=prefill_s, decode_s=(tokens - 1) / decode)
        self.seconds += timings.total_s
        return Generation(
            token_ids=(1,) * tokens,
            text="",
            finish_reason="length",
            prompt_tokens=len(request.prompt),
            reused_tokens=0,
            timings=timings,
        )


async def probed(engine: Paced) -> SpeedProbe:
    return await measure_speed(cast(Engine, cast(Any, engine)), vocabulary=32_000)


@pytest.mark.parametrize(
    ("prefill", "decode"),
    [(12.0, 2.5), (60.0, 8.0), (400.0, 40.0), (9000.0, 150.0), (200_000.0, 2300.0)],
)
async def test_any_model_is_measured_within_seconds(prefill: float, decode: float) -> None:
    """Four minutes and more once; the rates are those of the model, and by how many tokens is recorded."""
    engine = Paced(prefill=prefill, decode=decode)
    probe = await probed(engine)
    assert engine.seconds <= 4 * LIMIT_S
    assert probe.prefill_tokens_per_s == pytest.approx(prefill)
    assert probe.decode_tokens_per_s == pytest.approx(decode)
    assert probe.kind is ProbeKind.TIME
    assert probe.measured_at is not None
    assert 8 <= probe.prompt_tokens <= MOST_PROMPT_TOKENS
    assert 2 <= probe.generated_tokens <= MOST_GENERATED_TOKENS


async def test_the_time_is_used() -> None:
    """As many tokens as 1.5 s are enough for, or nearly: few say little."""
    probe = await probed(Paced(prefill=400.0, decode=40.0))
    assert 0.5 * LIMIT_S * 400 <= probe.prompt_tokens <= LIMIT_S * 400
    assert 0.9 * LIMIT_S * 40 <= probe.generated_tokens <= LIMIT_S * 40


async def test_a_model_so_slow_that_time_is_enough_for_one_token() -> None:
    """Its one token tells; a rate out of nothing would be a lie."""
    probe = await probed(Paced(prefill=6.0, decode=0.5))
    assert 0.2 <= probe.decode_tokens_per_s <= 6


async def test_no_prompt_begins_like_another_and_a_small_context_is_enough() -> None:
    """Else the cache would answer."""
    engine = Paced(prefill=5000.0, decode=100.0, context=64)
    probe = await probed(engine)
    assert len({prompt[0] for prompt in engine.prompts}) == len(engine.prompts)
    assert max(map(len, engine.prompts)) <= 63
    assert probe.generated_tokens <= 64 - 8


@pytest.mark.parametrize(
    ("by_slots", "best"),
    [
        ({}, None),
        ({1: 60.0, 2: 61.0, 4: 62.0, 8: 63.0}, 1),  # eight are no faster than one
        ({1: 567.0, 2: 568.0, 4: 836.0, 8: 1077.0, 16: 1234.0}, 16),
        ({1: 50.0, 8: 85.0, 16: 90.0}, 8),  # another 6 % are not worth twice the memory
    ],
)
def test_the_fewest_slots_that_are_about_as_fast_as_any(by_slots: dict[int, float], best: int | None) -> None:
    assert best_slots(by_slots) == best
