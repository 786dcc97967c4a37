"""Intervals of differences: none without width, textbook values, and from where on a gate can pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.pipeline.statistics.differences import difference_interval, smallest_passing
from nightjar.pipeline.statistics.intervals import t_interval
from nightjar.pipeline.statistics.paired import compare_pairs


@pytest.mark.parametrize(
    ("differences", "reach", "low", "high"),
    [
        # five that fell by 50 of 100: 50 and -50 are added; t with 4 degrees of freedom, 2.776
        ([-50.0] * 5, 50.0, -75.4, 3.9),
        # six: the sign-flip test says 0.031, and the interval agrees
        ([-50.0] * 6, 50.0, -69.6, -5.4),
        # nothing seen in twenty at the ceiling of 1 to 5: four points each way may come next
        ([0.0] * 20, 4.0, -0.605, 0.605),
        # nineteen ties and one difference that was seen
        ([0.0] * 19 + [4.0], 4.0, -0.374, 0.738),
    ],
)
def test_of_bounded_values(differences: list[float], reach: float, low: float, high: float) -> None:
    interval = difference_interval(differences, reach)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.06)


def test_of_ordinary_values_it_is_nearly_students() -> None:
    """Twenty differences that vary: within a tenth of the width of t's."""
    differences = [float((7 * at) % 11 - 4) for at in range(20)]
    for reach in (None, 8.0):
        ours, students = difference_interval(differences, reach), t_interval(differences)
        assert ours is not None
        assert students is not None
        assert 0.9 < (ours.high - ours.low) / (students.high - students.low) < 1.1


def test_of_passes_it_is_as_wide_as_bonett_and_prices_with_the_normal_quantile() -> None:
    """Their interval for 20 pairs, 6 worse and 1 better, by hand: (1 - 6) / 22 and 1.96 standard errors."""
    interval = difference_interval([1.0] + [-1.0] * 6 + [0.0] * 13, 0.65)
    assert interval is not None
    reach = 1.96 * ((9 / 22 - (5 / 22) ** 2) / 22) ** 0.5
    assert interval.low == pytest.approx(-5 / 22 - reach, abs=0.03)
    assert interval.high == pytest.approx(-5 / 22 + reach, abs=0.03)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=5, max_size=12), st.floats(0.0, 1.0))
def test_it_has_a_width_stays_on_the_scale_and_is_symmetric(values: list[float], level: float) -> None:
    """Whatever the values: exchanging the sides mirrors it."""
    first = {str(at): value for at, value in enumerate(values)}
    second = dict.fromkeys(first, level)
    one = compare_pairs(first, second, ends=(0.0, 1.0)).interval
    other = compare_pairs(second, first, ends=(0.0, 1.0)).interval
    assert one is not None
    assert other is not None
    assert -1 <= one.low < one.high <= 1
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_four_are_too_few() -> None:
    assert difference_interval([1.0] * 4, 1.0) is None


def test_from_where_on_a_gate_can_pass() -> None:
    """The first number of sequences whose interval without a difference keeps within the margin."""
    n = smallest_passing(0.05, 1.0)
    assert n == 61
    for size, kept in ((n, True), (n - 1, False)):
        interval = difference_interval([0.0] * size, 1.0)
        assert interval is not None
        assert (interval.low >= -0.05) is kept
    assert smallest_passing(0.0, 1.0) is None
