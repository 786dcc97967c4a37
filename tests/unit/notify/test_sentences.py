"""What somebody reads who was not there: the sentences of notifications and gates, word by word."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from nightjar.jobs.documents import Run, RunOutcome
from nightjar.jobs.ending import Ending, Event, Gate, GateKind, GateOutcome, GateResult, GateVerdict
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.pipeline.notify.message import sentence
from tests.documents import a_run

GATE = Gate(kind=GateKind.BELOW, metric="checks", value=0.8)


def verdict(outcome: GateOutcome, reason: str = "checks is 0.7 over 12 sequences, limit 0.8") -> GateVerdict:
    result = GateResult(gate=GATE, about="night:amber", outcome=outcome, reason=reason)
    return GateVerdict(results=(result,), at=datetime(2026, 11, 21, tzinfo=UTC))


def ended(**changes: Any) -> Run:
    return a_run("r", name="night", **changes)


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (GateOutcome.PASSED, "Gate --fail-below checks:0.8 passed for night:amber: x."),
        (GateOutcome.TRIPPED, "Gate --fail-below checks:0.8 tripped for night:amber: x."),
        (GateOutcome.INCONCLUSIVE, "Gate --fail-below checks:0.8 is inconclusive for night:amber: x."),
    ],
)
def test_a_gate_speaks_in_one_sentence(outcome: GateOutcome, text: str) -> None:
    assert verdict(outcome, "x").results[0].sentence() == text


@pytest.mark.parametrize(
    ("run", "event", "jobs", "why", "text"),
    [
        (ended(), Event.DONE, {JobStatus.DONE: 12}, None, "Run night is done: 12 of 12 jobs are done."),
        (
            ended(outcome=RunOutcome(verdict=verdict(GateOutcome.PASSED))),
            Event.DONE,
            {JobStatus.DONE: 10, JobStatus.DEAD: 2},
            None,
            "Run night is done: 10 of 12 jobs are done, 2 failed. All gates passed.",
        ),
        (
            ended(outcome=RunOutcome(verdict=verdict(GateOutcome.TRIPPED))),
            Event.TRIPPED,
            {JobStatus.DONE: 12},
            None,
            "Run night is done: 12 of 12 jobs are done. Gate --fail-below checks:0.8 tripped for night:amber: "
            "checks is 0.7 over 12 sequences, limit 0.8.",
        ),
        (
            ended(status=RunStatus.STOPPED, status_reason="deadline 2026-11-21 07:00 UTC"),
            Event.DEADLINE,
            {JobStatus.DONE: 3, JobStatus.CANCELLED: 9},
            None,
            "Run night was stopped at its deadline 2026-11-21 07:00 UTC; 3 of 12 jobs are done.",
        ),
        (
            ended(status=RunStatus.STOPPED, status_reason="too many failed jobs"),
            Event.STOPPED,
            {JobStatus.DEAD: 12},
            None,
            "Run night was stopped: too many failed jobs; 0 of 12 jobs are done, 12 failed.",
        ),
        (
            ended(ending=Ending(stalled_after_s=7200)),
            Event.STALLED,
            {JobStatus.DONE: 3, JobStatus.PENDING: 9},
            "amber: no worker for model",
            "Run night has made no progress for 2h: amber: no worker for model. 3 of 12 jobs are done.",
        ),
        (
            ended(ending=Ending(stalled_after_s=7200)),
            Event.STALLED,
            {JobStatus.PENDING: 12},
            None,
            "Run night has made no progress for 2h: the reason is unknown. 0 of 12 jobs are done.",
        ),
    ],
)
def test_a_notification_says_what_happened(
    run: Run, event: Event, jobs: dict[str, int], why: str | None, text: str
) -> None:
    assert sentence(run, event, jobs, why=why) == text
