"""Spoilt replies beside real ones: how they are made, planned, and what is said of a judge."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from nightjar.jobs.identity import digest
from nightjar.pipeline.judging.checkup import Ability, Reading, checkup
from nightjar.pipeline.judging.injected import Injection
from nightjar.pipeline.judging.judged import JudgedJob
from nightjar.pipeline.judging.panel import Panel
from nightjar.pipeline.judging.plan import JudgeJobSpec, plan_judging
from nightjar.pipeline.judging.plan_checks import plan_checks, taken_sequences
from nightjar.pipeline.judging.prompts import JudgedTurn
from nightjar.pipeline.judging.rubric import Rubric, read_rubric
from nightjar.pipeline.judging.spoilt import Control, spoil

PANEL = Panel(judges=("judge",))


def rubric(method: str = "points", scope: str = "turn") -> Rubric:
    criterion = {"name": "plot", "description": "d"} | ({"scale": {1: "bad", 2: "good"}} if method == "points" else {})
    return read_rubric({"criteria": [criterion], "method": method, "scope": scope})


def story(sequence: str, model: str = "amber-1b", turns: int = 2, words: int = 12, **changes: Any) -> JudgedJob:
    made = [
        JudgedTurn(
            index=at,
            prompt=f"prompt {at}",
            reply=" ".join(f"{sequence}{at}word{n}" for n in range(words)),
            chain=digest(sequence, model, at),
        )
        for at in range(turns)
    ]
    identity = digest(sequence, model)
    job = JudgedJob(id=identity, model=model, sequence=sequence, repeat=0, tags=(), turns=tuple(made))
    return replace(job, **changes)


def test_spoilt_replies() -> None:
    """The same words in another order; the first third of them; another sequence's reply. Nothing else changes."""
    job, other = story("fox"), story("train")
    real = job.turns[1].reply.split()
    shuffled, truncated, off_topic = (spoil(job, 1, control, 7, other) for control in Control)
    assert shuffled is not None
    assert truncated is not None
    assert off_topic is not None
    assert sorted(shuffled.turns[1].reply.split()) == sorted(real) != shuffled.turns[1].reply.split()
    assert truncated.turns[1].reply.split() == real[:4]
    assert off_topic.turns[1].reply == other.turns[1].reply
    for spoilt in (shuffled, truncated, off_topic):
        assert spoilt.turns[0] == job.turns[0]
        assert spoilt.turns[1].chain != job.turns[1].chain
    assert spoil(job, 1, Control.SHUFFLED, 7, other) == shuffled
    assert spoil(job, 1, Control.SHUFFLED, 8, other) != shuffled


def test_what_cannot_be_spoilt() -> None:
    """A reply of a few words is as good backwards; without another sequence there is nothing off the topic."""
    short = story("fox", words=5)
    assert [spoil(short, 0, control, 7, None) for control in Control] == [None, None, None]
    assert spoil(short, 0, Control.OFF_TOPIC, 7, story("train")) is not None


def test_a_conversation_is_spoilt_whole() -> None:
    spoilt = spoil(story("fox"), None, Control.TRUNCATED, 7, None)
    assert spoilt is not None
    assert [len(turn.reply.split()) for turn in spoilt.turns] == [4, 4]


def check(*jobs: JudgedJob, by: Rubric | None = None, seed: int = 7, panel: Panel = PANEL) -> list[JudgeJobSpec]:
    return list(plan_checks("run", jobs, by or rubric(), panel, seed))


def test_a_check_is_planned_as_judge_jobs() -> None:
    """One text of each sequence, real and in three spoilt ways; the real ones are the jobs of any judging."""
    jobs = [story(name, model) for name in ("fox", "train", "orchard") for model in ("amber-1b", "basalt-3b")]
    specs = check(*jobs)
    kinds = [None, "shuffled", "truncated", "off_topic", *(injection.value for injection in Injection)]
    assert Counter(spec.more.get("control") for spec in specs) == dict.fromkeys(kinds, 3)
    assert len({spec.id for spec in specs}) == len(specs)
    judging = {spec.id for spec in plan_judging("run", jobs, rubric(), PANEL)}
    assert {spec.id for spec in specs if not spec.more} < judging
    assert not {spec.id for spec in specs if spec.more} & judging
    assert {spec.id for spec in check(*reversed(jobs))} != set()
    assert [spec.id for spec in check(*jobs)] == [spec.id for spec in specs]
    assert {spec.id for spec in check(*jobs, seed=8)} != {spec.id for spec in specs}


