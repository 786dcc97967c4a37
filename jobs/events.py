"""Events: hints that something moved, for whoever looks at it. Never a prompt, a reply or a key. Pure.

They are said after the write to MongoDB, which stays the truth, and may be lost: who misses one reads MongoDB anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class EventKind(StrEnum):
    """What moved."""

    RUN = "run"
    """A run's status, or that it is there or gone."""
    JOB = "job"
    """A job was claimed, or has ended."""
    TURN = "turn"
    """A turn was committed."""
    WORKER = "worker"
    """A worker's state."""
    MODEL = "model"
    """What is known of a model, or where it is wanted."""
    PULL = "pull"
    """How far a model's download is."""


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What moved; ids and names alone."""

    kind: EventKind
    run: str | None = None
    job: str | None = None
    worker: str | None = None
    model: str | None = None


class EventSink(Protocol):
    """Where a process says what moved."""

    def say(self, event: Moved) -> None:
        """Neither waits nor raises."""


class Silence:
    """Nobody is told."""

    def say(self, event: Moved) -> None:
        """Nothing."""
