"""What replies would have cost elsewhere: a ratio with its interval, and what it rests on in words."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nightjar.jobs.money.paired_use import PairedUse
from nightjar.jobs.remote_models import Price, TokenUse
from nightjar.pipeline.routing.savings import CostRatio, _t, cost_ratio, savings

PRICE = Price(input=1, output=10)


def pair(sequence: str, reference: int, other: int, prompt: int = 0) -> PairedUse:
    return PairedUse(
        sequence=sequence,
        reference=TokenUse(prompt=prompt, reply=reference),
        other=TokenUse(prompt=prompt, reply=other),
    )


@pytest.mark.parametrize(
    ("pairs", "mean"),
    [
        ([pair(f"s{n}", 200, 100) for n in range(20)], 2.0),
        ([pair(f"s{n}", 200, 100, prompt=1000) for n in range(20)], 1.5),  # prompts cost the same
        ([pair(f"s{n % 19}", 200, 100) for n in range(400)], None),  # repeats of few sequences are no more evidence
        ([pair(f"s{n}", 200, 0) for n in range(40)], None),  # nothing to hold it against
        ([], None),
    ],
)
def test_the_ratio_of_costs(pairs: list[PairedUse], mean: float | None) -> None:
    ratio = cost_ratio(pairs, PRICE)
    assert (None if ratio is None else ratio.mean) == (None if mean is None else pytest.approx(mean))
    if ratio is not None:
        assert ratio.low == pytest.approx(ratio.high)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """2,000 samples of 30 sequences whose replies are twice as long there on average, and vary much."""
    chance = np.random.default_rng(7)
    held = 0
    for _ in range(2000):
        ours = chance.gamma(2.0, 100.0, 30)
        theirs = 2.0 * ours * chance.gamma(4.0, 0.25, 30)
        pairs = [pair(f"s{n}", round(a), round(b)) for n, (a, b) in enumerate(zip(theirs, ours, strict=True))]
        ratio = cost_ratio(pairs, PRICE)
        assert ratio is not None
        held += ratio.low <= 2.0 <= ratio.high
    assert 0.90 <= held / 2000 <= 0.97  # a ratio of skewed sums: somewhat less than 95 %


@pytest.mark.parametrize("degrees", [19, 30, 100, 5000])
def test_the_quantile(degrees: int) -> None:
    assert _t(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=5e-4)


@pytest.mark.parametrize(
    ("ratio", "counterfactual", "interval", "says"),
    [
        (None, 11.0, (None, None), "no interval"),
        (CostRatio(mean=2, low=1.5, high=2.5, sequences=48), 22.0, (15.5, 26.5), "48 sequences"),
    ],
)
def test_savings(ratio: CostRatio | None, counterfactual: float, interval: object, says: str) -> None:
    given = TokenUse(prompt=1_000_000, reply=1_000_000)
    saved = savings("large", PRICE, given, 1.0, ratio, left_out=3)
    assert saved.counterfactual_usd == counterfactual
    assert saved.saved_usd == counterfactual - 1
    assert (saved.low_usd, saved.high_usd) == interval
    assert says in saved.assumption
    assert "3 at an unknown price are left out" in saved.assumption
    assert "electricity is not counted" in saved.assumption
