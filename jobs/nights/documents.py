"""MongoDB documents of nights: schedules, baselines, notifications of a run's end, and what is left of old runs."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import ConfigDict
from pymongo import ASCENDING, IndexModel

from nightjar.jobs.closers import Closers
from nightjar.jobs.ending import Event, Hook
from nightjar.jobs.stored import StoredDocument


class Overlap(StrEnum):
    """What a tick does while the schedule's previous run still works."""

    SKIP = "skip"
    QUEUE = "queue"
    """It waits for that run's end; of the ticks that come meanwhile only the newest is run."""
    CANCEL_PREVIOUS = "cancel-previous"


class Missed(StrEnum):
    """What happens to a tick at which no dispatcher was running."""

    RUN = "run"
    """The newest missed tick is run, once."""
    SKIP = "skip"


class DeliveryState(StrEnum):
    """WAITING -> CLAIMED -> CALLING -> DELIVERED | FAILED | UNSURE; CLAIMED | CALLING -> WAITING for another try."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    """A dispatcher is preparing the call; nothing has been sent."""
    CALLING = "calling"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNSURE = "unsure"
    """The dispatcher ended inside the call: whether it arrived cannot be known."""


class Schedule(StoredDocument):
    """A nightly run; `_id` is its name."""

    id: str  # type: ignore[assignment]
    cron: str
    timezone: str
    enqueue: dict[str, Any]
    """The keyword arguments of the enqueue request."""
    last_tick: datetime
    """The newest tick fired or passed over; moved by compare-and-set, so that only one dispatcher fires a tick."""
    claimed_tick: datetime | None = None
    """A tick whose run is being enqueued; any dispatcher may finish that, under the run name that the tick gives."""
    last_run: str | None = None
    """Name of the run that the newest fired tick made."""
    last_error: str | None = None
    """Why the newest tick made no run; None where it made one."""
    waiting_for: str | None = None
    """The run that the claimed tick waits for."""
    last_passed: str | None = None
    """Which tick was passed over last, and why."""
    overlap: Overlap = Overlap.QUEUE
    missed: Missed = Missed.RUN
    grace_s: float = 300
    """A tick seen at most this late does not count as missed."""
    keep_nights: int | None = None
    """Transcripts of this many newest runs are kept; None: the setting decides."""
    enabled: bool = True
    closers: Closers | None = None
    """Who may fire it besides dispatchers."""
    created_at: datetime

    class Settings:
        name = "schedules"


class Baseline(StoredDocument):
    """The run that a suite's other runs are compared with; `_id` is the suite's name. That run cannot be deleted."""

    id: str  # type: ignore[assignment]
    run: str
    run_name: str
    set_at: datetime

    class Settings:
        name = "baselines"


class Delivery(StoredDocument):
    """One call of one hook; `_id` = digest(run, which end, hook), so it is written once, whoever writes it."""

    id: str  # type: ignore[assignment]
    run: str
    run_name: str
    event: Event
    hook: Hook
    payload: dict[str, Any]
    state: DeliveryState = DeliveryState.WAITING
    tries: int = 0
    due_at: datetime
    owner: str | None = None
    lease_until: datetime | None = None
    outcome: str | None = None
    """What the receiver answered, or why it could not be reached."""
    output: str | None = None
    """The end of a command's output."""
    closers: Closers | None = None
    """Who may make it besides dispatchers: those who may close the run."""
    created_at: datetime
    called_at: datetime | None = None
    """When the latest call began."""
    finished_at: datetime | None = None

    class Settings:
        name = "deliveries"
        indexes: ClassVar = [
            IndexModel([("state", ASCENDING), ("due_at", ASCENDING)]),
            IndexModel([("run", ASCENDING)]),
        ]


class Aggregates(StoredDocument):
    """A run's report without its transcripts, which may be gone; `_id` is the run's id."""

    id: str  # type: ignore[assignment]
    run_name: str
    suite_name: str
    version: int
    """Version of the format of `data`."""
    data: bytes
    """JSON, compressed with zlib."""
    dropped: bool = False
    """All of the run's transcripts are gone."""
    stored_at: datetime

    class Settings:
        name = "aggregates"


class NightDocument(StoredDocument):
    """What the trend of a suite keeps of a finished run; `_id` is the run's id.

    The other fields are those of `pipeline.report.data.night`, in the form that `version` names.
    """

    model_config = ConfigDict(extra="allow")

    id: str  # type: ignore[assignment]
    version: int
    run: str

    class Settings:
        name = "nights"
