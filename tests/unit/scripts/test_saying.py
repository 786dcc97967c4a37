"""What `try` and `eval` say while nothing of their work can be seen."""

from __future__ import annotations

import io
import sys
from itertools import count

import pytest

from nightjar.jobs.machines.doing import Activity, Doing
from nightjar.scripts.views.progress import (
    EvalProgress,
    ProgressBars,
    ProgressLines,
    evaluation_bar,
    progress_line,
    seen_between,
)
from nightjar.scripts.views.saying import Sayer


class Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_is_said_of_what_is_soon_over(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    monkeypatch.setattr(sys, "stderr", stream := Stream(terminal=terminal))
    sayer = Sayer(lambda: Doing(task=Activity.LOADING, share=0.4))
    for now in (0.0, 1.0, 2.9):
        sayer.look(now)
    assert stream.getvalue() == ""


def test_without_a_terminal_lines_come_every_ten_seconds_and_at_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prefill of 248 s was silent."""
    monkeypatch.setattr(sys, "stderr", stream := Stream(terminal=False))
    doing = Doing(task=Activity.LOADING, share=0.0)
    sayer = Sayer(lambda: doing)
    for second in range(40):
        if second == 15:
            doing = Doing(task=Activity.PREFILL, share=0.25, tokens=4000)
        sayer.look(float(second))
    assert stream.getvalue().splitlines() == [
        "nightjar: loading the model, 0 %",
        "nightjar: loading the model, 0 %",
        "nightjar: reading the prompt, 25 % of 4,000 tokens",
        "nightjar: reading the prompt, 25 % of 4,000 tokens",
        "nightjar: reading the prompt, 25 % of 4,000 tokens",
    ]


def test_on_a_terminal_one_line_is_kept_and_wiped_when_text_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := Stream(terminal=True))
    tokens = 0
    sayer = Sayer(lambda: Doing(task=Activity.PREFILL, share=0.5, tokens=100), lambda: tokens)
    for now in (0.0, 3.0, 3.2):
        sayer.look(now)
    assert stream.getvalue().count("\r\x1b[2Kreading the prompt, 50 % of 100 tokens ...") == 2
    tokens = 1
    sayer.look(3.4)
    assert stream.getvalue().endswith("\r\x1b[2K")
    length = len(stream.getvalue())
    sayer.wipe()  # nothing is left to wipe
    assert len(stream.getvalue()) == length


def at(committed: int, tokens: int, doing: Doing, *, judging: bool = False) -> EvalProgress:
    return EvalProgress(
        model="amber", committed=committed, total=12, failed_jobs=0, tokens=tokens, doing=doing, judging=judging
    )


def test_progress_in_a_line() -> None:
    reading = Doing(task=Activity.PREFILL, share=0.35, tokens=6144)
    assert progress_line(at(3, 1204, reading)) == (
        "amber: reading the prompt, 35 % of 6,144 tokens; 3/12 turns, 1,204 tokens"
    )
    assert progress_line(at(3, 0, reading, judging=True)).startswith("judging with amber: ")


def test_lines_of_an_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that starts, loads, works and measures: a line for each, and for the first turn; no more for all the
    prompts and replies that follow each other."""
    monkeypatch.setattr(sys, "stderr", stream := Stream(terminal=False))
    clock = count(0, 1)
    monkeypatch.setattr("nightjar.scripts.views.progress.monotonic", lambda: next(clock) * 0.5)
    lines = ProgressLines()
    generating, reading = Doing(task=Activity.GENERATING), Doing(task=Activity.PREFILL, share=0.1, tokens=50)
    for now in [
        at(0, 0, Doing(task=Activity.STARTING)),
        at(0, 0, Doing(task=Activity.LOADING, share=0.2)),
        at(0, 0, Doing(task=Activity.LOADING, share=0.9)),
        at(0, 5, reading),
        at(0, 9, generating),
        at(1, 20, generating),
        at(2, 30, reading),
        at(12, 90, Doing(task=Activity.MEASURING)),
    ]:
        lines.show(now)
    said = [line.removeprefix("nightjar: amber: ").partition(";")[0] for line in stream.getvalue().splitlines()]
    assert said == [
        "starting its worker",
        "loading the model, 20 %",
        "reading the prompt, 10 % of 50 tokens",
        "generating",
        "measuring its speed",
    ]


@pytest.mark.parametrize(
    ("committed", "tokens", "last", "sentence"),
    [
        (3, 90, (2, 60), "generating"),  # between two conversations: "waiting" is what the beat says
        (3, 90, (3, 90), "waiting for its next conversation"),  # nothing has moved since the last line
        (0, 0, None, "waiting for its next conversation"),
        (8, 0, (0, 0), "generating"),  # turns are counted before the beat has told of their tokens
        (12, 300, (11, 280), "stopping"),
    ],
)
def test_a_worker_between_two_conversations_does_not_wait(
    committed: int, tokens: int, last: tuple[int, int] | None, sentence: str
) -> None:
    waiting = Doing(task=Activity.WAITING)
    before = at(*last, waiting) if last is not None else None
    assert seen_between(at(committed, tokens, waiting), before).doing.sentence == sentence
    told = Doing(task=Activity.WAITING, why="MongoDB")
    assert seen_between(at(committed, tokens, told), before).doing is told


def test_bars_count_tokens_and_say_what_is_done_when_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 0.0
    monkeypatch.setattr("nightjar.scripts.views.progress.monotonic", lambda: moment)
    with evaluation_bar(quiet=True) as bar:
        bars = ProgressBars(bar, [("amber", False, "amber"), ("amber", True, "judge amber")])
        reading = Doing(task=Activity.PREFILL, share=0.5, tokens=6000)
        bars.show(at(1, 100, reading))
        replies, judging = bar.tasks
        assert (replies.fields["tokens"], replies.fields["doing"]) == ("100 tokens", "")
        moment = 3.5
        bars.show(at(1, 100, reading))
        assert replies.fields["doing"] == "reading the prompt, 50 % of 6,000 tokens"
        bars.show(at(1, 101, reading))
        assert replies.fields["doing"] == ""
        bars.show(at(0, 0, Doing(task=Activity.STOPPING, why="soon"), judging=True))
        assert judging.fields["doing"] == "stopping: soon"
        assert replies.fields["tokens"] == "101 tokens"
