"""How many prompt tokens a step computes, as the device shows how fast it is. Pure."""

from __future__ import annotations

STEP_GOAL_S = 1.0
"""Prefill chunks adapt so that a step takes about this long at most."""
FIRST_CHUNK = 64
"""Prefill tokens of the first steps, before the device's speed is known."""
GROWTH = 4
"""Times a chunk may grow from one step to the next: one of 64 tokens says little about one of 2,048."""
ROWS = 16
"""Tokens that kernels compute in one go, at most: with Q4_0 llama.cpp takes a third longer for 15 rows than for 16."""


def next_chunk(chunk: int, prefilled: int, took_s: float, most: int) -> int:
    """Prefill tokens for the next step, after one that computed `prefilled` of the `chunk` it might have.

    Steps stay near their goal: a slow device gets smaller chunks, a fast one at last whole batches (`most`).
    """
    fits = prefilled * STEP_GOAL_S / max(took_s, 1e-6)
    if took_s < STEP_GOAL_S:
        if prefilled < chunk - ROWS:  # a few tokens say nothing about many
            return chunk
        fits = min(fits, GROWTH * chunk)
    elif prefilled < ROWS:  # it was something else that took so long
        return chunk
    return min(most, max(1, int(fits) // ROWS) * ROWS + 1)
