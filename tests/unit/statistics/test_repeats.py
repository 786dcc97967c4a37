"""Reducers of repeats against published values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nightjar.pipeline.statistics.intervals import Interval
from nightjar.pipeline.statistics.repeats import ks, median, pass_all, pass_at
from nightjar.pipeline.statistics.spread import bootstrap_interval, resamples


@pytest.mark.parametrize(
    ("passed", "repeats", "k", "at", "every"),
    [
        (1, 5, 1, 0.2, 0.2),  # k = 1: the share that passes
        (3, 5, 2, 0.9, 0.3),  # 1 - C(2,2)/C(5,2), C(3,2)/C(5,2)
        (5, 10, 5, 1 - 1 / 252, 1 / 252),  # 1 - C(5,5)/C(10,5)
        (0, 4, 4, 0.0, 0.0),
        (4, 4, 4, 1.0, 1.0),
        (2, 3, 4, None, None),  # more than there are repeats
    ],
)
def test_pass_at_k_and_all_of_k(passed: int, repeats: int, k: int, at: float | None, every: float | None) -> None:
    """Chen et al. 2021 and Yao et al. 2024, worked by hand."""
    assert pass_at(passed, repeats, k) == (pytest.approx(at) if at is not None else None)
    assert pass_all(passed, repeats, k) == (pytest.approx(every) if every is not None else None)


def test_estimators_are_what_drawing_k_repeats_gives() -> None:
    """Over every choice of 3 of 6 repeats, 4 of which pass."""
    draws = list(itertools.combinations([1, 1, 1, 1, 0, 0], 3))
    assert pass_at(4, 6, 3) == pytest.approx(np.mean([any(draw) for draw in draws]))
    assert pass_all(4, 6, 3) == pytest.approx(np.mean([all(draw) for draw in draws]))


def test_median() -> None:
    """The middle, or the mean of the middle two."""
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([4.0, 1.0, 2.0, 3.0]) == 2.5


def test_ks() -> None:
    """Powers of two and the number itself; one repeat has none."""
    assert [ks(n) for n in (1, 2, 3, 5, 8)] == [(), (2,), (2, 3), (2, 4, 5), (2, 4, 8)]


def test_bootstrap_of_a_median() -> None:
    """Around the sample's median, seeded; many sequences take fewer resamples and no more memory."""
    values = [float(at) for at in range(101)]
    found = bootstrap_interval(values, lambda samples: np.median(samples, axis=1))
    assert found == bootstrap_interval(values, lambda samples: np.median(samples, axis=1))
    assert isinstance(found, Interval)
    assert 35 < found.low < 50 < found.high < 65
    assert resamples(20) > resamples(50_000) >= 400
    assert bootstrap_interval(values * 300) is not None
