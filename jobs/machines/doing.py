"""What a process is doing for a model, as it says so: in a worker's beat, on a terminal, in a log. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nightjar.config.counting import how_many

STILL_S = 3.0
"""When nothing has moved for so long, somebody who watches wants to know why."""
BUSY_CORES = 0.5
"""Where other processes take more cores than this, a machine is called busy."""
LINE_S = 10.0
"""Between two lines where nobody watches a bar."""


class Activity(StrEnum):
    """What is being done."""

    STARTING = "starting"
    READING = "reading"
    LOADING = "loading"
    CHECKING = "checking"
    PREFILL = "prefill"
    GENERATING = "generating"
    MEASURING = "measuring"
    WAITING = "waiting"
    SCORING = "scoring"
    COMPARING = "comparing"
    STOPPING = "stopping"


_WORDS = {
    Activity.STARTING: "starting its worker",
    Activity.READING: "reading the model's file",
    Activity.LOADING: "loading the model",
    Activity.CHECKING: "checking that its replies can be reproduced",
    Activity.PREFILL: "reading the prompt",
    Activity.GENERATING: "generating",
    Activity.MEASURING: "measuring its speed",
    Activity.WAITING: "waiting",
    Activity.SCORING: "scoring the replies",
    Activity.COMPARING: "comparing",
    Activity.STOPPING: "stopping",
}


@dataclass(frozen=True, kw_only=True)
class Doing:
    """A task, and how far it is."""

    task: Activity
    share: float | None = None
    """How much of it is done, 0..1; None where it cannot be known."""
    tokens: int | None = None
    """Of the prompts that are read; generated so far."""
    why: str | None = None
    """What is waited for; what may be known of another task."""

    @property
    def event(self) -> str:
        """What of it is a turn of events: prompts, replies and moments without a job follow each other all the time."""
        return "working" if self.task in (Activity.PREFILL, Activity.GENERATING, Activity.WAITING) else self.task.value

    @property
    def sentence(self) -> str:
        """For a person: "reading the prompt, 35 % of 6,144 tokens"."""
        between = " for " if self.task is Activity.WAITING else ": "
        words = _WORDS[self.task] + (f"{between}{self.why}" if self.why else "")
        if self.task is Activity.GENERATING and self.tokens is not None:
            return f"{words}, {how_many(self.tokens, 'token')} so far"
        if self.share is None:
            return words
        return f"{words}, {100 * self.share:.0f} %" + (f" of {how_many(self.tokens, 'token')}" if self.tokens else "")


def read_doing(stored: Mapping[str, Any] | None) -> Doing | None:
    """What a worker's beat says; None where it says nothing, or nothing that this version knows."""
    try:
        return Doing(**{**stored, "task": Activity(stored["task"])}) if stored else None
    except (TypeError, ValueError, KeyError):
        return None


class Reporter:
    """When to say something: a turn of events at once, else every so often."""

    def __init__(self, *, every_s: float = LINE_S) -> None:
        self._every_s = every_s
        self.event: Hashable = None
        """What was said last to be going on."""
        self._said_at: float | None = None

    def due(self, event: Hashable, now: float) -> bool:
        """Whether a line is to be written now, given what is going on; counts it as written."""
        if event == self.event and self._said_at is not None and now - self._said_at < self._every_s:
            return False
        self.event, self._said_at = event, now
        return True


class Stillness:
    """Whether nothing has moved for a while."""

    def __init__(self, *, still_s: float = STILL_S) -> None:
        self._still_s = still_s
        self._seen: Hashable = None
        self._since: float | None = None

    def is_still(self, moved: Hashable, now: float) -> bool:
        """Whether what counts as movement has been the same for so long."""
        if self._since is None or moved != self._seen:
            self._seen, self._since = moved, now
        return now - self._since >= self._still_s
