"""Rates, percentiles and busy time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.pipeline.report.data.speed import SpeedTally, covered_s, percentile
from nightjar.pipeline.transcripts import RowReader, TurnRow
from tests import factories


def turn(**timings: Any) -> TurnRow:
    raw = factories.turn(prompt_tokens=timings.pop("prompt_tokens", 100), reused_tokens=timings.pop("reused_tokens", 0))
    tokens = timings.pop("reply_tokens", 0)
    raw["draws"][0]["timings"] = {"queue_s": 0.0, "first_token_s": None, **timings}
    (row,) = RowReader().job({**factories.job(turns=[raw]), "reply_tokens": [tokens]}).turns
    return row


def test_rates() -> None:
    """Two conversations at once: each decodes at 10/s, the machine at 20/s."""
    tally = SpeedTally()
    for _ in range(2):
        tally.add(turn(reply_tokens=21, prefill_s=0.5, decode_s=2.0, first_token_s=0.5), 10)
    speed = tally.speed()
    assert speed.prefill_tokens_per_s == 200
    assert speed.decode_tokens_per_s == 10  # 20 tokens after the first, in 2 s
    assert speed.busy_s == 2.5
    assert speed.total_tokens_per_s == 42 / 2.5
    assert (speed.first_token_p50_s, speed.latency_p95_s) == (0.5, 2.5)


def test_nothing_measured_is_none() -> None:
    """No turn: no number anywhere."""
    assert set(vars(SpeedTally().speed()).values()) == {None}


def test_reused_prompt_has_no_prefill_rate() -> None:
    """A prompt that was entirely in the cache was not computed."""
    tally = SpeedTally()
    tally.add(turn(reused_tokens=100, prefill_s=0.1, decode_s=0.0), 1)
    speed = tally.speed()
    assert (speed.prefill_tokens_per_s, speed.decode_tokens_per_s, speed.first_token_p50_s) == (None, None, None)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, None), ([3], 95, 3), ([1, 2, 3, 4], 50, 2.5), ([4, 1, 3, 2], 25, 1.75), (list(range(101)), 95, 95)],
)
def test_percentile(values: list[float], percent: float, expected: float | None) -> None:
    """As numpy's default."""
    assert percentile(values, percent) == expected


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10)), max_size=20))
def test_covered_time(spans: list[tuple[int, int]]) -> None:
    """The union of intervals, against counting unit cells."""
    cells = {second for start, length in spans for second in range(start, start + length)}
    assert covered_s([s for s, _ in spans], [s + n for s, n in spans]) == len(cells)
