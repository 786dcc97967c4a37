"""The speed probe: what the turns of many conversations at once cannot tell of a model, in a few seconds.

It is made after the work or while nobody waits. A fixed time bounds it, not a fixed amount of work: a slow model shows
its speed by few tokens, and how many they were is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from nightjar.jobs.models import ProbeKind, SpeedProbe
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.request import Engine, Generation, Request

MOST_PROMPT_TOKENS = 2048
MOST_GENERATED_TOKENS = 256
FIRST_PROMPT_TOKENS = 8
GROWTH = 8
"""Times a prompt may be longer than the one before: a few tokens say little about many."""
LIMIT_S = 1.5
"""For the prompt, and again for the reply."""
SWEEP = (1, 2, 4, 8, 16)
"""Conversations at once that are tried on a CPU."""
WORTH_SLOTS = 0.9
"""The fewest slots that reach this share of the best rate are enough: each takes memory, and all share one rate."""
_STRIDE = 7919
"""A prime, so that the prompt walks through the vocabulary without repeating itself."""


async def measure_speed(engine: Engine, *, vocabulary: int, limit_s: float = LIMIT_S) -> SpeedProbe:
    """One conversation by itself: a prompt, then a reply. Cancelled, it ends within a step."""
    prefill = await _prefill(engine, vocabulary, limit_s)
    most = min(MOST_GENERATED_TOKENS, engine.load.context - FIRST_PROMPT_TOKENS)
    decode = await engine.generate(_request(engine, vocabulary, FIRST_PROMPT_TOKENS, most, limit_s, round_=_STRIDE - 1))
    slots = engine.load.slots
    return SpeedProbe(
        kind=ProbeKind.TIME,
        measured_at=datetime.now(UTC).replace(microsecond=0),
        prompt_tokens=prefill.prompt_tokens - prefill.reused_tokens,
        generated_tokens=len(decode.token_ids),
        slots=slots,
        prefill_tokens_per_s=_rate(prefill.prompt_tokens - prefill.reused_tokens, prefill.timings.prefill_s),
        decode_tokens_per_s=_decode_rate(decode),
    )


async def _prefill(engine: Engine, vocabulary: int, limit_s: float) -> Generation:
    """Longer and longer prompts, until one takes about the time or is as long as any need be. The first reads the
    weights from the disk."""
    most = min(MOST_PROMPT_TOKENS, engine.load.context - 1)
    length = min(FIRST_PROMPT_TOKENS, most)
    for round_ in range(_STRIDE):
        reply = await engine.generate(_request(engine, vocabulary, length, 1, None, round_=round_))
        took_s = max(reply.timings.prefill_s, 1e-6)
        longer = min(most, GROWTH * length, int(length * limit_s / took_s))
        if round_ and (took_s >= limit_s / 2 or longer <= length):
            break
        length = max(length, longer)
    return reply


def _request(
    engine: Engine, vocabulary: int, length: int, tokens: int, limit_s: float | None, *, round_: int
) -> Request:
    """A prompt that no other round begins with, so that nothing of it is in the cache."""
    limit = {} if limit_s is None else {"time_limit_s": limit_s}
    return Request(
        id=f"speed-probe-{round_}",
        prompt=tuple((round_ + 1 + position * _STRIDE) % vocabulary for position in range(length)),
        max_tokens=tokens,
        parameters=Parameters(max_tokens=tokens, **limit),
        seed=1,
        final=True,
        ignore_end=True,
    )


def best_slots(by_slots: Mapping[int, float]) -> int | None:
    """The fewest conversations at once that decode about as fast as any number of them; None if nothing is known."""
    enough = WORTH_SLOTS * max(by_slots.values(), default=0.0)
    return min((slots for slots, rate in by_slots.items() if rate >= enough), default=None)


def _decode_rate(reply: Generation) -> float:
    """Of all tokens after the first, which belongs to the prompt. Where time was enough for one, that one tells."""
    count = len(reply.token_ids)
    if count < 2:
        return _rate(1, reply.timings.prefill_s + reply.timings.decode_s)
    return _rate(count - 1, reply.timings.decode_s)


def _rate(tokens: int, seconds: float) -> float:
    return tokens / max(seconds, 1e-9)
