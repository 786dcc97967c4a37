"""What is said of a run's models at endpoints before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.jobs.remote_models import Price, usd_text
from nightjar.jobs.sequences import Mode
from nightjar.jobs.status.energy_rates import EnergyRate
from nightjar.pipeline.runs.electricity import expected_electricity
from nightjar.pipeline.runs.remote_plan import PlannedSequence, expected_cost

PRICE = Price(input=1_000_000, output=1_000_000)
"""A dollar a token."""


def planned(mode: Mode = Mode.CHAT, **asked: Any) -> PlannedSequence:
    """Two turns of twelve characters, which count as four tokens each."""
    return PlannedSequence(id="s", mode=mode, given_chars=0, prompt_chars=(12, 12), asked=(asked, asked))


@pytest.mark.parametrize(
    ("sequence", "below", "above", "about", "most"),
    [
        (planned(max_tokens=10), {}, {}, 41, 41),  # 4 + 10, then 4 + 10 with the 13 that were said before
        (planned(Mode.INDEPENDENT, max_tokens=10), {}, {}, 28, 28),  # each turn by itself
        (planned(), {"max_tokens": 10}, {}, 41, 41),  # the registry limits replies, too
        (planned(max_tokens=20), {"max_tokens": 10}, {}, 71, 71),  # a suite stands above it
        (planned(max_tokens=20), {}, {"max_tokens": 10}, 41, 41),  # and --set above both
        (planned(max_tokens=1_000), {}, {}, 911, 3_011),  # few replies use all that they may
    ],
)
def test_a_cost_is_expected_from_lengths_and_limits(
    sequence: PlannedSequence, below: dict[str, Any], above: dict[str, Any], about: float, most: float
) -> None:
    cost = expected_cost("cloud", PRICE, [sequence], [above], below=below, repeats=2)
    assert (cost.usd, cost.most_usd) == pytest.approx((2 * about, 2 * most))


def test_electricity_is_expected_from_the_same_replies() -> None:
    """Two conversations of two replies: 40 tokens if they are as usual, 4,000 if all are as long as they may be."""
    rate = EnergyRate(run="nightly", joules_per_token=9_000, usd_per_kwh=None)  # 400 tokens a kWh
    few = expected_electricity("demo", rate, 0.5, [planned(max_tokens=10)], [{}], below={}, repeats=2)
    assert few.sentence() == (
        "Electricity for demo will cost about $0.0500, assuming 9e+03 J a reply token, prompts included, as in run "
        "nightly, replies of up to 300 tokens and $0.5 a kWh; $0.0500 if all use their max_tokens."
    )
    many = expected_electricity("demo", rate, 0.5, [planned(max_tokens=1_000)], [{}], below={}, repeats=2)
    assert (many.tokens, many.most_tokens) == (1_200, 4_000)


@pytest.mark.parametrize(
    ("usd", "unpriced", "text"),
    [
        (None, 0, "unknown"),
        (0.0, 0, "$0.0000"),  # somebody said that it is free
        (0.0042, 0, "$0.0042"),
        (0.0042, 2, "at least $0.0042"),
        (12.346, 0, "$12.35"),
        (0.00002345, 0, "$0.000023"),  # what is not nothing never reads as 0
    ],
)
def test_dollars_in_words(usd: float | None, unpriced: int, text: str) -> None:
    assert usd_text(usd, unpriced=unpriced) == text
