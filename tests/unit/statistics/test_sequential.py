"""Bounds of a test that looks several times: known values, and what must hold of any."""

from __future__ import annotations

import math
from itertools import accumulate, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightjar.pipeline.statistics.paired import sign_flip_test
from nightjar.pipeline.statistics.sequential import (
    SMALLEST_LOOK,
    conditional_power,
    confidence_of,
    look_bounds,
    spent,
    wave_sizes,
    z_of,
)
from nightjar.pipeline.statistics.sign_flips import flip_p

QUARTERS = (0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(
    ("fractions", "alpha", "bounds"),
    [
        # Lan and DeMets' tables, as Jennison and Turnbull and the ld98 program give them: two-sided, 5 %
        (QUARTERS, 0.05, (4.333, 2.963, 2.359, 2.014)),
        ((0.2, 0.4, 0.6, 0.8, 1.0), 0.05, (4.877, 3.357, 2.680, 2.290, 2.031)),
        ((0.5, 1.0), 0.05, (2.963, 1.969)),
        # a single look at everything is no sequential test
        ((1.0,), 0.05, (1.960,)),
        ((1.0,), 0.01, (2.576,)),
    ],
)
def test_bounds_are_those_of_the_literature(
    fractions: tuple[float, ...], alpha: float, bounds: tuple[float, ...]
) -> None:
    pairs = tuple(round(fraction * 400) for fraction in fractions)
    assert look_bounds(fractions, pairs, alpha) == pytest.approx(bounds, abs=0.001)


def test_a_driftless_walk_crosses_as_often_as_it_may() -> None:
    """Two hundred thousand walks that looks see after unequal steps; the planned fractions are others than the real."""
    fractions, pairs = (0.25, 0.6, 0.8, 1.0), (40, 70, 130, 150)
    steps = np.diff((0, *pairs))
    walks = np.cumsum(np.random.default_rng(7).normal(size=(200_000, 4)) * np.sqrt(steps), axis=1) / np.sqrt(pairs)
    crossed = np.abs(walks) >= np.array(look_bounds(fractions, pairs))
    first = [float((crossed[:, at] & ~crossed[:, :at].any(axis=1)).mean()) for at in range(4)]
    allowed = [spent(fraction) for fraction in fractions]
    doubt = [4 * math.sqrt(share / 200_000) for share in allowed]
    assert list(accumulate(first)) == pytest.approx(allowed, abs=max(doubt))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=5), st.sampled_from([0.05, 0.025, 0.05 / 15]))
def test_earlier_looks_ask_for_more(steps: list[int], alpha: float) -> None:
    """However the data comes, the last bound is no less than that of a single look; in equal steps bounds fall from
    look to look, and a larger error lowers each.
    """
    pairs = tuple(accumulate(steps))
    fractions = tuple(count / pairs[-1] for count in pairs)
    single = look_bounds((1.0,), (pairs[-1],), alpha)[0]
    assert look_bounds(fractions, pairs, alpha)[-1] >= single - 1e-9
    evenly = tuple(range(1, len(steps) + 1))
    shares = tuple(count / len(steps) for count in evenly)
    strict, lax = (look_bounds(shares, evenly, error) for error in (alpha, 2 * alpha))
    assert list(strict) == sorted(strict, reverse=True)
    assert all(one > other for one, other in zip(strict, lax, strict=True))


@given(st.integers(1, 5_000))
def test_waves_are_quarters_of_which_none_looks_at_too_few(sequences: int) -> None:
    sizes = wave_sizes(sequences)
    ends = list(accumulate(sizes))
    assert ends[-1] == sequences
    assert min(sizes) > 0
    assert all(end >= SMALLEST_LOOK for end in ends[:-1])
    assert set(ends) <= {math.ceil(sequences * quarter) for quarter in QUARTERS}


@pytest.mark.parametrize(
    ("sequences", "sizes"),
    [
        (80, (20, 20, 20, 20)),
        (81, (21, 20, 20, 20)),
        (79, (20, 20, 20, 19)),
        (40, (20, 10, 10)),  # a quarter would be ten
        (27, (21, 6)),
        (26, (20, 6)),
        (24, (24,)),  # three quarters would be eighteen
    ],
)
def test_sizes_of_waves(sequences: int, sizes: tuple[int, ...]) -> None:
    assert wave_sizes(sequences) == sizes


@pytest.mark.parametrize(
    ("z", "fraction", "power"),
    [
        (0.0, 0.5, 0.0054),  # nothing seen: 2 Phi(-1.969 / sqrt(0.5))
        (1.969, 1.0, 1.0),  # the end
        (1.968, 1.0, 0.0),
        (1.3923, 0.5, 0.5),  # it arrives at the bound if it goes on so: z / sqrt(t) is the bound
        (-1.3923, 0.5, 0.5),
        (3.5, 0.25, 1.0),
    ],
)
def test_conditional_power_under_what_was_seen(z: float, fraction: float, power: float) -> None:
    assert conditional_power(z, fraction, 1.969) == pytest.approx(power, abs=0.001)


def test_deviates_and_confidence() -> None:
    assert z_of(0.05, -0.2) == pytest.approx(-1.96, abs=0.001)
    assert z_of(1.0, 0.0) == 0.0
    assert confidence_of(1.959964) == pytest.approx(0.95)


VALUES = st.one_of(
    st.lists(st.integers(-6, 6).map(lambda sixth: sixth / 6), min_size=1, max_size=9),  # shares of six turns, with ties
    st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=9),  # passes
)


@given(VALUES)
def test_the_sign_flip_test_is_that_over_every_pattern(differences: list[float]) -> None:
    flipped = product((1, -1), repeat=len(differences))
    patterns = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in flipped]
    exact = sum(value >= abs(sum(differences)) - 1e-9 for value in patterns) / len(patterns)
    assert flip_p(differences) == pytest.approx(exact, abs=1e-12)


def test_its_tail_goes_on_where_drawn_patterns_end() -> None:
    """All forty differ in the same direction: two of 2^40 patterns; drawn ones say one in 20,001."""
    assert flip_p([0.5] * 40) == pytest.approx(2**-39, rel=1e-3)
    assert sign_flip_test([0.5] * 40) == pytest.approx(1 / 20_001)


def test_values_without_a_common_step_are_rounded() -> None:
    """The p of 200 draws from a bell curve is as the t test has it, nearly; and it is the same for every scale."""
    draws = np.random.default_rng(3).normal(0.2, 1, 200)
    z = z_of(flip_p(draws.tolist()), 1)
    assert z == pytest.approx(draws.mean() / draws.std(ddof=1) * math.sqrt(200), abs=0.1)
    assert flip_p((1e-6 * draws).tolist()) == pytest.approx(flip_p(draws.tolist()))
