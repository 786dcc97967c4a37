"""When a schedule ticks, and what happens to a tick: it is fired, held back or passed over. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from nightjar.config.errors import UsageError, suggest
from nightjar.jobs.nights.documents import Missed, Overlap
from nightjar.jobs.states import TERMINAL_RUNS, RunStatus
from nightjar.pipeline.durations import parse_duration, shown_span

_Choice = TypeVar("_Choice", bound=StrEnum)
_LOOK_BACK = timedelta(hours=26)
"""Longer than any day of any zone: around a change of the clock, ticks found backwards may differ from forwards."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a schedule does with a tick that comes while its last run works, or that is seen too late."""

    overlap: Overlap = Overlap.QUEUE
    missed: Missed = Missed.RUN
    grace_s: float = 300
    keep_nights: int | None = None

    @classmethod
    def read(cls, *, overlap: str, missed: str, grace: str, keep_nights: int | None = None) -> Rules:
        """Raises UsageError that names the option."""
        return cls(
            overlap=_one_of("--overlap", overlap, Overlap),
            missed=_one_of("--missed", missed, Missed),
            grace_s=parse_duration("--grace", grace),
            keep_nights=keep_nights,
        )


class TickStep(StrEnum):
    """What is done with a tick."""

    FIRE = "fire"
    CANCEL_AND_FIRE = "cancel-and-fire"
    WAIT = "wait"
    """Until the run before has ended."""
    SKIP = "skip"


@dataclass(frozen=True, kw_only=True)
class TickDecision:
    """What is done with a tick, and why."""

    step: TickStep
    reason: str | None = None
    """Why it is passed over."""


def decide_tick(
    tick: datetime,
    now: datetime,
    rules: Rules,
    *,
    previous: tuple[str, RunStatus] | None,
    waited: bool = False,
    deadline_at: datetime | None = None,
) -> TickDecision:
    """What to do with a tick that is due.

    `previous`: name and status of the schedule's run before; `waited`: it was seen in time and held back for that run.
    """
    late_s = (now - tick).total_seconds()
    if rules.missed is Missed.SKIP and late_s > rules.grace_s and not waited:
        return TickDecision(step=TickStep.SKIP, reason=f"no dispatcher saw it until {shown_span(late_s)} later")
    if deadline_at is not None and deadline_at <= now:
        return TickDecision(step=TickStep.SKIP, reason=f"its deadline, {deadline_at:%Y-%m-%d %H:%M} UTC, is over")
    if previous is None or previous[1] in TERMINAL_RUNS:
        return TickDecision(step=TickStep.FIRE)
    if rules.overlap is Overlap.SKIP:
        return TickDecision(step=TickStep.SKIP, reason=f"run {previous[0]} was still {previous[1]}")
    return TickDecision(step=TickStep.WAIT if rules.overlap is Overlap.QUEUE else TickStep.CANCEL_AND_FIRE)


def check_cron(cron: str, timezone: str) -> None:
    """Raises UsageError when the expression, the zone, or the two together give no tick."""
    if timezone not in available_timezones():
        raise UsageError(f"There is no time zone {timezone!r}. {suggest(timezone, available_timezones(), 'zone')}")
    if len(cron.split()) != 5:
        raise UsageError(f"{cron!r} is not a cron expression: give five fields, such as '0 2 * * *' for 2 at night.")
    try:
        CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise UsageError(f"{cron!r} is not a cron expression: {str(error).lower()}.") from None
    if next_tick(cron, timezone, datetime(2000, 1, 1, tzinfo=UTC)) is None:
        raise UsageError(f"{cron!r} never happens: no year has such a day.")


def next_tick(cron: str, timezone: str, after: datetime) -> datetime | None:
    """The first tick after a moment, in UTC; None where there is none within 50 years."""
    return next(_ticks(cron, timezone, after), None)


def newest_due(cron: str, timezone: str, last: datetime, now: datetime) -> datetime | None:
    """The newest tick after `last` and not after `now`, in UTC; older ones are passed over. None: nothing is due."""
    zone = ZoneInfo(timezone)
    back = next(CronSim(cron, (now - _LOOK_BACK).astimezone(zone), reverse=True), None)
    start = last if back is None else max(last, back.astimezone(UTC) - timedelta(seconds=1))
    newest = None
    for tick in _ticks(cron, timezone, start):
        if tick > now:
            break
        newest = tick
    return newest


def _ticks(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Ticks after a moment, oldest first, each once, in UTC.

    At a change of the clock the library may give a time that is past, or one time twice.
    """
    last = after
    for tick in CronSim(cron, after.astimezone(ZoneInfo(timezone))):
        if (moment := tick.astimezone(UTC)) > last:
            last = moment
            yield moment


def run_name(schedule: str, tick: datetime) -> str:
    """The name of the run of a tick; in UTC, so that a repeated local hour gives two names."""
    return f"{schedule}-{tick.astimezone(UTC):%Y-%m-%d-%H%MZ}"


def _one_of(option: str, text: str, kind: type[_Choice]) -> _Choice:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is not known. Choose one of: {', '.join(kind)}.") from None
