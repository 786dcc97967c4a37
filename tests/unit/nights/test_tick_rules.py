"""What happens to a tick that is seen late, or while the previous run still works."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nightjar.config.errors import UsageError
from nightjar.jobs.nights.documents import Missed, Overlap
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.nights.ticks import Rules, TickStep, decide_tick

TICK = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
WORKS = ("n-1", RunStatus.ACTIVE)
ENDED = ("n-1", RunStatus.STOPPED)


@pytest.mark.parametrize(
    ("rules", "late_s", "previous", "waited", "step"),
    [
        (Rules(), 0, None, False, TickStep.FIRE),
        (Rules(), 0, ENDED, False, TickStep.FIRE),
        (Rules(), 86_400, ENDED, False, TickStep.FIRE),  # missed: run, once
        (Rules(missed=Missed.SKIP), 300, ENDED, False, TickStep.FIRE),  # within the grace it is not missed
        (Rules(missed=Missed.SKIP), 301, ENDED, False, TickStep.SKIP),
        (Rules(missed=Missed.SKIP), 301, ENDED, True, TickStep.FIRE),  # it was seen in time and had to wait
        (Rules(missed=Missed.SKIP, grace_s=3600), 3000, None, False, TickStep.FIRE),
        (Rules(overlap=Overlap.SKIP), 0, WORKS, False, TickStep.SKIP),
        (Rules(overlap=Overlap.SKIP), 0, ENDED, False, TickStep.FIRE),
        (Rules(overlap=Overlap.QUEUE), 0, WORKS, False, TickStep.WAIT),
        (Rules(overlap=Overlap.QUEUE), 9_000, WORKS, True, TickStep.WAIT),
        (Rules(overlap=Overlap.CANCEL_PREVIOUS), 0, WORKS, False, TickStep.CANCEL_AND_FIRE),
        (Rules(), 0, ("n-1", RunStatus.PAUSED), False, TickStep.WAIT),  # somebody means to go on with it
    ],
)
def test_rules(
    rules: Rules, late_s: float, previous: tuple[str, RunStatus] | None, waited: bool, step: TickStep
) -> None:
    assert decide_tick(TICK, TICK + timedelta(seconds=late_s), rules, previous=previous, waited=waited).step is step


def test_a_tick_whose_deadline_is_over_makes_no_run() -> None:
    """It would be stopped at once."""
    late = TICK + timedelta(hours=6)
    decision = decide_tick(TICK, late, Rules(), previous=None, deadline_at=TICK + timedelta(hours=5))
    assert decision.step is TickStep.SKIP
    assert "deadline, 2026-11-21 07:00 UTC, is over" in (decision.reason or "")


def test_why_is_said() -> None:
    skipped = decide_tick(TICK, TICK, Rules(overlap=Overlap.SKIP), previous=WORKS)
    assert skipped.reason == "run n-1 was still ACTIVE"
    missed = decide_tick(TICK, TICK + timedelta(hours=5), Rules(missed=Missed.SKIP), previous=None)
    assert missed.reason == "no dispatcher saw it until 5h later"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"overlap": "both"}, "--overlap 'both' is not known. Choose one of: skip, queue, cancel-previous"),
        ({"missed": "twice"}, "--missed"),
        ({"grace": "soon"}, "--grace"),
    ],
)
def test_what_is_no_rule(options: dict[str, str], said: str) -> None:
    given = {"overlap": "skip", "missed": "run", "grace": "5m"} | options
    with pytest.raises(UsageError, match=said):
        Rules.read(overlap=given["overlap"], missed=given["missed"], grace=given["grace"])
