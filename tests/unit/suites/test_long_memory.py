"""The bundled suite of long conversations: facts early, questions late, and checks that tell an answer from none."""

from __future__ import annotations

import re

import pytest

from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.scoring.scorer import Context
from nightjar.pipeline.scoring.turn_scorer import score, turn_lines
from nightjar.pipeline.suites.catalogue import bundled
from nightjar.pipeline.suites.read import read_suite

SUITE = read_suite(bundled()["long-memory"])
BY_ID = {sequence.id: sequence for sequence in SUITE.sequences}


def wanted(sequence: Sequence, turn: int) -> list[str]:
    """The texts that the answer to a question must hold."""
    return [str(e.value) for e in sequence.turns[turn].expect if e.check in ("includes", "numeric")]


def questions(sequence: Sequence) -> list[int]:
    return [number for number, turn in enumerate(sequence.turns) if turn.expect]


def test_what_it_holds() -> None:
    assert len(SUITE.sequences) == 12
    assert all(20 <= len(sequence.turns) <= 40 for sequence in SUITE.sequences)
    assert {len(questions(sequence)) for sequence in SUITE.sequences} == {8}


@pytest.mark.parametrize("sequence", SUITE.sequences, ids=lambda sequence: sequence.id)
def test_facts_are_told_early_and_asked_for_late(sequence: Sequence) -> None:
    """At least ten turns lie between a fact and its question, and no other prompt gives the answer away."""
    for question in questions(sequence):
        [answer] = wanted(sequence, question)
        told = [n for n, turn in enumerate(sequence.turns) if re.search(rf"\b{re.escape(answer)}\b", turn.prompt)]
        assert len(told) == 1, f"{answer!r} is in turns {told}"
        assert question - told[0] >= 9, f"{answer!r} is told in turn {told[0]} and asked for in turn {question}"


@pytest.mark.parametrize("sequence", SUITE.sequences, ids=lambda sequence: sequence.id)
def test_one_fact_is_corrected_on_the_way(sequence: Sequence) -> None:
    prompts = [turn.prompt for turn in sequence.turns]
    assert sum("change" in prompt and "not" in prompt for prompt in prompts) == 1


@pytest.mark.parametrize(
    ("sequence", "reply", "value"),
    [
        ("workshop[bicycles]", "We open on Friday.", 1.0),
        ("workshop[bicycles]", "We open on Tuesday.", 0.0),  # what was first planned
        ("workshop[bicycles]", "I do not know.", 0.0),
        ("voyage[heron]", "Lentils.", 1.0),
        ("garden-party[june]", "At five o'clock.", 1.0),
        ("garden-party[june]", "At noon.", 0.0),
    ],
)
def test_the_corrected_fact_is_what_counts(sequence: str, reply: str, value: float) -> None:
    turn = next(
        number
        for number, spec in enumerate(BY_ID[sequence].turns)
        if any(word in spec.prompt for word in ("open now", "as I last decided", "after the change?"))
    )
    assert met(BY_ID[sequence], turn, reply) == value


def met(sequence: Sequence, turn: int, reply: str) -> float:
    """Whether all checks of the turn are met by this reply."""
    scorers = turn_lines(sequence)[turn]
    scores = score(scorers, Context(prompt="", reply=reply))
    return float(all(scores[scorer.name].value == 1 for scorer in scorers if scorer.check))
