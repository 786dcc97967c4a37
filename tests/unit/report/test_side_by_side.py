"""One prompt with the replies of every model: which prompt it is, who comes first, what is best and worst."""

from __future__ import annotations

import html
import re

import pytest

from nightjar.jobs.documents import RunModel
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus
from nightjar.jobs.status.transcript import ShownTranscript, ShownTurn
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.side_by_side import side_by_side, turns_compared
from nightjar.scripts.commands.show import _marks
from nightjar.scripts.views.show import print_transcripts
from tests import factories
from tests.documents import a_run

WORDS = ("fox", "owl", "elk", "bee")


def sequence(name: str, turns: int = 1) -> Sequence:
    """A reply's `checks` is the share of four words that are in it."""
    expect = [{"check": "includes", "value": word} for word in WORDS]
    prompts = [{"prompt": f"{name} {turn + 1}?", "expect": expect} for turn in range(turns)]
    return Sequence.model_validate({"id": name, "turns": prompts})


def reply(words: int) -> str:
    return f"said: {' '.join(WORDS[:words])}"


def report(met: dict[str, dict[str, list[int | None]]]) -> RunReport:
    """Sequence -> model -> how many words each reply has; None: its job is dead."""
    about = [sequence(name, len(next(iter(models.values())))) for name, models in met.items()]
    rows = []
    for each in about:
        for model, counts in met[each.id].items():
            given = [reply(count) for count in counts if count is not None]
            status = JobStatus.DONE if len(given) == len(counts) else JobStatus.DEAD
            rows.append(factories.row(each, given, model=model, status=status))
    return factories.report_of(rows, about)


# Words in the replies; the prompt that is shown, and the models with their marks, in their order.
CHOSEN = [
    # the one on which they differ most, the better first
    ({"x": {"a": [1], "b": [2]}, "y": {"a": [0], "b": [4]}}, "y", [("b", "best"), ("a", "worst")]),
    # between the ends there is no mark
    ({"x": {"a": [2], "b": [0], "c": [4]}}, "x", [("c", "best"), ("a", ""), ("b", "worst")]),
    # several may be the best, in the order of the report
    ({"x": {"a": [4], "b": [1], "c": [4]}}, "x", [("a", "best"), ("c", "best"), ("b", "worst")]),
    # where all are alike none is
    ({"x": {"a": [3], "b": [3]}}, "x", [("a", ""), ("b", "")]),
    # one that not all have answered tells less
    ({"x": {"a": [0], "b": [4], "c": [None]}, "y": {"a": [2], "b": [2], "c": [1]}}, "y",
     [("a", "best"), ("b", "best"), ("c", "worst")]),
]  # fmt: skip


@pytest.mark.parametrize(("met", "shown", "marked"), CHOSEN)
def test_the_prompt_that_tells_most(
    met: dict[str, dict[str, list[int | None]]], shown: str, marked: list[tuple[str, str]]
) -> None:
    found = side_by_side(report(met))
    assert found is not None
    assert (found.sequence, found.turn, found.prompt) == (shown, 0, f"{shown} 1?")
    assert [(each.job.contestant, found.mark(each)) for each in found.replies] == marked


@pytest.mark.parametrize(
    "met",
    [
        {"x": {"a": [1]}},  # one model
        {"x": {"a": [1], "b": [None]}, "y": {"a": [None], "b": [1]}},  # no prompt that two have answered
    ],
)
def test_nothing_to_compare(met: dict[str, dict[str, list[int | None]]]) -> None:
    assert side_by_side(report(met)) is None


TWO_TURNS: dict[str, dict[str, list[int | None]]] = {"x": {"a": [0, 3], "b": [4, 1], "c": [2, 2]}}


def test_each_turn_has_a_best_and_a_worst_of_its_own() -> None:
    first, second = turns_compared(report(TWO_TURNS), "x")
    assert [each.job.contestant for each in first.replies] == ["b", "c", "a"]
    assert [each.job.contestant for each in second.replies] == ["a", "c", "b"]
    assert turns_compared(report(TWO_TURNS), "y") == []


def test_the_page_shows_the_best_first_and_marks_both_ends() -> None:
    page = render(report(TWO_TURNS), "html")
    section = page.partition("One prompt, every model")[2].partition('<div class="pair">')[0]
    assert "x, turn 1" in section
    articles = re.findall(r'<article class="panel">(.*?)</article>', section, re.DOTALL)
    texts = [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", article)).split()) for article in articles]
    assert texts == [
        f"b 100\u202f% best {reply(4)}".replace("\u202f", " "),
        f"c 50\u202f% {reply(2)}".replace("\u202f", " "),
        f"a 0\u202f% worst {reply(0)}".strip().replace("\u202f", " "),
    ]
    assert "One prompt, every model" not in render(report({"x": {"a": [1]}}), "html")


def test_the_terminal_marks_both_ends_of_each_turn(capsys: pytest.CaptureFixture[str]) -> None:
    """The same by `nightjar show`, beneath the name of whose reply it is; other repeats are not compared."""
    compared = report(TWO_TURNS)
    run = a_run("trial", sequences=["x"], models=[RunModel(name=name) for name in "abc"], repeats=2)
    transcripts = [transcript(model, repeat) for repeat in (1, 2) for model in "abc"]
    print_transcripts(run, "x", transcripts, [], _marks(compared, "x"))
    lines = [line.rstrip() for line in capsys.readouterr().out.replace("\u202f", " ").splitlines()]
    marks = {lines[at - 1].partition("  (")[0]: line for at, line in enumerate(lines) if " by checks: " in line}
    said = [line for line in lines if line.startswith(("Turn ", "Best by", "Worst by"))]
    assert said == [
        *("Turn 1", "Worst by checks: 0 %", "Best by checks: 100 %"),
        *("Turn 2", "Best by checks: 75 %", "Worst by checks: 25 %"),
    ]
    assert marks == {"a, repeat 1": "Best by checks: 75 %", "b, repeat 1": "Worst by checks: 25 %"}, "of the last turn"


def transcript(model: str, repeat: int) -> ShownTranscript:
    turns = tuple(
        ShownTurn(
            number=number,
            name=None,
            prompt=f"x {number}?",
            reasoning="",
            reply="said",
            failure=None,
            finish_reason="eos",
            reply_tokens=3,
            left_out=(),
            recalled=(),
            memory=None,
            given=(),
            kept=(),
            summaries=(),
            scores={},
            checks=(),
        )
        for number in (1, 2)
    )
    return ShownTranscript(
        job=f"{model}{repeat}",
        sequence="x",
        model=model,
        variant=None,
        repeat=repeat,
        status=JobStatus.DONE,
        reason=None,
        system=None,
        turns_total=2,
        turns=turns,
    )
