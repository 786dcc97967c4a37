"""What is said of work under way, and when."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from nightjar.jobs.machines.doing import Activity, Doing, Reporter, Stillness, read_doing

SENTENCES = [
    (Doing(task=Activity.LOADING), "loading the model"),  # how far is not known yet
    (Doing(task=Activity.LOADING, share=0.4), "loading the model, 40 %"),
    (Doing(task=Activity.PREFILL, share=0.351, tokens=6144), "reading the prompt, 35 % of 6,144 tokens"),
    (Doing(task=Activity.GENERATING, tokens=1200), "generating, 1,200 tokens so far"),
    (Doing(task=Activity.CHECKING, share=0.4), "checking that its replies can be reproduced, 40 %"),
    (Doing(task=Activity.MEASURING), "measuring its speed"),
    (Doing(task=Activity.WAITING, why="a dispatcher: none runs"), "waiting for a dispatcher: none runs"),
    (Doing(task=Activity.STOPPING, why="Ctrl-C again ends at once"), "stopping: Ctrl-C again ends at once"),
]


@pytest.mark.parametrize(("doing", "sentence"), SENTENCES)
def test_in_words_and_in_a_beat(doing: Doing, sentence: str) -> None:
    assert doing.sentence == sentence
    assert read_doing(asdict(doing)) == doing


@pytest.mark.parametrize("stored", [None, {}, {"task": "dreaming"}, {"task": "loading", "mood": 1}, {"share": 0.5}])
def test_a_beat_of_another_version_says_nothing(stored: dict[str, object] | None) -> None:
    assert read_doing(stored) is None


def test_a_line_at_each_turn_of_events_and_every_ten_seconds() -> None:
    reporter = Reporter()
    moments = [(0, "loading"), (3, "loading"), (9.9, "loading"), (10, "loading"), (11, "working"), (20.5, "working")]
    assert [reporter.due(event, now) for now, event in moments] == [True, False, False, True, True, False]
    assert reporter.due("working", 21)


def test_still_after_three_seconds_without_movement() -> None:
    stillness = Stillness()
    moments = [(0, 7), (2.9, 7), (3, 7), (4, 7), (4.1, 8), (7, 8), (7.2, 8)]
    assert [stillness.is_still(moved, now) for now, moved in moments] == [False, False, True, True, False, False, True]
