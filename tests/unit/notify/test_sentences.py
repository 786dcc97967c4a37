"""What somebody reads who was not there: the sentences of notifications and gates, word by word."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from nightjar.jobs.documents import Run
from nightjar.jobs.ending import Ending, EndScore, Event, Gate, GateKind, GateOutcome, GateResult, GateVerdict
from nightjar.jobs.run_outcome import RunOutcome
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.pipeline.notify.message import discord_body, is_discord, numbers, payload_of, sentence
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


TWO = [
    EndScore(model="amber", metric="checks", mean=0.9125, low=0.85, high=0.95, n=40, missing=0),
    EndScore(model="basalt", metric="checks", mean=0.5, low=None, high=None, n=4, missing=3),
    EndScore(model="cinder", metric="checks", mean=None, low=None, high=None, n=0, missing=9),
]


def told(run: Run, event: Event = Event.DONE, link: str | None = None) -> dict[str, Any]:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return payload_of(run, event, delivery="d", jobs={JobStatus.DONE: 3}, files=[], link=link, now=now)


def test_the_text_has_the_answer_and_the_numbers() -> None:
    """In ASCII, for chats and for scripts; the scores apart, as numbers. One that is stalled has no answer yet."""
    outcome = RunOutcome(answer="By checks, amber (91\u202f%) beats basalt by \u22121\u202f234.", scores=TWO)
    payload = told(ended(outcome=outcome), link="https://host/r.html")
    assert payload["text"].splitlines() == [
        "Run night is done: 3 of 3 jobs are done.",
        "By checks, amber (91 %) beats basalt by -1234.",
        "checks: amber 0.912 (95 % interval 0.85 to 0.95, n 40); basalt 0.5 (n 4, 3 turns missing); "
        "cinder has no value",
        "https://host/r.html",
    ]
    assert payload["scores"][0] == {
        "model": "amber",
        "metric": "checks",
        "mean": 0.9125,
        "low": 0.85,
        "high": 0.95,
        "n": 40,
        "missing": 0,
    }
    assert "amber" not in told(ended(outcome=outcome, ending=Ending(stalled_after_s=60)), Event.STALLED)["text"]
    assert numbers(TWO[:1]) == "", "the answer has those of a single model"


@pytest.mark.parametrize(("length", "link"), [(10, None), (1999, None), (2001, None), (5000, "https://host/r.html")])
def test_discord_gets_at_most_what_it_takes(length: int, link: str | None) -> None:
    payload = told(ended(outcome=RunOutcome(answer="x" * length)), link=link)
    content = json.loads(discord_body(payload))["content"]
    assert len(content) <= 2000
    assert (content == payload["text"]) is (len(payload["text"]) <= 2000)
    assert link is None or content.endswith(link)


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/api/webhooks/112233/a-b_C3", True),
        ("/api/v10/webhooks/112233/a-b_C3", True),
        ("/api/webhooks/112233/a-b_C3/slack", False),  # takes `text`
        ("/services/T0/B0/xyz", False),
        ("/hooks/api/webhooks/1/x", False),
    ],
)
def test_discord_is_known_by_its_addresses(path: str, known: bool) -> None:
    assert is_discord(path) is known
