"""Goals, and lines that were measured or not."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack

import pytest

from nightjar.scripts.dev.bench import rows
from nightjar.scripts.dev.bench.measures import ENGINE, NO_SERVER, Other, SideBySide
from nightjar.scripts.dev.bench.rows import (
    BenchRow,
    Goal,
    as_json,
    latest,
    not_measured,
    ratio,
    ratio_of_medians,
    rows_table,
    standing,
    unsettled,
)

AT_LEAST = Goal(bound=2.0)
AT_MOST = Goal(bound=20.0, at_most=True)
SERVER = "server"
UP = Other(name=SERVER, run=lambda work: pytest.fail("not run again"))
DOWN = Other(name=SERVER, run=None, missing=NO_SERVER)


@pytest.mark.parametrize(
    ("value", "goal", "reached"),
    [
        (2.0, AT_LEAST, True),  # exactly the goal
        (1.999, AT_LEAST, False),  # not rounded up to it
        (20.0, AT_MOST, True),
        (20.01, AT_MOST, False),
        (0.0, AT_LEAST, False),  # measured, and nothing
        (None, AT_LEAST, None),  # missing is neither reached nor missed
        (None, AT_MOST, None),
        (1.0, None, None),  # for information
    ],
)
def test_a_value_is_held_against_its_goal(value: float | None, goal: Goal | None, reached: bool | None) -> None:
    assert BenchRow(measure="m", value=value, goal=goal).reached is reached


@pytest.mark.parametrize(
    ("goal", "bound", "at_most"),
    [
        (rows.DECODE, 0.95, False),
        (rows.CHATS_AGAINST_SERIAL, 2.0, False),
        (rows.CHATS_AGAINST_SERVER, 1.0, False),
        (rows.REPEATS_AGAINST_SERVER, 2.0, False),
        (rows.JUDGING_AGAINST_SERVER, 2.0, False),
        (rows.VERDICTS_AGAINST_SERVER, 1.0, False),
        (rows.COMPUTED, 1.02, True),
        (rows.PIPELINE, 0.90, False),
        (rows.PIPELINE_LARGE, 0.97, False),
        (rows.STALL_MS, 20.0, True),
        (rows.LOAD_S, 5.0, True),
        (rows.ALONE, 50.0, False),
        (rows.SHORT_REPLY_S, 1.5, True),
    ],
)
def test_the_goals_are_those_that_were_agreed(goal: Goal, bound: float, at_most: bool) -> None:
    assert (goal.bound, goal.at_most) == (bound, at_most)


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    """A machine that is slow for two of three rounds slows both sides, which says nothing about either."""
    row = ratio("m", {"engine": [50.0, 110.0, 52.0], "server": [20.0, 50.0, 26.0]}, AT_LEAST)
    assert row.value == pytest.approx(110 / 50)
    assert row.reached is True
    assert row.note == "52.0 against 26.0 tokens/s of server, 3 rounds"


def match(*opened: Other) -> SideBySide:
    """Two rounds against these: the engine has 100 and 101, the server 50. Opening one more would be an error."""
    coming = iter(opened)
    found = SideBySide(opener=lambda stack: next(coming), goal=AT_LEAST)
    for own in (100.0, 101.0):
        up = found.open(AsyncExitStack()).run is not None
        found.take({ENGINE: own, "one at a time": 10.0} | ({SERVER: 50.0} if up else {}))
    return found


def test_a_line_compares_the_engine_with_its_own_other_side() -> None:
    row = match(UP, UP).row("m", "tokens/s")
    assert (row.measure, row.reached) == ("m / server", True)
    assert row.value == pytest.approx(2.01)
    assert row.samples == {ENGINE: [100.0, 101.0], SERVER: [50.0, 50.0]}


@pytest.mark.parametrize(
    "opened",
    [
        (DOWN,),  # never there: it is not asked for again, and the engine's own rounds are kept
        (UP, DOWN),  # gone after a round: a median of what is left would be of fewer rounds than it says
    ],
)
def test_without_a_server_the_line_keeps_its_goal_and_is_not_reached(opened: tuple[Other, ...]) -> None:
    row = match(*opened).row("m", "tokens/s")
    assert (row.value, row.goal, row.reached) == (None, AT_LEAST, None)
    assert row.remark.startswith("not measured: no server")
    assert as_json(row)["samples"] == {ENGINE: [100.0, 101.0]}


@pytest.mark.parametrize(
    ("ratios", "rounds", "more"),
    [
        ([], 5, True),  # nothing yet
        ([2.5] * 4, 5, True),  # fewer than asked for
        ([2.5] * 5, 5, False),  # all beyond the goal: by chance one time in 16
        ([1.5] * 5, 5, False),  # all short of it, which is as clear
        ([2.5] * 4 + [1.5], 5, True),  # one of five: by chance three times in 8
        ([2.5] * 7 + [1.5], 5, False),  # one of eight: 7 %
        ([2.5, 1.5] * 7, 5, True),  # half of them, and one more may be made
        ([2.5, 1.5] * 7 + [2.5], 5, False),  # three times as many as asked for
        ([2.5, 1.5], 2, False),  # a quick look
    ],
)
def test_rounds_that_leave_a_goal_open_are_followed_by_more(ratios: list[float], rounds: int, more: bool) -> None:
    assert unsettled({ENGINE: [10 * one for one in ratios], SERVER: [10.0] * len(ratios)}, AT_LEAST, rounds) is more


def test_an_engine_without_another_side_makes_the_rounds_asked_for() -> None:
    assert unsettled({ENGINE: [1.0] * 4}, AT_LEAST, 5)
    assert not unsettled({ENGINE: [1.0] * 5}, AT_LEAST, 5)


def test_json_has_every_round_the_medians_the_goal_and_the_verdict() -> None:
    data = json.loads(json.dumps(as_json(ratio("m", {"engine": [3.0, 1.0, 2.0], "other": [1.0, 4.0, 1.0]}, AT_LEAST))))
    assert data["samples"] == {"engine": [3.0, 1.0, 2.0], "other": [1.0, 4.0, 1.0]}
    assert data["medians"] == {"engine": 2.0, "other": 1.0}
    assert data["goal"] == {"bound": 2.0, "at_most": False}
    assert data["reached"] is True
    assert json.loads(json.dumps(as_json(not_measured("m", AT_LEAST, "no server"))))["reached"] is None


def test_the_worst_round_counts_where_a_bound_is_for_every_round() -> None:
    row = rows.highest("m", [1.0, 1.03, 1.01], rows.COMPUTED)
    assert (row.value, row.reached) == (1.03, False)


def test_stalls_are_a_percentile_of_all_looks_in_milliseconds() -> None:
    row = rows.stalls("m", [[0.001] * 199, [0.5]], rows.STALL_MS)
    assert row.value == pytest.approx(1.0)  # one late look of 200 is beyond the 99th percentile
    assert row.samples["longest_ms"] == [1.0, 500.0]
    assert "of 200 looks, the longest 500.0 ms" in row.note


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], 7.0),
        ([0.0, 100.0], 99.0),  # between values, never beyond them
        ([float(n) for n in range(101)], 99.0),
    ],
)
def test_the_99th_percentile(values: list[float], expected: float) -> None:
    assert rows.percentile_99(values) == pytest.approx(expected)


def test_the_table_counts_measured_goals_only() -> None:
    shown = rows_table(
        [
            ratio("reached", {"engine": [2.0], "other": [1.0]}, AT_LEAST),
            ratio("missed", {"engine": [1.0], "other": [1.0]}, AT_LEAST),
            not_measured("absent", AT_LEAST, "no server"),
            BenchRow(measure="told", value=0.5, goal=None, note="share"),
        ],
        rounds=5,
    )
    assert "| reached | 2.00 | >= 2.00 | yes; 2.0 against 1.0 tokens/s of other, 1 round |" in shown
    assert "| missed | 1.00 | >= 2.00 | NO;" in shown
    assert "| absent | - | >= 2.00 | not measured: no server |" in shown
    assert "| told | 0.50 | - | for information; share |" in shown
    assert shown.endswith(
        "1 of 2 measured goals reached; 1 not measured. "
        "Medians of 5 rounds, of up to 15 where those leave a ratio's goal open."
    )


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "1 round: not for the record"),
        (2, "2 rounds: not for the record"),
        (4, "4 rounds: not for the record"),
        (5, "Medians of 5 rounds, of up to 15 where"),
        (9, "Medians of 9 rounds, of up to 27 where"),
    ],
)
def test_fewer_than_five_rounds_are_not_for_the_record(count: int, said: str) -> None:
    assert standing(count).startswith(said)


def test_a_ratio_of_medians_is_held_against_the_best_other_side() -> None:
    """A goal inside the interval counts as reached; one above it does not."""
    steady = {"auto": [50.0] * 8, "1 threads": [62.0] * 8, "2 threads": [28.0] * 8}
    row = ratio_of_medians("auto / best", steady, Goal(bound=0.9), "auto ended with 1 threads")
    assert row.value == pytest.approx(50 / 62)
    assert row.interval == pytest.approx((50 / 62, 50 / 62))
    assert row.reached is False
    noisy = steady | {"auto": [30.0, 40.0, 50.0, 52.0, 53.0, 60.0, 70.0, 80.0]}
    row = ratio_of_medians("auto / best", noisy, Goal(bound=0.9), "")
    assert row.value is not None
    assert row.value < 0.9
    assert row.interval is not None
    assert row.interval[1] > 0.9
    assert row.reached is True
    assert "95 % interval" in row.remark


def test_the_latest_of_some_starts() -> None:
    row = latest("first turn", [0.2, 0.3, 0.4, 2.0], Goal(bound=1.0, at_most=True), "16 tokens out")
    assert row.measure == "first turn, p95 of 4"
    assert row.value == pytest.approx(1.76)
    assert row.reached is False
