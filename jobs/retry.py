"""Whether a job that failed gets another attempt, and when. Pure: chance comes in as `jitter`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from nightjar.config.counting import how_many

FIRST_DELAY_S = 2.0
LONGEST_DELAY_S = 300.0
LAPSE_DELAY_S = 1.0
LONGEST_LAPSE_DELAY_S = 4.0


class Fault(StrEnum):
    """What ended an attempt."""

    TRANSIENT = "transient"
    """An error of the job's own that another try may not meet."""
    PERMANENT = "permanent"
    """An error that every try would meet: a prompt that does not fit, a template that cannot render."""
    LAPSED = "lapsed"
    """The lease ran out: kill -9, power loss, a stopped host. Nobody's fault."""
    CRASHED = "crashed"
    """The process died of a fatal signal with other jobs in flight: any of them may be the cause."""
    CRASHED_ALONE = "crashed alone"
    """The process died of a fatal signal with this job alone in flight."""


@dataclass(frozen=True, kw_only=True)
class RetryLimits:
    """How often each job of a run may fail in each way."""

    max_tries: int
    max_lapses: int
    max_crashes: int


@dataclass(frozen=True, kw_only=True)
class Counters:
    """A job's failures so far, before the fault that is decided on."""

    tries: int = 0
    lapses: int = 0
    crashes: int = 0


@dataclass(frozen=True, kw_only=True)
class Again:
    """Another attempt, not before `delay_s` from now; `suspect` jobs run singly. `counted`: counters to raise."""

    delay_s: float
    counted: tuple[str, ...]
    suspect: bool = False


@dataclass(frozen=True, kw_only=True)
class Dead:
    """No other attempt. `counted`: counters to raise."""

    reason: str
    counted: tuple[str, ...]


Decision = Again | Dead


def decide(fault: Fault, error: str, counters: Counters, limits: RetryLimits, *, jitter: float) -> Decision:
    """The decision after a fault. `error` becomes the reason of a DEAD job; 0 <= jitter < 1 spreads the delays."""
    match fault:
        case Fault.PERMANENT:
            return Dead(reason=error, counted=("tries",))
        case Fault.TRANSIENT:
            tries = counters.tries + 1
            if tries >= limits.max_tries:
                return Dead(reason=error, counted=("tries",))
            return Again(delay_s=backoff(tries, FIRST_DELAY_S, LONGEST_DELAY_S, jitter), counted=("tries",))
        case Fault.LAPSED:
            lapses = counters.lapses + 1
            if lapses >= limits.max_lapses:
                return Dead(reason=f"its worker vanished {how_many(lapses, 'time')}", counted=("lapses",))
            return Again(delay_s=backoff(lapses, LAPSE_DELAY_S, LONGEST_LAPSE_DELAY_S, jitter), counted=("lapses",))
        case Fault.CRASHED | Fault.CRASHED_ALONE:
            if fault is Fault.CRASHED_ALONE and counters.crashes + 1 >= limits.max_crashes:
                return Dead(reason=error, counted=("crashes",))
            return Again(delay_s=0.0, counted=("crashes",), suspect=True)


def backoff(count: int, first_s: float, longest_s: float, jitter: float) -> float:
    """Seconds to wait after the `count`-th failure: doubling from `first_s`, between half and all of it."""
    full = min(longest_s, first_s * 2.0 ** min(count - 1, 30))
    return full * (0.5 + 0.5 * jitter)
