"""The decision on a job that failed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.jobs.retry import Again, Counters, Dead, Decision, Fault, RetryLimits, backoff, decide

LIMITS = RetryLimits(max_tries=3, max_lapses=5, max_crashes=2)


def again(delay_s: float, counted: str, *, suspect: bool = False) -> Again:
    return Again(delay_s=delay_s, counted=(counted,), suspect=suspect)


@pytest.mark.parametrize(
    ("fault", "counters", "expected"),
    [
        # what cannot succeed dies at once, whatever tries are left
        (Fault.PERMANENT, Counters(), Dead(reason="e", counted=("tries",))),
        # transient errors wait 2, 4, ... s (here at full jitter's lower half) until the tries are used up
        (Fault.TRANSIENT, Counters(), again(1.0, "tries")),
        (Fault.TRANSIENT, Counters(tries=1), again(2.0, "tries")),
        (Fault.TRANSIENT, Counters(tries=2), Dead(reason="e", counted=("tries",))),
        # lapses and crashes do not use up tries
        (Fault.TRANSIENT, Counters(lapses=4, crashes=9), again(1.0, "tries")),
        # a vanished worker is nobody's fault, up to a limit of its own
        (Fault.LAPSED, Counters(tries=9), again(0.5, "lapses")),
        (Fault.LAPSED, Counters(lapses=4), Dead(reason="its worker vanished 5 times", counted=("lapses",))),
        # in company, a crash makes suspects and kills nobody, however often
        (Fault.CRASHED, Counters(), again(0.0, "crashes", suspect=True)),
        (Fault.CRASHED, Counters(crashes=7), again(0.0, "crashes", suspect=True)),
        # alone, the first crash makes a suspect, the second is proof
        (Fault.CRASHED_ALONE, Counters(), again(0.0, "crashes", suspect=True)),
        (Fault.CRASHED_ALONE, Counters(crashes=1), Dead(reason="e", counted=("crashes",))),
    ],
)
def test_decision(fault: Fault, counters: Counters, expected: Decision) -> None:
    assert decide(fault, "e", counters, LIMITS, jitter=0.0) == expected


@given(count=st.integers(1, 10_000), jitter=st.floats(0, 1, exclude_max=True))
def test_backoff_grows_to_its_limit_and_keeps_half_of_itself(count: int, jitter: float) -> None:
    delay = backoff(count, 2.0, 300.0, jitter)
    assert min(300.0, 2.0 * 2 ** min(count - 1, 30)) / 2 <= delay <= 300.0
    assert delay <= backoff(count + 1, 2.0, 300.0, jitter)
