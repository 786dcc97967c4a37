"""What a tab is sent: server-sent events, each with the place in Redis' stream that a reader goes on from. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nightjar.jobs.event_stream import SeenEvent
from nightjar.jobs.events import EventKind

RETRY = "retry: 1000\n: hello\n\n"
"""The first words of a stream, and how many milliseconds a browser waits before it comes back."""
STILL_HERE = ": still here\n\n"
OF_JOBS = (EventKind.JOB, EventKind.TURN)


@dataclass(frozen=True, kw_only=True)
class EventFrame:
    """One event of a stream. `place`: of the last event in it; None where it is none of Redis' stream."""

    kind: str
    text: str
    place: str | None = None
    last: bool = False
    """The stream ends with it."""


def event_frame(kind: str, data: object, *, place: str | None = None, last: bool = False) -> EventFrame:
    """A frame of that kind. `data` is one line of JSON."""
    named = "" if place is None else f"id: {place}\n"
    line = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return EventFrame(kind=kind, text=f"{named}event: {kind}\ndata: {line}\n\n", place=place, last=last)


def told_events(events: Iterable[SeenEvent], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """What is said of these events. Runs are named; what speaks of a run without a name is left out, but for its end.

    `at`: milliseconds since 1970.
    """
    told = []
    for seen in events:
        event = seen.event
        run = names.get(event.run or "")
        if event.kind in OF_JOBS and run is None:
            continue
        fields = {"run": run, "job": event.job, "worker": event.worker, "model": event.model}
        said = {name: value for name, value in fields.items() if value is not None}
        told.append({"kind": str(event.kind), "at": int(seen.id.partition("-")[0]), **said})
    return told


def is_after(place: str, other: str) -> bool:
    """Whether a place in the stream comes after another one."""
    return _order(place) > _order(other)


def _order(place: str) -> tuple[int, int]:
    time, _, number = place.partition("-")
    return int(time), int(number)
