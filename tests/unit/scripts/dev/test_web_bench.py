"""How the benchmark of the page counts: what a browser waited for, and what goal was reached."""

from __future__ import annotations

import pytest

from nightjar.scripts.dev.bench.rows import LEAST_ROUNDS, Goal
from nightjar.scripts.dev.web_bench.goals import median_row, text_delays_ms
from nightjar.scripts.dev.web_bench.setup import WebSetup, bench_prompts

TURN = ("job", 1, 0)
MS = 1_000_000


@pytest.mark.parametrize(
    ("handed", "heard", "delays"),
    [
        ([(5, 10), (9, 20)], [(3, 5), (9, 50)], [40.0, 30.0]),  # two pieces in one message: each from its own handover
        ([(5, 10), (9, 20)], [(5, 15), (9, 50)], [30.0]),  # it watches since 15: what was handed over before is not its
        ([(5, 10), (9, 20)], [(1, 5), (5, 12)], [2.0]),  # it never heard the second one
        ([(5, 10)], [], []),
        ([], [(5, 10)], []),
    ],
)
def test_text_counts_from_its_handover(
    handed: list[tuple[int, int]], heard: list[tuple[int, int]], delays: list[float]
) -> None:
    """(characters so far, milliseconds)."""
    handovers = {TURN: [(characters, moment * MS) for characters, moment in handed]}
    arrivals = {(3, *TURN): [(characters, moment * MS) for characters, moment in heard]}
    assert text_delays_ms(handovers, arrivals) == delays


def test_of_each_browser_and_turn_by_itself() -> None:
    handed = {TURN: [(5, 10 * MS)], ("job", 2, 0): [(5, 30 * MS)]}
    heard = {
        (0, *TURN): [(1, 0), (5, 11 * MS)],
        (1, *TURN): [(1, 0), (5, 13 * MS)],
        (1, "job", 2, 0): [(1, 0), (5, 34 * MS)],  # another attempt
    }
    assert sorted(text_delays_ms(handed, heard)) == [1.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("value", "goal", "reached"),
    [
        (104.0, Goal(bound=100, at_most=True), True),  # within five per cent
        (106.0, Goal(bound=100, at_most=True), False),
        (0.86, Goal(bound=0.9), True),
        (0.85, Goal(bound=0.9), False),
    ],
)
def test_within_five_per_cent_is_reached(value: float, goal: Goal, reached: bool) -> None:
    assert median_row("m", [value], goal, "ms").reached is reached


def test_a_quick_look_asks_for_less() -> None:
    assert WebSetup(rounds=LEAST_ROUNDS, model=None).share(200) == 200
    assert WebSetup(rounds=1, model=None).share(200) == 40
    assert WebSetup(rounds=3 * LEAST_ROUNDS, model=None).share(200) == 200


def test_no_prompt_is_asked_twice() -> None:
    assert len({*bench_prompts(50), *bench_prompts(50, 50)}) == 100
