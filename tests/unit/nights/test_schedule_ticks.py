"""When schedules tick: time zones, changes of the clock, ticks that were missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.config.errors import UsageError
from nightjar.pipeline.nights.ticks import check_cron, newest_due, next_tick, run_name

BERLIN = "Europe/Berlin"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("0 2 * * *", "UTC", "2026-11-21 01:59", "2026-11-21 02:00"),
        ("0 2 * * *", "UTC", "2026-11-21 02:00", "2026-11-22 02:00"),  # after, not at
        ("0 2 * * *", BERLIN, "2026-11-21 00:30", "2026-11-21 01:00"),  # winter: an hour ahead of UTC
        ("0 2 * * *", BERLIN, "2026-07-01 12:00", "2026-07-02 00:00"),  # summer: two hours
        ("0 2 * * *", "Asia/Kolkata", "2026-11-21 00:00", "2026-11-21 20:30"),
        ("30 2 * * *", BERLIN, "2026-03-28 12:00", "2026-03-29 01:00"),  # 02:30 does not exist: 03:00 instead
        ("30 2 * * *", BERLIN, "2026-03-29 01:00", "2026-03-30 00:30"),
        ("30 2 * * *", BERLIN, "2026-10-24 12:00", "2026-10-25 00:30"),  # 02:30 comes twice: the first one
        ("30 2 * * *", BERLIN, "2026-10-25 00:30", "2026-10-26 01:30"),  # and not the second
        ("30 2 * * *", BERLIN, "2026-10-25 01:10", "2026-10-26 01:30"),  # asked between the two
        ("0 * * * *", BERLIN, "2026-10-25 00:00", "2026-10-25 01:00"),  # an hourly one ticks in both
        ("0 22 * * 5", "UTC", "2026-11-21 00:00", "2026-11-27 22:00"),  # Fridays
        ("0 0 29 2 *", "UTC", "2026-01-01 00:00", "2028-02-29 00:00"),
    ],
)
def test_the_next_tick(cron: str, zone: str, after: str, expected: str) -> None:
    assert next_tick(cron, zone, utc(after)) == utc(expected)


@pytest.mark.parametrize(
    ("cron", "zone", "last", "now", "expected"),
    [
        ("0 2 * * *", "UTC", "2026-11-20 12:00", "2026-11-21 01:59", None),
        ("0 2 * * *", "UTC", "2026-11-20 12:00", "2026-11-21 02:00", "2026-11-21 02:00"),  # to the second
        ("0 2 * * *", "UTC", "2026-11-21 02:00", "2026-11-21 23:00", None),  # fired
        ("0 2 * * *", "UTC", "2026-11-10 12:00", "2026-11-21 05:00", "2026-11-21 02:00"),  # only the newest of ten
        ("* * * * *", "UTC", "2025-01-01 00:00", "2026-11-21 05:00", "2026-11-21 05:00"),
        ("0 0 1 1 *", "UTC", "2020-06-01 00:00", "2026-11-21 05:00", "2026-01-01 00:00"),
        ("30 2 * * *", BERLIN, "2026-10-24 00:30", "2026-10-25 01:10", "2026-10-25 00:30"),  # seen in the second 02:10
        ("30 2 * * *", BERLIN, "2026-10-25 00:30", "2026-10-25 01:45", None),  # not again at the second 02:30
        ("30 2 * * *", BERLIN, "2026-03-28 12:00", "2026-03-29 01:00", "2026-03-29 01:00"),
    ],
)
def test_the_newest_tick_that_is_due(cron: str, zone: str, last: str, now: str, expected: str | None) -> None:
    assert newest_due(cron, zone, utc(last), utc(now)) == (None if expected is None else utc(expected))


@given(
    cron=st.sampled_from(["30 2 * * *", "0 * * * *", "*/20 1-3 * * *", "15 3 * * 0", "59 1 * * *", "0 0 1 * *"]),
    zone=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC"]),
    start=st.sampled_from(["2026-03-27", "2026-10-23", "2026-10-30", "2026-04-03", "2026-10-02"]),
    steps=st.lists(st.integers(1, 400), min_size=1, max_size=40),
)
def test_looking_now_and_then_never_fires_twice_and_ends_at_the_newest(
    cron: str, zone: str, start: str, steps: list[int]
) -> None:
    """A dispatcher that looks at odd minutes fires ticks in order, each once, and knows the newest one in the end."""
    now = last = utc(start)
    fired = []
    for minutes in steps:
        now += timedelta(minutes=minutes)
        if (tick := newest_due(cron, zone, last, now)) is not None:
            assert last < tick <= now
            fired.append(tick)
            last = tick
    assert len(set(fired)) == len(fired)
    after = next_tick(cron, zone, last)
    assert after is not None
    assert after > now  # nothing that is due was left behind


@pytest.mark.parametrize(
    ("cron", "zone", "said"),
    [
        ("0 2 * *", "UTC", "five fields"),
        ("0 0 2 * * *", "UTC", "five fields"),  # seconds
        ("@daily", "UTC", "five fields"),
        ("", "UTC", "five fields"),
        ("60 2 * * *", "UTC", "bad minute"),
        ("0 2 * * funday", "UTC", "bad day-of-week"),
        ("0 0 31 2 *", "UTC", "cron expression"),  # no such day
        ("0 2 * * *", "Europe/Berln", "Did you mean 'Europe/Berlin'"),
        ("0 2 * * *", "", "no time zone"),
        ("0 2 * * *", "../etc/passwd", "no time zone"),
    ],
)
def test_what_never_ticks_is_refused(cron: str, zone: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_cron(cron, zone)


def test_a_run_is_named_by_its_tick_in_utc() -> None:
    """So that the two runs of a repeated local hour have two names."""
    assert run_name("nightly", utc("2026-10-25 00:30")) == "nightly-2026-10-25-0030Z"
    assert run_name("nightly", utc("2026-10-25 01:30")) == "nightly-2026-10-25-0130Z"
