"""How long somebody who guesses has to wait."""

from __future__ import annotations

from nightjar.web.auth.throttle import FREE_TRIES, LONGEST_S, REMEMBERED, Throttle


def test_each_failure_after_the_free_ones_doubles_the_wait() -> None:
    throttle = Throttle()
    waits = []
    for _ in range(FREE_TRIES + 3):
        throttle.failed("ann", "1.2.3.4", 100.0)
        waits.append(throttle.wait_s("ann", "1.2.3.4", 100.0))
    assert waits == [0, 0, 0, 0, 2, 4, 8]
    for _ in range(20):
        throttle.failed("ann", "1.2.3.4", 100.0)
    assert throttle.wait_s("ann", "1.2.3.4", 100.0) == LONGEST_S
    assert throttle.wait_s("ann", "1.2.3.4", 100.0 + LONGEST_S) == 0


def test_names_and_addresses_are_counted_apart() -> None:
    throttle = Throttle()
    for number in range(FREE_TRIES + 1):  # one password tried with many names
        throttle.failed(f"user{number}", "1.2.3.4", 0.0)
    assert throttle.wait_s("another", "1.2.3.4", 0.0) > 0
    assert throttle.wait_s("another", "5.6.7.8", 0.0) == 0
    for number in range(FREE_TRIES + 1):  # one name tried from many addresses
        throttle.failed("ann", f"9.9.9.{number}", 0.0)
    assert throttle.wait_s("ann", "5.6.7.8", 0.0) > 0
    throttle.succeeded("ann", "5.6.7.8")
    assert throttle.wait_s("ann", "5.6.7.8", 0.0) == 0


def test_it_does_not_grow_without_end() -> None:
    throttle = Throttle()
    for number in range(REMEMBERED + 10):
        throttle.failed(f"user{number}", "1.2.3.4", 0.0)
    assert len(throttle._failures) == REMEMBERED
