"""The longest turns that there may be, and what judges will be asked: in tokens, from what is planned."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.jobs.sequences import Choices, Mode, Sequence, TurnSpec
from nightjar.jobs.status.forecast import UsualTurn
from nightjar.pipeline.judging.rubric import Rubric
from nightjar.pipeline.runs.longest_turns import (
    QUESTION_TOKENS,
    VERDICT_TOKENS,
    JudgedTexts,
    judge_work,
    longest_turn,
)
from nightjar.pipeline.runs.remote_plan import PlannedSequence, planned_sequence

CHOICES = Choices(texts=("c" * 20, "d" * 20), right=(0,))


def planned(
    mode: Mode = Mode.CHAT, *, choices: Choices | None = None, system: str | None = None, **more: Any
) -> PlannedSequence:
    """Two turns of 36 characters, which count as ten tokens each; the second has a reference."""
    turns = tuple(TurnSpec(prompt="p" * 36, choices=choices, reference="R" if index else None) for index in range(2))
    return planned_sequence(Sequence(id="s", turns=turns, mode=mode, system=system, **more).model_dump())


# A sequence, what is set above it and below; tokens that are computed and replied in the mean turn.
TURNS = [
    (planned(), [{}], {}, (10, 1024)),  # the default limit
    (planned(parameters={"max_tokens": 50}), [{}], {"max_tokens": 7}, (10, 50)),  # a suite stands above the registry
    (planned(), [{}], {"max_tokens": 7}, (10, 7)),
    (planned(), [{"max_tokens": 100}, {"max_tokens": 300}], {}, (10, 200)),  # two variants
    (
        planned(system="s" * 40, parameters={"max_tokens": 1}),
        [{}],
        {},
        (15, 1),
    ),  # the system prompt once, in the cache then
    (planned(Mode.INDEPENDENT, system="s" * 40, parameters={"max_tokens": 1}), [{}], {}, (20, 1)),  # again in each turn
    (planned(choices=CHOICES), [{}], {}, (20, 0)),  # given texts are read, and nothing is written
    (planned(Mode.PERPLEXITY), [{}], {}, (10, 0)),
]


@pytest.mark.parametrize(("sequence", "layers", "below", "tokens"), TURNS)
def test_the_longest_turn(
    sequence: PlannedSequence, layers: list[dict[str, Any]], below: dict[str, Any], tokens: tuple[float, float]
) -> None:
    assert longest_turn([sequence, sequence], layers, below) == UsualTurn(
        computed_tokens=tokens[0], reply_tokens=tokens[1]
    )


def test_of_withheld_texts_no_length_is_known() -> None:
    hidden = planned(Mode.COMPLETION, choices=CHOICES, withheld=True)
    assert longest_turn([planned(), hidden], [{}], {}) is None
    assert longest_turn([], [{}], {}) is None


def rubric(criteria: int = 2, **more: Any) -> Rubric:
    names = [f"c{index}" for index in range(criteria)]
    scale = {} if more.get("method") == "pairwise" else {"scale": {1: "bad", 2: "good"}}
    return Rubric.model_validate(
        {"criteria": [{"name": name, "description": "How good?", **scale} for name in names], **more}
    )


def texts(*models: str, sequence: PlannedSequence | None = None, jobs: int = 1) -> list[JudgedTexts]:
    """With replies of 90 tokens, so that an exchange has 100; one job of each model."""
    return [JudgedTexts(asked_as=model, sequence=sequence or planned(), jobs=jobs, reply_tokens=90) for model in models]


# What is judged, by what, whose replies the judge may not judge, repeats; jobs, calls, and all the material's tokens.
WORK = [
    (texts("a"), rubric(), "", 1, (2, 4, 300)),  # a reply with what came before it, by each criterion
    (texts("a"), rubric(layout="all"), "", 1, (2, 2, 300)),
    (texts("a", jobs=3), rubric(scope="conversation"), "", 3, (3, 6, 600)),
    (texts("a", sequence=planned(Mode.INDEPENDENT)), rubric(), "", 1, (2, 4, 200)),  # replies by themselves
    (texts("a"), rubric(reference="required"), "", 1, (1, 2, 200)),
    (texts("a", "b"), rubric(), "a", 1, (2, 4, 300)),  # never its own
    (texts("a", "b", "c"), rubric(method="pairwise"), "", 1, (12, 24, 12 * 300)),  # three pairs, two turns, both orders
    (texts("a", "b", jobs=2), rubric(method="pairwise"), "", 2, (8, 16, 8 * 300)),  # of the same repeat only
    (texts("a", "b"), rubric(method="pairwise"), "a", 1, (0, 0, 0)),
    (texts("a", sequence=planned(choices=CHOICES)), rubric(), "", 1, (0, 0, 0)),  # there are no replies
]


@pytest.mark.parametrize(("judged", "by", "own", "repeats", "asked"), WORK)
def test_what_a_judge_will_be_asked(
    judged: list[JudgedTexts], by: Rubric, own: str, repeats: int, asked: tuple[int, int, int]
) -> None:
    work = judge_work(judged, by, frozenset(own), repeats=repeats, against=False)
    jobs, calls, material = asked
    assert (work.jobs, work.calls) == (jobs, calls)
    assert work.call.computed_tokens == pytest.approx(material / max(1, calls) + QUESTION_TOKENS, abs=2.1)
    criteria = 1 if by.layout == "per_criterion" else 2
    assert work.call.reply_tokens == VERDICT_TOKENS * criteria


def test_against_another_run_each_reply_has_one_opponent() -> None:
    work = judge_work(texts("a", "b"), rubric(method="pairwise"), frozenset(), repeats=1, against=True)
    assert (work.jobs, work.calls) == (8, 16)
