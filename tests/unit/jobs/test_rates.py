"""How many requests a process counts by itself."""

from __future__ import annotations

from nightjar.jobs.money.rates import REMEMBERED, MinuteCounts


def test_a_minutes_requests_are_counted() -> None:
    counts = MinuteCounts()
    assert [counts.wait_s("t", 2, now) for now in (0.0, 1.0, 2.0)] == [0, 0, 58]
    assert counts.wait_s("other", 2, 2.0) == 0
    assert counts.wait_s("t", 2, 60.0) == 0


def test_they_do_not_grow_without_end() -> None:
    counts = MinuteCounts()
    for number in range(REMEMBERED + 10):
        counts.wait_s(f"t{number}", 1, 0.0)
    assert counts.wait_s("t0", 1, 1.0) == 0, "the oldest is forgotten"
    assert counts.wait_s(f"t{REMEMBERED}", 1, 1.0) == 59
