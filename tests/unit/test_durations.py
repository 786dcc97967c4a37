"""Durations and deadlines as people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from nightjar.config.errors import UsageError
from nightjar.pipeline.durations import parse_deadline, parse_duration, shown_span

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("8h", 28_800), ("90m", 5_400), ("1h30m", 5_400), ("45s", 45), (" 2D ", 172_800), ("1d2h3m4s", 93_784)],
)
def test_duration(text: str, seconds: float) -> None:
    assert parse_duration("--grace", text) == seconds


@pytest.mark.parametrize("text", ["", "0m", "8", "h", "-1h", "1.5h", "8 h", "30m1h", "366d", "9" * 30 + "s", "eight"])
def test_what_is_no_duration(text: str) -> None:
    """Each is refused by its option's name."""
    with pytest.raises(UsageError, match="--grace"):
        parse_duration("--grace", text)


@pytest.mark.parametrize(
    ("text", "start", "when"),
    [
        ("07:00", "2026-11-21 01:00", "2026-11-21 06:00"),  # seven in Berlin, the next one
        ("07:00", "2026-11-21 06:00", "2026-11-22 06:00"),  # at seven: tomorrow's
        ("7:00", "2026-11-20 23:30", "2026-11-21 06:00"),  # it is the 21st in Berlin already
        ("02:30", "2026-03-28 12:00", "2026-03-29 01:30"),  # does not exist on that day: an hour later by the clock
        ("02:30", "2026-10-24 12:00", "2026-10-25 00:30"),  # twice: the first
        ("8h", "2026-11-21 01:00", "2026-11-21 09:00"),
        ("2026-11-22T07:00+01:00", "2026-11-21 01:00", "2026-11-22 06:00"),
    ],
)
def test_deadline(text: str, start: str, when: str) -> None:
    assert parse_deadline(text).after(utc(start), BERLIN) == utc(when)


@pytest.mark.parametrize("text", ["", "24:00", "7", "07:60", "2026-11-22T07:00", "tomorrow", "0h"])
def test_what_is_no_deadline(text: str) -> None:
    """A moment without its zone is nobody's."""
    with pytest.raises(UsageError, match="--deadline"):
        parse_deadline(text)


@pytest.mark.parametrize(("seconds", "shown"), [(5, "5s"), (60, "1m"), (5_400, "1h30m"), (7_200, "2h"), (0, "0s")])
def test_shown(seconds: float, shown: str) -> None:
    assert shown_span(seconds) == shown
