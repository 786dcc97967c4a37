"""Two replies compared: which pairs, in which orders, and what comes of the choices."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from nightjar.jobs.identity import digest
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.judging.judged import JudgedJob, JudgedPair, judged_pairs
from nightjar.pipeline.judging.pair_prompts import PairChoice, Shown, read_choices
from nightjar.pipeline.judging.pairs import Opinion, PairOutcome, PairResult, opinions, score_pairs
from nightjar.pipeline.judging.panel import Panel, seat
from nightjar.pipeline.judging.plan import JudgeJobSpec, plan_pairs
from nightjar.pipeline.judging.prompts import JudgedTurn
from nightjar.pipeline.judging.rubric import Rubric, read_rubric
from nightjar.pipeline.scores import ScoreState
from tests import factories


def rubric(**changes: Any) -> Rubric:
    criteria = [{"name": name, "description": f"How the {name} is."} for name in ("plot", "voice")]
    return read_rubric({"criteria": criteria, "method": "pairwise", **changes})


def job(model: str, *replies: str, **changes: Any) -> JudgedJob:
    chain, turns = "", []
    for at, reply in enumerate(replies):
        chain = digest(chain, reply)
        turns.append(JudgedTurn(index=at, prompt=f"p{at}", reply=reply, chain=chain))
    made = JudgedJob(id=digest(model), model=model, sequence="story", repeat=0, tags=(), turns=tuple(turns))
    return replace(made, **changes)


AMBER = job("amber-1b", "one amber", "two amber")
BASALT = job("basalt-3b", "one basalt", "two basalt")


def plan(*pairs: JudgedPair, by: Rubric | None = None, panel: Panel | None = None) -> list[JudgeJobSpec]:
    return list(plan_pairs("run", pairs, by or rubric(), panel or Panel(judges=("judge",))))


def test_each_pair_is_asked_about_in_both_orders() -> None:
    """A job per pair, turn, judge and order, with an id of its own; the other order shows the second first."""
    pairs = list(judged_pairs([AMBER], [BASALT], rubric()))
    specs = plan(*pairs, panel=Panel(judges=("judge", "other")))
    assert len({spec.id for spec in specs}) == len(specs) == 2 * 2 * 2
    first, second = specs[:2]
    assert [dict(spec.more) for spec in specs[:2]] == [{"other": BASALT.id, "order": n} for n in (0, 1)]
    assert "REPLY 1:\none amber\n\nREPLY 2:\none basalt" in first.sequence.prompt_text(0)
    assert "REPLY 1:\none basalt\n\nREPLY 2:\none amber" in second.sequence.prompt_text(0)
    assert {spec.id for spec in plan(*pairs)} < {spec.id for spec in specs}, "the same work has the same ids"


def test_a_later_turn_is_compared_with_what_came_before_it() -> None:
    """Each reply within its own conversation; independent turns, and twins up to here, are shown their prompt once."""
    later = list(judged_pairs([AMBER], [BASALT], rubric()))[1]
    text = plan(later)[0].sequence.prompt_text(0)
    assert (
        text.index("CONVERSATION 1") < text.index("one amber") < text.index("two amber") < text.index("CONVERSATION 2")
    )
    alone = [replace(one, independent=True) for one in (AMBER, BASALT)]
    text = plan(list(judged_pairs(alone[:1], alone[1:], rubric()))[1])[0].sequence.prompt_text(0)
    assert text.count("p1") == 1
    assert "one amber" not in text


def test_criteria_share_all_but_the_question() -> None:
    """No model's name is in it, the reason comes before the choice, and the longest common part is all but the end."""
    (spec, _) = plan(next(judged_pairs([AMBER], [BASALT], rubric())))
    asked = [spec.sequence.prompt_text(turn) for turn in range(2)]
    assert len({prompt.rpartition("\n\n")[0] for prompt in asked}) == 1
    assert not [name for name in ("amber-1b", "basalt-3b") if name in spec.sequence.model_dump_json()]
    schema = spec.sequence.turns[0].parameters["json_schema"]
    assert list(schema["properties"]) == ["reason", "choice"] == schema["required"]


def test_what_needs_no_judge() -> None:
    """A failed reply loses, two failed ones and equal texts tie; nobody is asked."""
    broken = replace(BASALT, failures=frozenset({0}))
    cases = [
        (AMBER, broken, 1.0),
        (broken, AMBER, 0.0),
        (replace(AMBER, failures=frozenset({0})), broken, 0.5),
        (AMBER, replace(AMBER, id="twin"), 0.5),
    ]
    for first, second, points in cases:
        pair = next(judged_pairs([first], [second], rubric()))
        assert pair.decided is not None
        assert pair.decided[0] == points
        assert plan(pair) == []


def test_a_judge_compares_no_reply_of_its_own() -> None:
    panel = seat(("amber-1b", "copy", "judge"), {"amber-1b": frozenset({"f"}), "basalt-3b": frozenset()}, {"copy": "f"})
    pair = next(judged_pairs([AMBER], [BASALT], rubric()))
    assert {spec.judge for spec in plan(pair, panel=panel)} == {"judge"}


def test_a_conversation_is_one_pair() -> None:
    (pair,) = judged_pairs([AMBER], [BASALT], rubric(scope="conversation"))
    text = plan(pair, by=rubric(scope="conversation"))[0].sequence.prompt_text(0)
    assert pair.turn is None
    assert text.index("two amber") < text.index("CONVERSATION 2") < text.index("one basalt")


