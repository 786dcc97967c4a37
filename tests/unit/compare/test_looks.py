"""Looks: which pairs are over, by what share of the error, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from nightjar.jobs.waves import Look, PairState, WavePlan, Waves
from nightjar.pipeline.compare.looks import look_at
from nightjar.pipeline.report.data.series import Series
from nightjar.pipeline.scores import SHARE

AT = datetime(2026, 11, 21, tzinfo=UTC)
N = 80


def waves(opened: int = 1, *, margin: float | None = None, looks: list[Look] | None = None) -> Waves:
    numbers = tuple(at * 4 // N for at in range(N))
    plan = WavePlan(metric="checks", margin=margin, numbers=numbers)
    return Waves(plan=plan, opened=opened, looks=looks or [])


def series(model: str, values: list[float], gone: tuple[int, ...] = ()) -> Series:
    there = {f"{at:02}": value for at, value in enumerate(values) if at not in gone}
    every = {f"{at:02}": value for at, value in enumerate(values)}
    return Series(
        model=model,
        metric="checks",
        scale=SHARE,
        values=there,
        expected=frozenset(every),
        complete=frozenset(there),
        missing_share=len(gone) / len(values),
        to_worst=None,
        to_best=None,
        lowest={key: there.get(key, 0.0) for key in every},
        highest={key: there.get(key, 1.0) for key in every},
    )


def states(look: Look) -> dict[str, str]:
    return {f"{pair.first}{pair.second}": pair.state.value for pair in look.pairs}


def shares(wins: int, losses: int, asked: int) -> tuple[list[float], list[float]]:
    """Two models' values: so many sequences on which only the first passes, and only the second; ties else."""
    first = [1.0] * wins + [0.0] * losses + [1.0] * (asked - wins - losses)
    second = [0.0] * wins + [1.0] * losses + [1.0] * (asked - wins - losses)
    return first, second


@pytest.mark.parametrize(
    ("wins", "losses", "opened", "state"),
    [
        (20, 0, 1, "better"),  # p = 2^-19: z 4.8 against 4.33
        (0, 20, 1, "worse"),
        (17, 0, 1, "undecided"),  # p = 2^-16: z 4.3, which one test would be sure of, and this one nearly is
        (0, 0, 1, "undecided"),  # a quarter is too little to give up
        (0, 0, 2, "futile"),
        (3, 3, 2, "futile"),
        (3, 3, 3, "futile"),
        (6, 2, 1, "undecided"),
        (20, 6, 2, "undecided"),  # p = 0.009: enough for one test, not for the second look
        (20, 6, 3, "better"),  # and enough for the third
        (13, 5, 4, "undecided"),  # p = 0.096: not shown with all there is
        (20, 8, 4, "better"),  # p = 0.036, z 2.1 against 2.01
        (20, 9, 4, "undecided"),  # p = 0.061
    ],
)
def test_what_a_look_says(wins: int, losses: int, opened: int, state: str) -> None:
    """With every look before it taken and undecided."""
    values = shares(wins, losses, 20 * opened)
    before = [look_at([series(m, [1.0] * 20 * k) for m in "ab"], waves(k), AT) for k in range(1, opened)]
    look = look_at(
        [series(model, own) for model, own in zip("ab", values, strict=True)], waves(opened, looks=before), AT
    )
    assert states(look) == {"ab": state}
    (pair,) = look.pairs
    assert (pair.pairs, pair.level) == (20 * opened, 0.05)
    assert pair.bound == pytest.approx((4.333, 2.963, 2.359, 2.014)[opened - 1], abs=0.001)


def test_holm_gives_the_share_of_what_is_found_to_the_rest() -> None:
    """Three pairs begin with a third of the error each; what two of them leave lets the last one pass."""
    good, _ = shares(0, 0, 80)
    bad = [0.0] * 80
    middle = [1.0] * 55 + [0.0] * 25
    values = {"a": good, "b": middle, "c": bad}
    before = [_look({m: v[:20] for m, v in values.items()}, 1)]
    look = look_at([series(m, v[:40]) for m, v in values.items()], waves(2, looks=before), AT)
    assert states(look) == {"ab": "futile", "ac": "better", "bc": "better"}
    levels = {f"{pair.first}{pair.second}": pair.level for pair in look.pairs}
    assert levels == pytest.approx({"ac": 0.05 / 3, "bc": 0.05 / 3, "ab": 0.05})


