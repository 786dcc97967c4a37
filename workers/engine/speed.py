"""The speed probe: fixed work after loading, so that models are compared by the same work."""

from __future__ import annotations

import asyncio

from nightjar.jobs.models import SpeedProbe
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.request import Engine, Generation, Request

PROMPT_TOKENS = 512
GENERATED_TOKENS = 128
_STRIDE = 7919
"""A prime, so that the prompt walks through the vocabulary without repeating itself."""


async def measure_speed(engine: Engine, *, vocabulary: int) -> SpeedProbe:
    """One slot, then all slots on the same prompt. Where the context is smaller, the work is scaled to it.

    A short prompt goes before, unmeasured: it reads the weights from the disk, and prompt chunks grow with it.
    """
    context, slots = engine.load.context, engine.load.slots
    scale = min(1.0, context / (PROMPT_TOKENS + GENERATED_TOKENS))
    prompt_tokens, generated = max(1, int(PROMPT_TOKENS * scale)), max(2, int(GENERATED_TOKENS * scale))
    prompt = tuple(position * _STRIDE % vocabulary for position in range(prompt_tokens))

    async def work(index: int, ids: tuple[int, ...] = prompt, tokens: int = generated) -> Generation:
        request = Request(
            id=f"speed-probe-{index}",
            prompt=ids,
            max_tokens=tokens,
            parameters=Parameters(max_tokens=tokens),
            seed=index,
            final=True,
            ignore_end=True,
        )
        return await engine.generate(request)

    await work(slots, tuple(reversed(prompt))[: max(1, prompt_tokens // 4)], 2)
    alone = await work(0)
    together = await asyncio.gather(*(work(index) for index in range(slots)))
    return SpeedProbe(
        prompt_tokens=prompt_tokens,
        generated_tokens=generated,
        slots=slots,
        prefill_tokens_per_s=_rate(prompt_tokens, alone.timings.prefill_s),
        decode_tokens_per_s=_rate(generated - 1, alone.timings.decode_s),
        all_slots_decode_tokens_per_s=_rate(slots * (generated - 1), max(reply.timings.decode_s for reply in together)),
    )


def _rate(tokens: int, seconds: float) -> float:
    return tokens / max(seconds, 1e-9)
