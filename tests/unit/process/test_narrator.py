"""What a worker's log says while it works and while it waits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from nightjar.jobs.machines.doing import Activity, Doing
from nightjar.workers.engine.request import EngineStats
from nightjar.workers.process import narrator
from nightjar.workers.process.narrator import Narrator

IDLE = Doing(task=Activity.WAITING, why="a job: no run has work for amber")
NOBODY_RINGS = Doing(task=Activity.WAITING, why="a dispatcher: jobs for amber are there, and none hands them out")
GENERATING = Doing(task=Activity.GENERATING)

# What is done from which second on, up to the 40th; whether it goes to a terminal; when something is said.
SAID = [
    ({0: GENERATING}, False, [3, 13, 23, 33]),
    ({0: GENERATING}, True, [3, 13, 23, 33]),
    ({0: IDLE}, False, [6, 16, 26, 36]),  # after three seconds of waiting, then every ten seconds
    ({0: IDLE}, True, [6]),  # the last line stays in view
    ({0: IDLE, 20: NOBODY_RINGS}, True, [6, 20]),  # another reason is a turn of events
    ({0: IDLE, 20: NOBODY_RINGS}, False, [6, 16, 20, 30, 40]),
    ({0: GENERATING, 15: IDLE, 17: GENERATING}, False, [3, 13, 23, 33]),  # two seconds between two jobs are nothing
]


@pytest.mark.parametrize(("done", "watched", "said"), SAID)
async def test_every_ten_seconds_and_at_each_turn_of_events(
    monkeypatch: pytest.MonkeyPatch, done: dict[int, Doing], watched: bool, said: list[int]
) -> None:
    clock = [0]
    monkeypatch.setattr(narrator, "monotonic", lambda: float(clock[0]))
    beat: Any = SimpleNamespace(
        doing=lambda: done[max(since for since in done if since <= clock[0])],
        stats=EngineStats,
        tally=SimpleNamespace(turns_done=0),
    )
    saying = Narrator(beat, watched=watched)
    told: list[tuple[int, str]] = []
    for second in range(41):
        clock[0] = second
        with capture_logs() as lines:
            await saying.say()
        told += [(second, line["doing"]) for line in lines]
    assert [second for second, _ in told] == said
    assert all(words == done[max(since for since in done if since <= second)].sentence for second, words in told)
