"""Pure decisions about a run's end: whom to notify, of what, and when nothing moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nightjar.config.errors import UsageError
from nightjar.jobs.ending import (
    Ending,
    Event,
    Gate,
    GateKind,
    GateOutcome,
    GateResult,
    GateVerdict,
    Hook,
    HookKind,
    ended_how,
)
from nightjar.jobs.run_outcome import Progress
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.closing.endings import is_stalled, link_to, moved
from nightjar.pipeline.notify.hooks import parse_hook
from nightjar.pipeline.notify.message import signature

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
GATE = Gate(kind=GateKind.BELOW, metric="checks", value=0.8)


def verdict(*outcomes: GateOutcome, strict: bool = False) -> GateVerdict:
    results = tuple(GateResult(gate=GATE, about="r:m", outcome=outcome, reason="why") for outcome in outcomes)
    return GateVerdict(results=results, strict=strict, at=NOW)


@pytest.mark.parametrize(
    ("status", "reason", "found", "event"),
    [
        (RunStatus.DONE, None, None, Event.DONE),
        (RunStatus.DONE, None, verdict(GateOutcome.PASSED), Event.DONE),
        (RunStatus.DONE, None, verdict(GateOutcome.PASSED, GateOutcome.TRIPPED), Event.TRIPPED),
        (RunStatus.DONE, None, verdict(GateOutcome.INCONCLUSIVE), Event.DONE),
        (RunStatus.DONE, None, verdict(GateOutcome.INCONCLUSIVE, strict=True), Event.TRIPPED),
        (RunStatus.STOPPED, "deadline 2026-11-21 07:00 UTC", verdict(GateOutcome.TRIPPED), Event.DEADLINE),
        (RunStatus.STOPPED, "3 of 9 jobs failed (fail_on_error is 3)", None, Event.STOPPED),
        (RunStatus.CANCELLED, "cancelled", None, None),  # whoever did it knows
        (RunStatus.ACTIVE, None, None, None),
        (RunStatus.PAUSED, "paused", None, None),
    ],
)
def test_what_an_end_is_called(
    status: RunStatus, reason: str | None, found: GateVerdict | None, event: Event | None
) -> None:
    assert ended_how(status, reason, found) is event


def test_a_verdict_is_its_worst_result() -> None:
    assert verdict(GateOutcome.PASSED, GateOutcome.INCONCLUSIVE).outcome is GateOutcome.INCONCLUSIVE
    assert verdict(GateOutcome.INCONCLUSIVE, GateOutcome.TRIPPED).outcome is GateOutcome.TRIPPED
    assert verdict(GateOutcome.TRIPPED).reasons() == ["Gate --fail-below checks:0.8 tripped for r:m: why."]


@pytest.mark.parametrize(
    ("last", "since", "patience_s", "stalled"),
    [
        (NOW - timedelta(minutes=30), NOW - timedelta(hours=5), 1800, True),
        (NOW - timedelta(minutes=29), NOW - timedelta(hours=5), 1800, False),
        (NOW - timedelta(hours=9), NOW - timedelta(minutes=5), 1800, False),  # no dispatcher looked meanwhile
        (NOW - timedelta(hours=9), NOW - timedelta(hours=5), None, False),  # nobody asked
    ],
)
def test_stalled(last: datetime, since: datetime, patience_s: float | None, stalled: bool) -> None:
    assert is_stalled(Progress(turns=1, jobs=0, at=last), since, NOW, patience_s) is stalled


def test_moved() -> None:
    """By a turn or by a job, forwards or, after a retry, back."""
    before = Progress(turns=5, jobs=2, at=NOW)
    assert [
        moved(None, before),
        moved(before, before.model_copy(update={"at": NOW + timedelta(1)})),
        moved(before, Progress(turns=6, jobs=2, at=NOW)),
        moved(before, Progress(turns=5, jobs=1, at=NOW)),
    ] == [True, False, True, True]


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("https://host/x?y=1", HookKind.WEBHOOK, "https://host/x?y=1"),
        ("HTTP://host", HookKind.WEBHOOK, "HTTP://host"),
        ("mailto:ops@example.org", HookKind.MAIL, "ops@example.org"),
        ("notify-send 'a b'", HookKind.COMMAND, "notify-send 'a b'"),
        ("C:tool --flag", HookKind.COMMAND, "C:tool --flag"),  # no address
    ],
)
def test_hook(text: str, kind: HookKind, target: str) -> None:
    assert parse_hook(text) == Hook(kind=kind, target=target)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "ftp://host/x",
        "file:///etc/passwd",
        "https://",
        "http:///x",
        "https://host:99999/",
        "http://h\r\nX: y/",
        "https://hóst/",
        "mailto:",
        "mailto:nobody",
        "mailto:a@b, c@d",
        "mailto:a@b%0d%0aBcc:c@d",
        "echo 'open",
    ],
)
def test_what_is_no_hook(text: str) -> None:
    with pytest.raises(UsageError, match="--on-finish"):
        parse_hook(text)


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("https://chat.example.org/hooks/T0/secret?token=1", "https://chat.example.org/..."),
        ("https://user:pw@host:8443/", "https://host:8443"),
        ("http://host/", "http://host"),
    ],
)
def test_a_web_address_is_shown_without_its_secrets(target: str, shown: str) -> None:
    assert str(Hook(kind=HookKind.WEBHOOK, target=target)) == shown
    assert Ending(on_finish=(Hook(kind=HookKind.WEBHOOK, target=target),)).shown().on_finish == (shown,)


@pytest.mark.parametrize(
    ("files", "base", "link"),
    [
        (["/x/n 1.html", "/x/n 1.json"], "https://host/reports", "https://host/reports/n%201.html"),
        (["/x/n.html"], "https://host/reports/", "https://host/reports/n.html"),
        (["/x/n.html"], None, None),
        ([], "https://host", None),  # no report could be written
    ],
)
def test_link(files: list[str], base: str | None, link: str | None) -> None:
    assert link_to(files, base) == link


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification's own verification tool."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
