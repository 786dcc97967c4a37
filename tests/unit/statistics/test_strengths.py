"""Bradley-Terry strengths: published values, models that never lose, dependence within a sequence."""

from __future__ import annotations

import math

import pytest

from nightjar.pipeline.statistics.preference import shares_of
from nightjar.pipeline.statistics.strengths import Strength, strengths_of


def test_of_two_is_half_the_log_odds_of_the_win_rate() -> None:
    """Thirty wins of forty: Firth's estimate is log(30.5 / 10.5), the ends are Wilson's with Student's quantile."""
    a = {str(at): float(at < 30) for at in range(40)}
    strongest, weakest = strengths_of(shares_of({"b": dict.fromkeys(a, 0.5), "a": a}))
    assert (strongest.model, weakest.model) == ("a", "b")
    assert strongest.strength - weakest.strength == pytest.approx(math.log(30.5 / 10.5), abs=1e-8)
    assert strongest.interval is not None
    assert weakest.interval is not None
    assert strongest.interval.low == pytest.approx(math.log(0.594 / 0.406) / 2, abs=0.01)
    assert strongest.interval.low == pytest.approx(-weakest.interval.high)


BASEBALL = [
    # Agresti, Categorical Data Analysis (1990), table 10.10: wins of the American League's east division, 1987
    [0, 7, 9, 7, 7, 9, 11],  # Milwaukee
    [6, 0, 7, 5, 11, 9, 9],  # Detroit
    [4, 6, 0, 7, 7, 8, 12],  # Toronto
    [6, 8, 6, 0, 6, 7, 10],  # New York
    [6, 2, 6, 7, 0, 7, 12],  # Boston
    [4, 4, 5, 6, 6, 0, 6],  # Cleveland
    [2, 4, 1, 3, 1, 7, 0],  # Baltimore
]


def test_of_seven_are_those_of_the_textbook() -> None:
    """Agresti's fit has Milwaukee 1.58 above Baltimore and Cleveland 0.68; thirteen games a pair, each a sequence."""
    teams = range(7)
    shares = {
        (str(i), str(j)): {str(game): float(game < BASEBALL[i][j]) for game in range(13)}
        for i in teams
        for j in teams
        if i < j
    }
    strength = {one.model: one.strength for one in strengths_of(shares)}
    assert strength["0"] - strength["6"] == pytest.approx(1.58, abs=0.06)
    assert strength["5"] - strength["6"] == pytest.approx(0.68, abs=0.06)
    assert sum(strength.values()) == pytest.approx(0, abs=1e-9)


def test_who_never_loses_is_at_least_as_strong() -> None:
    """No comparison says how much stronger; who never won is the mirror image."""
    wins = {str(at): 1.0 for at in range(8)}
    some = {str(at): float(at % 3 == 0) for at in range(8)}
    never, middle, lost = strengths_of(
        {("a", "b"): wins, ("a", "c"): wins, ("b", "c"): {k: 1 - v / 2 for k, v in some.items()}}
    )
    assert (never.model, never.interval) == ("a", None)
    assert never.at_least is not None
    assert 0 < never.at_least < never.strength
    assert never.at_most is None
    assert middle.interval is not None
    assert lost.interval is not None
    best, worst = strengths_of({("a", "b"): wins})
    assert (best.interval, worst.interval, best.at_most, worst.at_least) == (None, None, None, None)
    assert best.at_least == pytest.approx(-(worst.at_most or 0))
    assert best.at_least is not None


def test_pairs_of_one_sequence_are_no_independent_facts() -> None:
    """If every sequence decides all pairs alike, intervals are wider than if the same wins were scattered."""
    together = {str(at): float(at < 14) for at in range(20)}
    scattered = {
        pair: {str(at): float((at + shift) % 20 < 14) for at in range(20)} for pair, shift in (("ab", 0), ("ac", 6))
    }
    level = {str(at): 0.5 for at in range(20)}

    def width(ab: dict[str, float], ac: dict[str, float]) -> float:
        strengths = strengths_of({("a", "b"): ab, ("a", "c"): ac, ("b", "c"): level})
        interval = next(one.interval for one in strengths if one.model == "a")
        assert interval is not None
        return interval.high - interval.low

    assert width(together, together) > 1.2 * width(scattered["ab"], scattered["ac"])


def test_without_enough() -> None:
    """One model, or nothing in common: no strengths. Four sequences: no interval and no ends."""
    assert strengths_of(shares_of({"a": {"s": 1.0}})) == []
    assert strengths_of(shares_of({"a": {"s": 1.0}, "b": {"t": 1.0}})) == []
    few = {str(at): 1.0 for at in range(4)}
    strongest, _ = strengths_of({("a", "b"): few})
    assert strongest == Strength(model="a", strength=strongest.strength, interval=None)
    assert strongest.strength == pytest.approx(math.log(9) / 2)
