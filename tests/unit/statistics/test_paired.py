"""Paired tests, power and spread against published values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.pipeline.statistics.paired import compare_pairs, holm, mcnemar, sign_flip_test, t_test
from nightjar.pipeline.statistics.power import detectable_difference, power_of, sequences_for_all, sequences_needed
from nightjar.pipeline.statistics.preference import rates_of, shares_of
from nightjar.pipeline.statistics.spread import bootstrap_interval, variance_split

DARWIN = [49.0, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
"""Differences in height of 15 pairs of maize plants, eighths of an inch (Fisher 1935, The Design of Experiments)."""


def test_darwin_by_t() -> None:
    """Fisher: t = 2.148 with 14 degrees of freedom, p = 0.0497."""
    assert t_test(DARWIN) == pytest.approx(0.0497, abs=5e-5)


def test_darwin_by_sign_flips() -> None:
    """Fisher: 863 of 32,768 sign patterns in each tail reach the sum of 314."""
    assert sign_flip_test(DARWIN) == pytest.approx(2 * 863 / 32768)


def test_sampled_flips_agree_with_exact() -> None:
    """Above the exact limit a seeded sample comes close, is the same each time, and is never 0."""
    many = [*DARWIN, 1.0, -1.0, 2.0]
    assert sign_flip_test(many) == sign_flip_test(many)
    assert sign_flip_test(many) == pytest.approx(t_test(many), abs=0.02)
    assert 0 < sign_flip_test([1.0] * 40) < 1e-4


@pytest.mark.parametrize(
    ("up", "down", "p"),
    [(15, 5, 0.0414), (5, 5, 1.0), (0, 0, 1.0), (6, 0, 0.03125)],  # 2 P(X <= min | n, 1/2)
)
def test_mcnemar(up: int, down: int, p: float) -> None:
    """The exact binomial of the pairs that differ."""
    assert mcnemar([1.0] * up + [-1.0] * down + [0.0] * 9) == pytest.approx(p, abs=5e-5)


def test_holm() -> None:
    """0.01, 0.04, 0.03, 0.005 become 0.03, 0.06, 0.06, 0.02; what has no p stays without."""
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "e": None})
    assert adjusted == {
        "a": pytest.approx(0.03),
        "b": pytest.approx(0.06),
        "c": pytest.approx(0.06),
        "d": 0.02,
        "e": None,
    }


@given(st.dictionaries(st.text(), st.floats(0, 1), max_size=8))
def test_holm_never_lowers(p_values: dict[str, float]) -> None:
    """Adjusted values are at least the raw ones, at most 1, and keep their order."""
    adjusted = holm(dict(p_values))
    ordered = sorted(p_values, key=lambda name: p_values[name])
    values = [adjusted[name] or 0.0 for name in ordered]
    assert values == sorted(values)
    assert all(p_values[name] <= value <= 1 for name, value in zip(ordered, values, strict=True))


def test_compare_uses_shared_sequences() -> None:
    """Only what both have is compared; what one lacks is not a 0."""
    paired = compare_pairs({"a": 1.0, "b": 1.0, "x": 9.0}, {"a": 0.0, "b": 1.0, "y": 9.0})
    assert (paired.n, paired.difference, paired.wins, paired.ties, paired.losses) == (2, 0.5, 1, 1, 0)
    assert (paired.p, paired.interval) == (None, None)  # under five sequences nothing is claimed


def test_compare_nothing_shared() -> None:
    """No shared sequence: no number at all."""
    paired = compare_pairs({"a": 1.0}, {"b": 1.0})
    assert (paired.n, paired.difference, paired.effect, paired.p) == (0, None, None, None)


def test_equal_series_are_not_different() -> None:
    """A series against itself: p is 1."""
    series = {str(at): value for at, value in enumerate(DARWIN)}
    assert compare_pairs(series, series).p == 1.0


def test_five_sequences_cannot_show_a_difference() -> None:
    """However clear: of 32 sign patterns two are this extreme, which is over 5 %."""
    assert sign_flip_test([1.0] * 5) == 2 / 32


def test_sequences_for_all() -> None:
    """Three effects of 0.5 at once need more than one alone, each may be missed in 1 of 15 cases."""
    assert sequences_for_all([0.5]) == 34
    assert sequences_for_all([0.5, math.inf]) == 34
    alone = next(n for n in range(3, 200) if power_of(0.5, n) >= 1 - 0.2 / 3)
    assert sequences_for_all([0.5] * 3) == alone == 50
    assert sequences_for_all([0.5, 0.0]) is None


def test_power() -> None:
    """Paired t test, effect 0.5, 34 pairs: power 0.808 (G*Power 3.1's example)."""
    assert power_of(0.5, 34) == pytest.approx(0.8078, abs=5e-4)
    assert power_of(0.0, 20) == pytest.approx(0.05, abs=1e-6)
    assert power_of(9.0, 30) == 1.0


def test_sequences_needed() -> None:
    """Differences with an effect of 0.5 need 34 sequences for power 0.8."""
    half = [0.5 + sign * math.sqrt(0.9) for sign in (1, -1) * 5]  # mean 0.5, standard deviation 1
    assert sequences_needed(half) == 34
    assert sequences_needed([0.0, 1.0, -1.0]) is None
    assert sequences_needed([1.0, 1.0]) is None


def test_detectable_difference_is_what_its_power_says() -> None:
    """At the difference it names the power is 0.8."""
    found = detectable_difference(DARWIN)
    assert found is not None
    centre = sum(DARWIN) / len(DARWIN)
    deviation = math.sqrt(sum((d - centre) ** 2 for d in DARWIN) / (len(DARWIN) - 1))
    assert power_of(found / deviation, len(DARWIN)) == pytest.approx(0.8, abs=1e-6)


def test_variance_split() -> None:
    """Worked by hand: sequences at 1, 2 and 3, repeats 0.5 to both sides: within 0.5, between 0.75."""
    split = variance_split({"a": [0.5, 1.5], "b": [1.5, 2.5], "c": [2.5, 3.5]})
    assert split is not None
    assert split.between_repeats == pytest.approx(0.5)
    assert split.between_sequences == pytest.approx(0.75)
    assert split.shared == pytest.approx(0.6)
    assert variance_split({"a": [1.0], "b": [2.0]}) is None  # one repeat each says nothing of repeats


def test_bootstrap_only_from_ten_sequences() -> None:
    """Nine: none. Ten or more: seeded, and near the t interval."""
    assert bootstrap_interval(DARWIN[:9]) is None
    interval = bootstrap_interval(DARWIN)
    assert interval == bootstrap_interval(DARWIN)
    assert interval is not None
    assert [interval.low, interval.high] == pytest.approx([2, 38], abs=4)


def test_win_rates() -> None:
    """A tie is half a win; models without a shared sequence are not compared."""
    values = {"a": {"s": 1, "t": 0, "u": 1, "v": 1}, "b": {"s": 0, "t": 0, "u": 0, "w": 1}, "c": {"z": 1}}
    (rate,) = rates_of(shares_of(values))
    assert (rate.first, rate.second, rate.n) == ("a", "b", 3)
    assert rate.share == pytest.approx(2.5 / 3)
