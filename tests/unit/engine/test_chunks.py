"""How many prompt tokens a step computes, as the device shows how fast it is."""

from __future__ import annotations

import pytest

from nightjar.workers.engine.chunks import STEP_GOAL_S, next_chunk


@pytest.mark.parametrize(
    ("chunk", "prefilled", "took", "expected"),
    [
        (64, 64, 0.01, 257),  # fast: four times as much
        (64, 64, 0.0, 257),  # faster than the clock
        (1500, 1500, 0.01, 2048),  # at last a whole batch
        (64, 64, 0.8, 81),  # not far from the goal: only as much as fits
        (513, 512, 4.0, 129),  # slow: what fits
        (65, 64, 30.0, 17),  # very slow: the kernels' rows, once
        (65, 12, 0.01, 65),  # a few tokens say nothing about many
        (65, 0, 0.01, 65),
        (65, 3, 5.0, 65),  # something else took so long
        (17, 17, 0.5, 33),  # it grows again after a bad moment
    ],
)
def test_chunks_follow_the_device(chunk: int, prefilled: int, took: float, expected: int) -> None:
    """`took` in goals."""
    assert next_chunk(chunk, prefilled, took * STEP_GOAL_S, 2048) == expected