def test_pairwise_judges_choose_between_real_and_spoilt() -> None:
    """In both orders; no job for a judge's own replies."""
    specs = check(story("fox"), story("train"), by=rubric("pairwise"))
    assert Counter((spec.more["control"], spec.more["order"]) for spec in specs) == {
        (control.value, order): 2 for control in (*Control, *Injection) for order in (0, 1)
    }
    assert check(story("fox"), panel=Panel(judges=("judge",), own={"judge": frozenset({"amber-1b"})})) == []


def test_sequences_are_drawn_by_the_seed() -> None:
    names = [f"s{n}" for n in range(40)]
    assert taken_sequences(names, 7, 20) == taken_sequences(list(reversed(names)), 7, 20)
    assert set(taken_sequences(names, 7, 20)) != set(taken_sequences(names, 8, 20))
    assert len(taken_sequences(names[:3], 7, 20)) == 3


def readings(real: list[float | None], spoilt: list[float | None], **each: Any) -> list[Reading]:
    return [
        Reading(judge="judge", control=control, sequence=f"s{at}", real=before, spoilt=after, **each)
        for control in Control
        for at, (before, after) in enumerate(zip(real, spoilt, strict=True))
    ]


CASES: list[tuple[list[float | None], list[float | None], Ability]] = [
    # clearly better, sequence by sequence
    ([5, 4, 5, 4, 5, 4], [1, 1, 2, 1, 2, 1], Ability.TELLS),
    # always one point more: no spread, no doubt
    ([4] * 5, [3] * 5, Ability.TELLS),
    # the same for all, or the wrong way round
    ([3] * 8, [3] * 8, Ability.CANNOT),
    ([1, 2, 1, 1, 2, 1], [5, 4, 5, 5, 4, 5], Ability.CANNOT),
    # sometimes more, sometimes less: six sequences leave it open, forty show that it is less than 0.4
    ([3, 1, 5, 2, 4, 3], [2, 4, 1, 5, 3, 3], Ability.TOO_FEW),
    ([3, 2] * 20, [2, 3] * 20, Ability.CANNOT),
    # a good judge on five sequences, not yet shown
    ([5, 4, 3, 4, 3], [3, 4, 2, 2, 4], Ability.TOO_FEW),
    # too few sequences for an interval, however clear
    ([5, 5, 5, 5], [1, 1, 1, 1], Ability.TOO_FEW),
    ([None, 5, 5, 5, 5], [1, 1, 1, 1, 1], Ability.TOO_FEW),
    ([None] * 8, [None] * 8, Ability.TOO_FEW),
]


@pytest.mark.parametrize(("real", "spoilt", "ability"), CASES)
def test_what_is_said_of_a_judge(real: list[float | None], spoilt: list[float | None], ability: Ability) -> None:
    found = checkup("judge", "d", readings(real, spoilt, reason="no whole JSON"), smallest=0.4)
    assert found.ability is ability
    assert [one.missing for one in found.controls] == [real.count(None)] * 3
    assert "judge" in found.told


def test_one_kind_that_it_cannot_tell_is_enough() -> None:
    """And a kind that was not tried leaves it open."""
    good = readings([5, 4, 5, 4, 5], [1, 2, 1, 1, 1])
    blind = [replace(one, spoilt=one.real) if one.control is Control.TRUNCATED else one for one in good]
    assert checkup("judge", "d", blind, smallest=0.4).ability is Ability.CANNOT
    assert checkup("judge", "d", blind, smallest=0.4).told == "judge can't tell real replies from truncated ones"
    untried = [one for one in good if one.control is not Control.OFF_TOPIC]
    assert checkup("judge", "d", untried, smallest=0.4).ability is Ability.TOO_FEW
    assert checkup("other", "d", good, smallest=0.4).controls == ()


def test_a_judge_of_chance_passes_rarely() -> None:
    """Random points on 20 sequences: to tell all three kinds apart by luck is next to impossible, and one is rare."""
    source = random.Random(20_251_121)
    passed = [0, 0]
    for _ in range(400):
        values: list[list[float | None]] = [[float(source.randint(1, 5)) for _ in range(20)] for _ in range(4)]
        given = [
            Reading(judge="judge", control=control, sequence=f"s{n}", real=values[0][n], spoilt=values[at + 1][n])
            for at, control in enumerate(Control)
            for n in range(20)
        ]
        found = checkup("judge", "d", given, smallest=0.4)
        passed[0] += found.ability is Ability.TELLS
        passed[1] += found.controls[0].ability is Ability.TELLS
    assert passed[0] <= 8
    assert passed[1] <= 24