def _look(values: Mapping[str, list[float]], opened: int) -> Look:
    return look_at([series(model, own) for model, own in values.items()], waves(opened), AT)


def test_a_difference_that_was_found_stays_found() -> None:
    """However the next wave goes."""
    first = _look({"a": [1.0] * 20, "b": [0.0] * 20, "c": [0.0] * 20}, 1)
    assert states(first) == {"ab": "undecided", "ac": "undecided", "bc": "undecided"}  # z 4.8 against 5.1 for three
    values = {"a": [1.0] * 40, "b": [0.0] * 40, "c": [0.0] * 20 + [1.0] * 20}
    second = look_at([series(m, v) for m, v in values.items()], waves(2, looks=[first]), AT)
    assert states(second) == {"ab": "better", "ac": "better", "bc": "worse"}
    turned = {"a": [1.0] * 40 + [0.0] * 20, "b": [0.0] * 40 + [1.0] * 20, "c": values["c"] + [1.0] * 20}
    third = look_at([series(m, v) for m, v in turned.items()], waves(3, looks=[first, second]), AT)
    assert states(third) == states(second)
    assert third.decided


@pytest.mark.parametrize(
    ("margin", "state"),
    [
        (None, "undecided"),  # one way on seven and the other on one: a chance is left
        (0.3, "alike"),
        (0.02, "undecided"),
    ],
)
def test_alike_within_a_margin(margin: float | None, state: str) -> None:
    first, second = shares(7, 1, 60)
    before = [_look({"a": first[: 20 * k], "b": second[: 20 * k]}, k) for k in (1, 2)]
    look = look_at([series("a", first), series("b", second)], waves(3, margin=margin, looks=before), AT)
    assert states(look) == {"ab": state}


@pytest.mark.parametrize(
    ("gone", "pairs", "tested", "state"),
    [
        ((), 40, True, "better"),
        ((0,), 39, True, "better"),  # as a win of the other it changes nothing
        ((0, 1, 2), 37, False, "undecided"),  # over 5 %: the model has no rank, so nothing is decided by it
    ],
)
def test_what_is_missing_may_not_decide(gone: tuple[int, ...], pairs: int, tested: bool, state: str) -> None:
    one, other = series("a", [1.0] * 40), series("b", [0.0] * 40, gone)
    look = look_at([one, other], waves(2), AT)
    (pair,) = look.pairs
    assert (pair.pairs, pair.bound is not None, pair.state.value) == (pairs, tested, state)


def test_missing_replies_that_could_turn_it_do_not_let_it_pass() -> None:
    """13 sequences of 40 differ, all one way: at their worst two missing ones make it less sure."""
    first, second = shares(13, 0, 40)
    whole = look_at([series("a", first), series("b", second)], waves(2), AT)
    assert states(whole) == {"ab": "better"}
    lacking = look_at([series("a", first, (38, 39)), series("b", second)], waves(2), AT)
    assert whole.pairs[0].z is not None
    assert lacking.pairs[0].z is not None
    assert 0 < lacking.pairs[0].z < whole.pairs[0].z


def test_fewer_than_twenty_pairs_are_no_look() -> None:
    """Nothing of the error is used; the next look has what it has not."""
    first = look_at([series("a", [1.0] * 20, (0,)), series("b", [0.0] * 20)], waves(1), AT)
    assert (first.pairs[0].bound, first.pairs[0].z, first.pairs[0].power) == (None, None, None)
    assert first.pairs[0].state is PairState.UNDECIDED
    second = look_at([series("a", [1.0] * 40), series("b", [0.0] * 40)], waves(2, looks=[first]), AT)
    assert second.pairs[0].bound == pytest.approx(2.963, abs=0.001)
