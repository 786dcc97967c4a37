"""The speed probe: fixed work after loading, so that models are compared by the same work.

A job may be waiting, so the probe is short: a slow model is given a fixed part of the work, and its rates are of that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from nightjar.jobs.models import SpeedProbe
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.request import Engine, Generation, Request

PROMPT_TOKENS = 512
GENERATED_TOKENS = 128
PARTS = (32, 8, 2, 1)
"""A thirty-second of the work is done, then an eighth, a half and the whole, as long as each is expected in time."""
LIMIT_S = 6.0
"""For each of the two measurements; the smallest part takes as long as it takes."""
_STRIDE = 7919
"""A prime, so that the prompt walks through the vocabulary without repeating itself."""


async def measure_speed(engine: Engine, *, vocabulary: int, limit_s: float = LIMIT_S) -> SpeedProbe:
    """One slot, then all slots on the same prompt. Where the context is smaller, the work is scaled to it.

    A few tokens go before, unmeasured: they read the weights from the disk.
    """
    scale = min(1.0, engine.load.context / (PROMPT_TOKENS + GENERATED_TOKENS))

    async def work(part: int, count: int) -> list[Generation]:
        tokens = max(2, int(GENERATED_TOKENS * scale / part))
        length = max(1, int(PROMPT_TOKENS * scale / part))
        prompt = tuple((part + position * _STRIDE) % vocabulary for position in range(length))
        requests = (
            Request(
                id=f"speed-probe-{part}-{count}-{index}",
                prompt=prompt,
                max_tokens=tokens,
                parameters=Parameters(max_tokens=tokens),
                seed=index,
                final=True,
                ignore_end=True,
            )
            for index in range(count)
        )
        return await asyncio.gather(*map(engine.generate, requests))

    async def as_much_as_fits(count: int) -> list[Generation]:
        left_s = limit_s
        for part, larger in zip(PARTS, (*PARTS[1:], 0), strict=True):
            replies = await work(part, count)
            took_s = max(reply.timings.prefill_s + reply.timings.decode_s for reply in replies)
            left_s -= took_s
            if not larger or took_s * part / larger > left_s:
                break
        return replies

    await work(2 * PARTS[0], 1)
    slots = engine.load.slots
    [alone] = await as_much_as_fits(1)
    together = await as_much_as_fits(slots) if slots > 1 else [alone]
    return SpeedProbe(
        prompt_tokens=alone.prompt_tokens,
        generated_tokens=len(alone.token_ids),
        slots=slots,
        prefill_tokens_per_s=_rate(alone.prompt_tokens - alone.reused_tokens, alone.timings.prefill_s),
        decode_tokens_per_s=_decode_rate([alone]),
        all_slots_decode_tokens_per_s=_decode_rate(together),
    )


def _decode_rate(replies: Sequence[Generation]) -> float:
    """Tokens of all after the first of each, which belongs to the prompt, over the longest time."""
    tokens = sum(len(reply.token_ids) - 1 for reply in replies)
    return _rate(tokens, max(reply.timings.decode_s for reply in replies))


def _rate(tokens: int, seconds: float) -> float:
    return tokens / max(seconds, 1e-9)
