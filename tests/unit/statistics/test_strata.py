"""Averages over parts that count alike: their mean, their spread, and how often their intervals cover."""

from __future__ import annotations

import math
import random
from statistics import fmean, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.pipeline.statistics.intervals import share_interval
from nightjar.pipeline.statistics.strata import stratified_share_interval, stratified_values

PARTS = st.lists(st.lists(st.floats(-10, 10), min_size=1, max_size=8), min_size=1, max_size=6)


def keyed(parts: list[list[float]]) -> tuple[dict[str, float], dict[str, str]]:
    values = {f"{part}.{at}": value for part, inside in enumerate(parts) for at, value in enumerate(inside)}
    return values, {key: key.partition(".")[0] for key in values}


@given(PARTS)
def test_the_plain_mean_is_that_of_the_parts_means(parts: list[list[float]]) -> None:
    replaced = stratified_values(*keyed(parts))
    assert fmean(replaced.values()) == pytest.approx(fmean(map(fmean, parts)), abs=1e-9)


def test_the_spread_is_that_of_a_stratified_sample() -> None:
    """The squared standard error of the replaced values against the textbook's, sum of s^2 / n over G^2."""
    parts = [[0.0, 1, 1, 1, 0, 1] * 5, [0.0, 0, 1] * 8, [1.0, 1, 0, 1] * 3]
    replaced = list(stratified_values(*keyed(parts)).values())
    textbook = sum(variance(inside) / len(inside) for inside in parts) / len(parts) ** 2

    assert variance(replaced) / len(replaced) == pytest.approx(textbook, rel=0.02)


def test_one_part_is_a_plain_mean() -> None:
    values, parts = keyed([[0.0, 1.0, 0.0]])
    assert stratified_values(values, parts) == values


SHARES = ([0.9, 0.6, 0.3], [0.98, 0.95, 0.9], [0.5, 0.5, 0.5])


@pytest.mark.parametrize("shares", SHARES)
def test_the_interval_of_a_macro_average_of_shares_covers(shares: list[float]) -> None:
    """Parts of 60, 20 and 7 questions: at least 92 of 100 intervals hold the true average, and not all of them."""
    source, sizes, covered = random.Random(7), (60, 20, 7), 0
    for _ in range(300):
        drawn = [
            [float(source.random() < share) for _ in range(size)] for share, size in zip(shares, sizes, strict=True)
        ]
        values, parts = keyed(drawn)
        interval = stratified_share_interval(stratified_values(values, parts), parts, len(values))
        assert interval is not None
        covered += interval.low <= fmean(shares) <= interval.high
    assert 0.92 <= covered / 300 < 1


def test_small_parts_make_an_average_less_sure_than_the_plain_mean() -> None:
    """A part of five questions counts as much as one of 100."""
    values, parts = keyed([[1.0, 0.0] * 50, [1.0, 0.0, 1.0, 0.0, 1.0]])
    macro = stratified_share_interval(stratified_values(values, parts), parts, len(values))
    micro = share_interval(list(values.values()), len(values))

    assert macro is not None
    assert micro is not None
    assert macro.high - macro.low > 1.5 * (micro.high - micro.low)
    assert math.isclose(fmean(stratified_values(values, parts).values()), 0.55)
