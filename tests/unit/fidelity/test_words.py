"""Numbers of fidelity as people read them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nightjar.pipeline.report.data import fidelity_words as words
from nightjar.pipeline.report.data.fidelity_numbers import Estimate
from nightjar.pipeline.statistics.intervals import Interval


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (2e-7, "<0.000001"),
        (0.000012, "1.2e-05"),
        (0.02, "0.0200"),  # as exact as the 0.0234 beside it
        (0.28, "0.280"),
        (1.0, "1.00"),
        (123.4, "123"),
    ],
)
def test_a_divergence_has_three_digits(value: float, shown: str) -> None:
    assert words.nats(value) == shown


@pytest.mark.parametrize(
    ("low", "high", "show", "shown"),
    [
        (0.02, 0.0234, words.nats, "0.0200\u2060\u2013\u20600.0234"),
        (0.826, 0.865, words.share, "82.6\u2060\u2013\u206086.5\u202f%"),  # the unit once
        (-0.0139, 0.0084, words.points, "\u22121.39\u00a0to\u00a0+0.84\u202fpp"),
        (0.5, 0.5, words.share, ""),
    ],
)
def test_the_two_ends_of_an_interval(low: float, high: float, show: Callable[[float], str], shown: str) -> None:
    estimate = Estimate(value=low, interval=Interval(low=low, high=high, method="t"))
    assert words.ends(estimate, show) == shown
