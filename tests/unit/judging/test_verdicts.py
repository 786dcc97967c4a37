"""From a judge's replies to scores: what cannot be read has no value, and a failure has the worst."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.judging.prompts import Verdict, read_verdicts
from nightjar.pipeline.judging.rubric import Rubric, read_rubric
from nightjar.pipeline.judging.verdicts import judge_scales, score_verdicts
from nightjar.pipeline.scores import ScoreState
from nightjar.pipeline.transcripts import JobRow
from tests import factories


def rubric(layout: str = "per_criterion", scope: str = "turn") -> Rubric:
    criteria = [
        {"name": "plot", "description": "d", "scale": {str(n): f"x{n}" for n in range(1, 6)}},
        {"name": "voice", "description": "d", "scale": {str(n): f"x{n}" for n in range(3)}},
    ]
    return read_rubric({"criteria": criteria, "layout": layout, "scope": scope})


def verdict(score: Any, reason: Any = "because") -> str:
    return json.dumps({"reason": reason, "score": score})


def test_whole_verdicts_are_read() -> None:
    """One reply per criterion, or one with all of them."""
    expected = [
        Verdict(criterion="plot", value=4, reason="because"),
        Verdict(criterion="voice", value=0, reason="because"),
    ]
    assert read_verdicts(rubric(), {"plot": verdict(4), "voice": verdict(0)}) == expected
    whole = json.dumps({"plot": json.loads(verdict(4)), "voice": json.loads(verdict(0))})
    assert read_verdicts(rubric("all"), {"all": whole}) == expected


BROKEN = [
    # no verdict, or half of one
    (None, "no verdict"),
    ("", "no whole JSON"),
    ('{"reason": "it was cut', "no whole JSON"),
    ("I give it a 4.", "no whole JSON"),
    ('{"reason": "x", "score": 4} and more', "no whole JSON"),
    ("[" * 100_000, "no whole JSON"),
    # JSON, but no verdict
    ("4", "no JSON object"),
    ('"4"', "no JSON object"),
    ("null", "no JSON object"),
    ("[4]", "no JSON object"),
    ("{}", "score is None"),
    # numbers off the scale, or none
    (verdict(0), "score is 0"),
    (verdict(6), "score is 6"),
    (verdict(-4), "score is -4"),
    (verdict(4.0), "score is 4.0"),
    (verdict(4.5), "score is 4.5"),
    (verdict("4"), "score is 4"),
    (verdict(True), "score is True"),
    (verdict(None), "score is None"),
    (verdict([4]), "score is [4]"),
    ('{"reason": "x", "score": NaN}', "score is nan"),
    ('{"reason": "x", "score": 1e999}', "score is inf"),
]


@pytest.mark.parametrize(("reply", "why"), BROKEN)
def test_a_broken_verdict_has_no_value(reply: str | None, why: str) -> None:
    """Never a number; the reason says what was there. The other criterion keeps its own."""
    replies = {"voice": verdict(1)} | ({} if reply is None else {"plot": reply})
    plot, voice = read_verdicts(rubric(), replies)
    assert plot.value is None
    assert why in plot.reason
    assert voice.value == 1


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        # nothing can be read of it: no criterion has a value
        ("{", ("no whole JSON", "no whole JSON")),
        ("[1, 2]", ("no JSON object", "no JSON object")),
        # one criterion is left out, or is a bare number or a text
        ('{"voice": 1, "plot": "great"}', ("leaves it out", "leaves it out")),
        ('{"plot": {"reason": "x", "score": 9}}', ("score is 9", "leaves it out")),
    ],
)
def test_a_broken_verdict_on_all_criteria(reply: str, why: tuple[str, str]) -> None:
    verdicts = read_verdicts(rubric("all"), {"all": reply})
    assert [one.value for one in verdicts] == [None, None]
    assert all(part in one.reason for part, one in zip(why, verdicts, strict=True))


def job(*replies: str, **each: Any) -> JobRow:
    turns = [{"prompt": f"Say {at}."} for at in range(len(replies))]
    return factories.row(PromptSequence.model_validate({"id": "s", "turns": turns}), replies, **each)


def said(plot: int | None, voice: int | None, why: str = "because") -> list[Verdict]:
    return [Verdict(criterion="plot", value=plot, reason=why), Verdict(criterion="voice", value=voice, reason=why)]


def test_the_composite_is_the_plain_mean() -> None:
    """Over criteria, on their own scales; several judges are averaged criterion by criterion."""
    row = job("A reply.")
    scores = score_verdicts(rubric(), row, {0: {"a": said(5, 1, "fine"), "b": said(2, 2, "meh")}}, ["a", "b"])[0]
    assert (scores["judge.plot"].value, scores["judge.voice"].value, scores["judge"].value) == (3.5, 1.5, 2.5)
    assert scores["judge.plot"].answer == "a: 5; b: 2"
    assert scores["judge.plot"].reason == "a (5): fine / b (2): meh"


MISSING: list[tuple[dict[str, list[Verdict]], str]] = [
    # one criterion has no verdict
    ({"a": said(5, None, "no whole JSON"), "b": said(4, 2)}, "no whole JSON"),
    # a judge never got to it
    ({"a": said(5, 1)}, "not judged"),
    ({}, "not judged"),
]


@pytest.mark.parametrize(("given", "why"), MISSING)
def test_the_composite_is_missing_if_anything_is(given: dict[str, list[Verdict]], why: str) -> None:
    """A mean over what happened to come back would be another metric."""
    row = job("A reply.")
    scores = score_verdicts(rubric(), row, {0: given}, ["a", "b"])[0]
    assert (scores["judge"].value, scores["judge"].state) == (None, ScoreState.UNSCORED)
    assert why in (scores["judge"].reason or "")
    assert (scores["judge.voice"].value, scores["judge.voice"].state) == (None, ScoreState.UNSCORED)


def test_a_criterion_keeps_its_value_where_another_is_missing() -> None:
    row = job("A reply.")
    scores = score_verdicts(rubric(), row, {0: {"a": said(5, None)}}, ["a"])[0]
    assert scores["judge.plot"].value == 5
    assert scores["judge"].value is None


def test_a_model_failure_gets_the_worst() -> None:
    """Each criterion's own worst, whatever a judge might have said of it, and also where no judge may judge."""
    for judges in (["a"], []):
        row = job("", empty="no text")
        scores = score_verdicts(rubric(), row, {0: {"a": said(5, 2)}}, judges)[0]
        assert (scores["judge.plot"].value, scores["judge.voice"].value, scores["judge"].value) == (1, 0, 0.5)
        assert {scores[name].state for name in ("judge", "judge.plot", "judge.voice")} == {ScoreState.WORST}
        assert scores["judge"].reason == "empty reply: no text"


