"""What tabs are sent of events: names instead of ids, nothing of live requests, one line of JSON each."""

from __future__ import annotations

import json

import pytest

from nightjar.jobs.event_stream import SeenEvent
from nightjar.jobs.events import EventKind, Moved
from nightjar.web.events.frames import event_frame, is_after, told_events

NAMES = {"r1": "nightly"}


def seen(kind: EventKind, **about: str) -> SeenEvent:
    return SeenEvent(id="1700-3", event=Moved(kind=kind, **about), by="host:1", seq=1)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (seen(EventKind.RUN, run="r1"), [{"kind": "run", "at": 1700, "run": "nightly"}]),
        (seen(EventKind.RUN, run="gone"), [{"kind": "run", "at": 1700}]),  # it was deleted
        (seen(EventKind.JOB, run="live", job="j", model="m"), []),  # of somebody's live request
        (seen(EventKind.TURN, job="j"), []),
        (seen(EventKind.JOB, run="r1", job="j"), [{"kind": "job", "at": 1700, "run": "nightly", "job": "j"}]),
        (seen(EventKind.WORKER, worker="w"), [{"kind": "worker", "at": 1700, "worker": "w"}]),
    ],
)
def test_what_is_told(event: SeenEvent, told: list[dict[str, object]]) -> None:
    assert told_events([event], NAMES) == told


def test_a_frame_is_one_event_whatever_is_in_it() -> None:
    """A line break in a name would begin another field."""
    frame = event_frame("moved", [{"run": "a\nevent: gap\n\ndata: {}\r\u2028"}], place="17-0")
    lines = frame.text.splitlines()
    assert lines[:2] == ["id: 17-0", "event: moved"]
    assert json.loads(lines[2].removeprefix("data: "))[0]["run"].startswith("a\n")
    assert len(lines) == 4
    assert frame.text.endswith("\n\n")


@pytest.mark.parametrize(
    ("place", "other", "after"),
    [("2-0", "1-9", True), ("10-0", "9-0", True), ("1-1", "1-1", False), ("1-2", "1-10", False)],
)
def test_places_are_numbers(place: str, other: str, after: bool) -> None:
    assert is_after(place, other) is after
