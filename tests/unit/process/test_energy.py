"""What the card used for each run: shared by who had a slot, and unknown where the card did not tell."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from nightjar.jobs.money.energy import EnergyKey, EnergyUse, RunEnergy
from nightjar.jobs.states import JobKind
from nightjar.workers.process.energy import EnergyMeter

A = EnergyKey("a", "m", JobKind.REPLY)
B = EnergyKey("b", "m", JobKind.REPLY)


class Card:
    """Its counter is the test's."""

    def __init__(self, joules: float | None = 1000.0) -> None:
        self.joules = joules

    def uses(self, joules: float) -> None:
        assert self.joules is not None
        self.joules += joules


def test_jobs_share_what_is_used_while_they_have_slots() -> None:
    card = Card()
    meter = EnergyMeter(lambda: card.joules)
    card.uses(500)  # loading, waiting: nobody's
    with meter.using(A):
        card.uses(10)
        with meter.using(B), meter.using(B):
            card.uses(30)
            assert meter.totals() == {A: 20, B: 20}
        with meter.using(None):  # a live request has its share, of which nobody keeps account
            card.uses(8)
    card.uses(500)
    assert meter.totals() == {A: 24, B: 20}
    with meter.using(B):
        card.uses(5)
    assert meter.totals() == {A: 24, B: 25}


def test_what_a_card_does_not_tell_is_unknown() -> None:
    """Also where it does so only once, and only for who had a slot then."""
    card = Card(None)
    meter = EnergyMeter(lambda: card.joules)
    with meter.using(A):
        pass
    assert meter.totals() == {A: None}
    card.joules = 5.0
    with meter.using(A), meter.using(B):
        card.uses(2)
    assert meter.totals() == {A: None, B: 1.0}
    with ExitStack() as stack:
        stack.enter_context(meter.using(B))
        card.joules = None
    assert meter.totals() == {A: None, B: None}


def part(joules: float | None, usd_per_kwh: float | None) -> RunEnergy:
    fields = {"id": "x", "run": "r", "contestant": "m", "kind": JobKind.REPLY, "worker": "w", "at": "2026-11-30T00:00Z"}
    made: RunEnergy = RunEnergy.model_construct(**fields, joules=joules, usd_per_kwh=usd_per_kwh)
    return made


@pytest.mark.parametrize(
    ("parts", "joules", "usd", "prices"),
    [
        ([(3.6e6, 0.5)], 3.6e6, 0.5, (0.5,)),
        ([(3.6e6, 0.5), (7.2e6, 0.25)], 10.8e6, 1.0, (0.25, 0.5)),  # hosts in two places
        ([(3.6e6, 0.5), (None, 0.5)], None, None, (0.5,)),  # one card does not tell
        ([(3.6e6, 0.5), (3.6e6, None)], 7.2e6, None, (0.5,)),  # of one host nobody knows the price
        ([(3.6e6, 0.0)], 3.6e6, 0.0, (0.0,)),  # the sun pays
        ([], None, None, ()),
    ],
)
def test_all_workers_together(
    parts: list[tuple[float | None, float | None]], joules: object, usd: object, prices: object
) -> None:
    use = EnergyUse.of(part(*each) for each in parts)
    assert (use.joules, use.usd, use.prices) == (joules, usd, prices)
