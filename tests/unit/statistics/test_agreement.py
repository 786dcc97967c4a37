"""Krippendorff's alpha against the values that its author published."""

from __future__ import annotations

import math

import pytest

from nightjar.pipeline.statistics.agreement import Level, krippendorff_alpha

NONE = math.nan
# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), example C: four observers, twelve units.
FOUR_OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
    [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
]
# The same, example A: two observers, ten units, two values.
TWO_OBSERVERS = [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]


def units(observers: list[list[float]]) -> list[list[float]]:
    return [[value for value in unit if not math.isnan(value)] for unit in zip(*observers, strict=True)]


@pytest.mark.parametrize(
    ("observers", "level", "published"),
    [
        (FOUR_OBSERVERS, Level.NOMINAL, 0.743),
        (FOUR_OBSERVERS, Level.ORDINAL, 0.815),
        (FOUR_OBSERVERS, Level.INTERVAL, 0.849),
        (TWO_OBSERVERS, Level.NOMINAL, 0.095),
    ],
)
def test_published_values(observers: list[list[float]], level: Level, published: float) -> None:
    alpha = krippendorff_alpha(units(observers), level)
    assert alpha is not None
    assert round(alpha, 3) == published


def test_the_ends_of_the_scale() -> None:
    """Perfect agreement is 1; two judges who always say the opposite are worse than chance."""
    assert krippendorff_alpha([[1, 1], [2, 2], [5, 5]], Level.ORDINAL) == 1
    opposite = krippendorff_alpha([[1, 2], [2, 1]] * 10, Level.NOMINAL)
    assert opposite is not None
    assert opposite < -0.8


@pytest.mark.parametrize(
    "given",
    [
        # nothing, one judge, or a unit each
        [],
        [[1], [2], [3]],
        [[], [4]],
        # everybody always says the same: no spread, nothing to agree about
        [[3, 3], [3, 3, 3]],
    ],
)
def test_where_there_is_nothing_to_say(given: list[list[float]]) -> None:
    assert all(krippendorff_alpha(given, level) is None for level in Level)


def test_a_distance_is_only_used_where_the_level_has_one() -> None:
    """Stretching the scale changes interval alpha alone; renaming its order changes ordinal alpha too."""
    given = [[1, 2], [1, 2], [2, 2], [3, 3], [1, 1], [3, 3]]
    stretched = [[10**value for value in unit] for unit in given]
    renamed = [[{1: 1, 2: 3, 3: 2}[value] for value in unit] for unit in given]
    for level in Level:
        assert (krippendorff_alpha(given, level) == pytest.approx(krippendorff_alpha(stretched, level))) is (
            level is not Level.INTERVAL
        )
        assert (krippendorff_alpha(given, level) == pytest.approx(krippendorff_alpha(renamed, level))) is (
            level is Level.NOMINAL
        )
