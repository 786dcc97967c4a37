"""Durations ("8h", "90m", "1h30m") and deadlines ("07:00", "8h", a date and time) as people write them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

from nightjar.config.errors import UsageError

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
LONGEST = timedelta(days=365)


def parse_duration(option: str, text: str) -> float:
    """Seconds, more than 0 and at most a year. Raises UsageError that names the option."""
    match = _DURATION.fullmatch(text.strip().lower())
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    if max(days, hours, minutes, seconds) < 10**9:
        span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if timedelta() < span <= LONGEST:
            return span.total_seconds()
    raise UsageError(f"{option} {text!r} is not a duration: write 8h, 90m or 1h30m; at most a year.")


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """A time of day, a span after the start, or a moment; exactly one is set."""

    clock: time | None = None
    span_s: float | None = None
    moment: datetime | None = None

    def after(self, start: datetime, zone: tzinfo) -> datetime:
        """When it is for a run that begins at `start`, in UTC; a time of day is the next one of the zone."""
        if self.moment is not None:
            return self.moment.astimezone(UTC)
        if self.span_s is not None:
            return start.astimezone(UTC) + timedelta(seconds=self.span_s)
        assert self.clock is not None
        day = start.astimezone(zone).date()
        for later in range(3):
            moment = datetime.combine(day + timedelta(days=later), self.clock, zone).astimezone(UTC)
            if moment > start:
                return moment
        raise AssertionError("every zone has this time of day within three days")


def parse_deadline(text: str) -> Deadline:
    """The deadline of `--deadline`. Raises UsageError."""
    if clock := _CLOCK.fullmatch(text.strip()):
        return Deadline(clock=time(int(clock[1]), int(clock[2])))
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            return Deadline(span_s=parse_duration("--deadline", text))
        except UsageError:
            moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(
            f"--deadline {text!r} is not one: write a time of day (07:00), a time after the start (8h, 90m), or a "
            "moment with its zone (2026-11-22T07:00+01:00)."
        )
    return Deadline(moment=moment)


def shown_span(seconds: float) -> str:
    """ "1h30m"; whole minutes, or seconds below one."""
    if seconds < 60:
        return f"{seconds:.0f}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or not hours else "")