BROKEN = [
    # no choice, or half of one
    (None, "no verdict"),
    ('{"reason": "it was c', "no whole JSON"),
    ("Number 1.", "no whole JSON"),
    # JSON, and nothing that was asked for
    ('{"reason": "x", "choice": 1}', "choice is 1"),
    ('{"reason": "x", "choice": "A"}', "choice is A"),
    ('{"reason": "x"}', "choice is None"),
    ('["1"]', "no JSON object"),
]


@pytest.mark.parametrize(("reply", "why"), BROKEN)
def test_what_cannot_be_read_is_no_choice(reply: str | None, why: str) -> None:
    replies = {"voice": json.dumps({"reason": "y", "choice": "tie"})} | ({} if reply is None else {"plot": reply})
    plot, voice = read_choices(rubric(), replies)
    assert (plot.shown, voice.shown) == (None, Shown.TIE)
    assert why in plot.reason
    (at_once, left_out) = read_choices(rubric(layout="all"), {"all": '{"plot": {"reason": "x", "choice": "2"}}'})
    assert (at_once.shown, left_out.shown) == (Shown.SECOND, None)


def choice(shown: str | None, reason: str = "because") -> PairChoice:
    return PairChoice(criterion="plot", shown=Shown(shown) if shown else None, reason=reason)


ORDERS: list[tuple[str | None, str | None, PairOutcome | None, bool | None]] = [
    # what stood first and second; the second order shows the pair's second text first
    ("1", "2", PairOutcome.WON, False),
    ("2", "1", PairOutcome.LOST, False),
    ("tie", "tie", PairOutcome.TIED, False),
    # the order changed the answer: a tie
    ("1", "1", PairOutcome.TIED, True),
    ("2", "2", PairOutcome.TIED, True),
    ("1", "tie", PairOutcome.TIED, True),
    # half of it is missing
    ("1", None, None, None),
    (None, None, None, None),
]


@pytest.mark.parametrize(("first", "second", "outcome", "flipped"), ORDERS)
def test_both_orders_must_agree(
    first: str | None, second: str | None, outcome: PairOutcome | None, flipped: bool | None
) -> None:
    opinion = opinions(rubric(), {0: [choice(first)], 1: [choice(second)]})[0]
    assert (opinion.outcome, opinion.flipped) == (outcome, flipped)


def said(outcome: PairOutcome | None, criterion: str = "plot") -> Opinion:
    return Opinion(criterion=criterion, orders=(outcome, outcome), reasons=("because", "because"))


def result(first: JudgedJob, second: JudgedJob, *, turn: int = 0, **given: list[Opinion]) -> PairResult:
    pair = JudgedPair(first=first, second=second, turn=turn)
    return PairResult(pair=pair, names=(first.model, second.model), opinions=given)


def scored(*results: PairResult, **each: Any) -> dict[str, Any]:
    """Scores of amber's first turn."""
    row = factories.row(PromptSequence.model_validate({"id": "s", "turns": [{"prompt": "p"}]}), ["A reply."], **each)
    row = replace(row, id=AMBER.id, model="amber-1b")
    return score_pairs(rubric(), row, {0: list(results)}, Panel(judges=("judge", "other")))[0]


def test_a_score_is_the_share_of_comparisons_won() -> None:
    """Over opponents and judges, ties half, seen from the side of the reply; the composite is the plain mean."""
    won, lost, tied = (
        [said(o, "plot"), said(o, "voice")] for o in (PairOutcome.WON, PairOutcome.LOST, PairOutcome.TIED)
    )
    against_basalt = result(AMBER, BASALT, judge=won, other=tied)
    cinder = job("cinder", "one")
    against_cinder = result(cinder, AMBER, judge=lost, other=[said(PairOutcome.LOST), said(PairOutcome.WON, "voice")])
    scores = scored(against_basalt, against_cinder)
    assert scores["judge.plot"].value == (0.75 + 1.0) / 2
    assert scores["judge.voice"].value == (0.75 + 0.5) / 2
    assert scores["judge"].value == (scores["judge.plot"].value + scores["judge.voice"].value) / 2
    assert scores["judge.plot"].answer == "basalt-3b: 0.75; cinder: 1"
    assert "against basalt-3b: judge: (won) because" in scores["judge.plot"].reason


def test_a_comparison_without_outcome_is_missing() -> None:
    """Of one judge, by one criterion: that criterion and the composite have no value, the other keeps its own."""
    half = [said(None, "plot"), said(PairOutcome.WON, "voice")]
    whole = [said(PairOutcome.WON, "plot"), said(PairOutcome.WON, "voice")]
    scores = scored(result(AMBER, BASALT, judge=half, other=whole))
    assert [scores[name].value for name in ("judge", "judge.plot", "judge.voice")] == [None, None, 1.0]
    assert scores["judge"].state is ScoreState.UNSCORED
    assert "not judged" in scored(result(AMBER, BASALT, judge=whole))["judge.plot"].reason
    assert "no other reply" in scored()["judge.plot"].reason


def test_a_failed_reply_has_won_nothing() -> None:
    scores = scored(empty="no text")
    assert (scores["judge"].value, scores["judge"].state) == (0.0, ScoreState.WORST)
