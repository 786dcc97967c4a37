"""How a run is to end: by when, what its numbers are compared with, who is told; and how it did end. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from nightjar.config.redact import redact_command
from nightjar.jobs.states import RunStatus

DEADLINE = "deadline"
"""The beginning of the reason of a run that was stopped at its deadline."""


class GateKind(StrEnum):
    """The option that asks for the gate."""

    BELOW = "--fail-below"
    REGRESSION = "--fail-on-regression"
    MISSING = "--max-missing"
    DRIFT = "--fail-on-drift"
    """Of `nightjar fidelity`, and of runs with a reference (`--fidelity-to`)."""


class Gate(BaseModel):
    """`value` on the metric's own scale; for missing a share of 0 to 1, or turns where `counted`."""

    model_config = ConfigDict(frozen=True)

    kind: GateKind
    metric: str | None
    value: float
    counted: bool = False

    def __str__(self) -> str:
        limit = f"{self.value:g}" if self.counted or self.kind is not GateKind.MISSING else f"{self.value:.6g}"
        return f"{self.kind.value} {self.metric}:{limit}" if self.metric else f"{self.kind.value} {limit}"


class GateOutcome(StrEnum):
    """What a gate said."""

    PASSED = "passed"
    TRIPPED = "tripped"
    INCONCLUSIVE = "inconclusive"
    """Fails only where gates are strict."""


class GateResult(BaseModel):
    """What one gate said of one model."""

    model_config = ConfigDict(frozen=True)

    gate: Gate
    about: str
    """The run and model it was tried on."""
    outcome: GateOutcome
    reason: str
    measured: float | None = None
    """What was held against the gate's value: a mean, a difference, a share or number of missing turns. None: nothing
    could be measured, or it was not kept (runs of earlier versions)."""
    low: float | None = None
    high: float | None = None
    """Ends of its 95 % interval, where it has one."""
    n: int | None = None
    """Over so many sequences; for missing, so many turns."""

    def sentence(self) -> str:
        """For a person: which gate, what it said of which model, and why."""
        verb = "is inconclusive" if self.outcome is GateOutcome.INCONCLUSIVE else self.outcome.value
        return f"Gate {self.gate} {verb} for {self.about}: {self.reason}."


class EndScore(BaseModel):
    """A model's mean on the metric that its run's report leads with."""

    model_config = ConfigDict(frozen=True)

    model: str
    metric: str
    mean: float | None
    low: float | None
    high: float | None
    """Ends of the 95 % interval of the mean; None with too few sequences."""
    n: int
    """Sequences with a value."""
    missing: int
    """Turns that were never generated."""


class GateVerdict(BaseModel):
    """What the gates of a run said at its end."""

    model_config = ConfigDict(frozen=True)

    results: tuple[GateResult, ...]
    strict: bool = False
    baseline: str | None = None
    """Name of the run it was compared with."""
    at: datetime

    @property
    def failed(self) -> bool:
        return gates_failed(self.results, strict=self.strict)

    @property
    def outcome(self) -> GateOutcome:
        """The worst of the results."""
        outcomes = {result.outcome for result in self.results}
        return next(
            (bad for bad in (GateOutcome.TRIPPED, GateOutcome.INCONCLUSIVE) if bad in outcomes), GateOutcome.PASSED
        )

    def reasons(self) -> list[str]:
        """Sentences about what did not pass."""
        return [result.sentence() for result in self.results if result.outcome is not GateOutcome.PASSED]

    def told(self) -> dict[str, Any]:
        """As JSON-able data, for those who are not there: reports, web calls."""
        return {
            "outcome": self.outcome.value,
            "failed": self.failed,
            "strict": self.strict,
            "baseline": self.baseline,
            "results": [{**result.model_dump(mode="json"), "gate": str(result.gate)} for result in self.results],
        }


def gates_failed(results: Sequence[GateResult], *, strict: bool) -> bool:
    """Whether these results make the exit code 1."""
    bad = {GateOutcome.TRIPPED, GateOutcome.INCONCLUSIVE} if strict else {GateOutcome.TRIPPED}
    return any(result.outcome in bad for result in results)


class HookKind(StrEnum):
    """How somebody is told."""

    WEBHOOK = "webhook"
    MAIL = "mail"
    COMMAND = "command"


class Hook(BaseModel):
    """Who is told of a run's end. `target`: a URL, a mail address, or a command line (no shell reads it)."""

    model_config = ConfigDict(frozen=True)

    kind: HookKind
    target: str

    @property
    def argv(self) -> list[str]:
        return shlex.split(self.target)

    def __str__(self) -> str:
        """Without what may be secret: chat services put a token into the path of the URL."""
        if self.kind is HookKind.WEBHOOK:
            parts = urlsplit(self.target)
            hidden = "/..." if parts.path.strip("/") or parts.query else ""
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{hidden}"
        return f"mailto:{self.target}" if self.kind is HookKind.MAIL else redact_command(self.target)


class Event(StrEnum):
    """What a run's hooks are called for."""

    DONE = "done"
    TRIPPED = "tripped"
    """Done, and a gate failed."""
    DEADLINE = "deadline"
    STOPPED = "stopped"
    """After too many failed jobs."""
    STALLED = "stalled"
    """Nothing has moved for long; the run goes on."""


class Ending(BaseModel):
    """Frozen with the run."""

    model_config = ConfigDict(frozen=True)

    gates: tuple[Gate, ...] = ()
    strict: bool = False
    baseline: str | None = None
    """Name of the run to be compared with; None: the suite's baseline."""
    deadline_at: datetime | None = None
    """The run is stopped then, with a partial report."""
    stalled_after_s: float | None = None
    formats: tuple[str, ...] = ("html", "json")
    """Of the report that is written at the end."""
    on_finish: tuple[Hook, ...] = ()

    def shown(self) -> EndingView:
        """For a person and for --json."""
        return EndingView(
            gates=tuple(str(gate) for gate in self.gates),
            strict=self.strict,
            baseline=self.baseline,
            deadline_at=self.deadline_at,
            stalled_after_s=self.stalled_after_s,
            formats=self.formats,
            on_finish=tuple(str(hook) for hook in self.on_finish),
        )


@dataclass(frozen=True, kw_only=True)
class EndingView:
    """An ending with gates and hooks as text, nothing in it secret."""

    gates: tuple[str, ...]
    strict: bool
    baseline: str | None
    deadline_at: datetime | None
    stalled_after_s: float | None
    formats: tuple[str, ...]
    on_finish: tuple[str, ...]


def ended_how(status: RunStatus, reason: str | None, verdict: GateVerdict | None) -> Event | None:
    """The event of a run that has ended; None for one that still works or that somebody cancelled."""
    if status is RunStatus.DONE:
        return Event.TRIPPED if verdict is not None and verdict.failed else Event.DONE
    if status is RunStatus.STOPPED:
        return Event.DEADLINE if (reason or "").startswith(DEADLINE) else Event.STOPPED
    return None