def test_no_judge_may_judge() -> None:
    """There are only the judge's own replies: they are unscored, with the reason."""
    row = job("A reply.")
    scores = score_verdicts(rubric(), row, {}, [])[0]
    assert scores["judge"].value is None
    assert "of its own" in (scores["judge"].reason or "")


def test_a_conversations_scores_lie_on_its_last_turn() -> None:
    row = job("One.", "Two.")
    scores = score_verdicts(rubric(scope="conversation"), row, {None: {"a": said(5, 2)}}, ["a"])
    assert 0 not in scores
    assert scores[1]["judge"].value == 3.5


def test_an_empty_last_reply_does_not_stand_for_the_conversation() -> None:
    """The judge saw it and judged the whole conversation; only one without any reply gets the worst unjudged."""
    row = job("One.", "")
    last = replace(row.turns[1], empty="no text")
    row = replace(row, turns=(row.turns[0], last))
    scores = score_verdicts(rubric(scope="conversation"), row, {None: {"a": said(3, 1)}}, ["a"])
    assert scores[1]["judge"].value == 2
    silent = job("", "", empty="no text")
    unasked = score_verdicts(rubric(scope="conversation"), silent, {}, ["a"])[1]["judge"]
    assert (unasked.value, unasked.state) == (0.5, ScoreState.WORST)


def test_scales_run_from_worst_to_best() -> None:
    scales = judge_scales(rubric())
    assert {name: (scale.worst, scale.best) for name, scale in scales.items()} == {
        "judge": (0.5, 3.5),
        "judge.plot": (1, 5),
        "judge.voice": (0, 2),
    }
