"""What is said of a run's models at endpoints before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.jobs.remote_models import Price
from nightjar.jobs.sequences import Mode
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
