"""Intervals against published values, and at the edges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.pipeline.statistics.intervals import (
    Interval,
    bounded_interval,
    share_interval,
    standard_error,
    t_interval,
    t_quantile,
)


def test_t_quantile() -> None:
    """Student's table: 2.776 at 4 degrees of freedom, 1.960 far out."""
    assert t_quantile(0.95, 4) == pytest.approx(2.776, abs=5e-4)
    assert t_quantile(0.95, 10**7) == pytest.approx(1.95996, abs=1e-5)


def test_t_interval() -> None:
    """Darwin's maize (Fisher 1935): 15 differences, mean 20.93, 95 % interval 0.03 to 41.84."""
    darwin = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    interval = t_interval(darwin)
    assert interval is not None
    assert [interval.low, interval.high] == pytest.approx([0.03, 41.84], abs=0.01)


def test_few_sequences_get_no_interval() -> None:
    """Under five there is none; one value has no standard error."""
    assert t_interval([1, 2, 3, 4]) is None
    assert share_interval([0, 1, 1, 0], 4) is None
    assert standard_error([1.0]) is None


def test_share_interval_is_wilsons() -> None:
    """One trial a sequence and many sequences: Wilson's classic interval, 8 of 10 scaled to 800 of 1000."""
    interval = share_interval([1.0] * 800 + [0.0] * 200, 1000)
    assert interval is not None
    assert [interval.low, interval.high] == pytest.approx([0.774, 0.824], abs=0.001)


def test_all_passed_is_not_certain() -> None:
    """Ten of ten: the interval reaches 1 and says that less is possible."""
    interval = share_interval([1.0] * 10, 60)
    assert interval is not None
    assert interval.high == 1
    assert 0.6 < interval.low < 0.8


def test_clustered_trials_count_less() -> None:
    """Sixty trials that go together by sequence say no more than ten; sixty that do not say more."""
    together = share_interval([1.0] * 5 + [0.0] * 5, 60)
    apart = share_interval([0.5] * 9 + [0.6], 60)
    assert together is not None
    assert apart is not None
    assert together.high - together.low > 2 * (apart.high - apart.low)


@given(st.lists(st.floats(0, 1), min_size=5, max_size=30), st.integers(1, 6))
def test_share_interval_holds_the_share(values: list[float], turns: int) -> None:
    """Inside 0..1 and around the mean."""
    interval = share_interval(values, turns * len(values))
    assert interval is not None
    mean = sum(values) / len(values)
    assert 0 <= interval.low <= mean + 1e-9
    assert mean - 1e-9 <= interval.high <= 1


@pytest.mark.parametrize(
    ("points", "low", "high"),
    [
        ([3.0] * 14 + [2.0] * 3 + [4.0] * 3, 2.73, 3.27),  # ordinary points: as wide as Student's t, 2.74 to 3.26
        ([5.0] * 20, 4.28, 5.0),  # all at the end of the scale, where t says "5.00-5.00"
        ([5.0] * 18 + [4.0, 2.0], 4.19, 4.96),  # near the end: further down than up, where t passes it
    ],
)
def test_points_have_ends(points: list[float], low: float, high: float) -> None:
    interval = bounded_interval(points, 1, 5)
    assert interval is not None
    assert [interval.low, interval.high] == pytest.approx([low, high], abs=0.005)
    assert interval.method == "wilson, rescaled"


def test_cut_to_what_can_be() -> None:
    """A count is never below 0."""
    assert Interval(low=-2.5, high=20, method="t").within(0, None) == Interval(low=0, high=20, method="t")
