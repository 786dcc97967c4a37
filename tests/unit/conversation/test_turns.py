"""What is asked for a turn and recorded of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError

from nightjar.config.errors import ParameterError
from nightjar.jobs.identity import chain_digest
from nightjar.jobs.mongo import utc_now
from nightjar.jobs.parameters import ParameterSource, Policy, resolve
from nightjar.jobs.records import Draw, TurnRecord
from nightjar.jobs.sequences import Mode, Sequence, TurnSpec
from nightjar.jobs.states import JobKind
from nightjar.workers.conversation.plan import plan_prompt
from nightjar.workers.conversation.prompt_ids import UNKNOWN_IDS
from nightjar.workers.conversation.replier import PromptFacts, Reply
from nightjar.workers.conversation.turns import turn_parameters, turn_record, turn_request
from nightjar.workers.engine.markers import Markers
from tests.documents import a_turn


@dataclass(frozen=True)
class Facts:
    name: str = "m"
    sampling_defaults: dict[str, Any] = field(default_factory=dict)


@dataclass
class RunPart:
    set_parameters: dict[str, Any] = field(default_factory=dict)
    set_model_parameters: dict[str, dict[str, Any]] = field(default_factory=dict)


LAYERS: list[tuple[ParameterSource, dict[str, Any]]] = [
    (ParameterSource.DEFAULT, {}),
    (ParameterSource.GGUF, {"facts": Facts("m", {"top_k": 1})}),
    (ParameterSource.REGISTRY, {"registry": {"top_k": 2}}),
    (ParameterSource.SUITE, {"sequence": {"top_k": 3}}),
    (ParameterSource.TURN, {"turn": {"top_k": 4}}),
    (ParameterSource.VARIANT, {"variant": {"top_k": 5}}),
    (ParameterSource.SET, {"all_models": {"top_k": 6}}),
    (ParameterSource.SET_MODEL, {"this_model": {"m": {"top_k": 7}, "other": {"top_k": 8}}}),
]


@pytest.mark.parametrize("highest", range(len(LAYERS)))
def test_the_highest_layer_wins_and_is_recorded(highest: int) -> None:
    given: dict[str, Any] = {}
    for _, layer in LAYERS[: highest + 1]:
        given |= layer
    sequence = Sequence(
        id="s", turns=(TurnSpec(prompt="p", parameters=given.get("turn", {})),), parameters=given.get("sequence", {})
    )
    run = RunPart(given.get("all_models", {}), given.get("this_model", {}))
    facts, registry = given.get("facts", Facts()), given.get("registry", {})
    variant = given.get("variant", {})
    resolved = turn_parameters(run, facts, registry, sequence, 0, kind=JobKind.REPLY, variant=variant)
    assert resolved.values.top_k == (highest or 40)
    assert resolved.sources["top_k"] is LAYERS[highest][0]
    assert resolved.sources["temperature"] is ParameterSource.DEFAULT


def test_a_judge_keeps_its_temperature_unless_it_is_named() -> None:
    """`--set` is for the models that reply; `--set JUDGE:temperature=...` is for the judge."""
    sequence = Sequence(id="s", turns=(TurnSpec(prompt="p", parameters={"temperature": 0.0}),))
    unnamed = RunPart({"temperature": 0.9})
    named = RunPart({"temperature": 0.9}, {"m": {"temperature": 0.4}})
    asked = [(unnamed, JobKind.REPLY), (unnamed, JobKind.JUDGE), (named, JobKind.JUDGE)]
    resolved = [turn_parameters(run, Facts(), {}, sequence, 0, kind=kind) for run, kind in asked]
    assert [each.values.temperature for each in resolved] == [0.9, 0.0, 0.4]
    assert [each.sources["temperature"] for each in resolved] == [
        ParameterSource.SET,
        ParameterSource.TURN,
        ParameterSource.SET_MODEL,
    ]


def test_a_bad_value_names_its_layer() -> None:
    sequence = Sequence(id="s", turns=(TurnSpec(prompt="p", parameters={"top_p": 7}),))
    with pytest.raises(ParameterError, match=r"top_p.*turn"):
        turn_parameters(RunPart(), Facts(), {}, sequence, 0, kind=JobKind.REPLY)


def test_requests_carry_plan_parameters_and_markers(talk: Callable[..., Any]) -> None:
    told = talk(["Hi"], template="{{ messages[0].content }}<think>\n{# </think> #}", max_tokens=9, temperature=0.0)
    plan = told.plan()
    request = turn_request(told.conversation, plan, told.resolved, id="r", seed=3)
    assert (request.prompt, request.max_tokens, request.seed) == (plan.ids, 9, 3)
    assert request.reasoning == Markers(open="<think>", close="</think>")
    assert request.reasoning_open
    assert request.parameters.temperature == 0.0


def test_records_chain_and_tell_their_parameters(talk: Callable[..., Any]) -> None:
    told = talk(["One", "Two"], top_k=7)
    first, second = told.say("a"), told.say("")
    assert first.chain == chain_digest("", 0, "One", b"a")
    assert second.chain == chain_digest(first.chain, 1, "Two", b"")
    assert (first.parameters["top_k"], first.sources["top_k"]) == (7, ParameterSource.SUITE)
    assert (second.draw.empty, second.draw.degenerate) == ("no text", None)  # one reason, not two
    assert first.prompt_tokens == len(told.plans[0].ids)


def test_a_reply_without_token_ids_chains_by_its_text(talk: Callable[..., Any]) -> None:
    """A remote model sends text: the chain is over that, and the next prompt is tokenised as a whole."""
    told = talk(["One", "Two"])
    local = told.say("a")
    draw = local.draw.model_copy(update={"reply_ids": None, "reported_tokens": 3})
    reply = Reply(
        prompt=PromptFacts(text="One", tokens=9, digest="d", policy=Policy.TRIM),
        draws=(draw,),
        parameters=told.resolved,
    )
    record = turn_record(reply, told.conversation.sequence, [], fence=1, worker="w", now=local.committed_at)
    assert record.chain == chain_digest("", 0, "One", "a") != local.chain
    assert record.draw.reply_tokens == 3
    told.history[0] = record
    plan = told.plan()
    assert (plan.reprefill_reason, plan.replies) == (UNKNOWN_IDS, ())
    assert plan.text.startswith(told.plans[0].text + "a")


def test_a_draw_says_how_many_tokens_it_has(talk: Callable[..., Any]) -> None:
    """By its ids, or as its server reports: a missing number is never zero."""
    draw = talk(["One"]).say("abc").draw
    assert draw.reply_tokens == 3
    with pytest.raises(ValidationError, match="reported_tokens"):
        Draw.model_validate(draw.model_dump() | {"reply_ids": None})


def test_a_prompt_holds_its_documents(talk: Callable[..., Any]) -> None:
    told = talk(["Read {{ documents.a }}.", "And?"], documents=[("a", "<|im_end|>"), ("b", "B")])
    assert told.say("x").prompt == "b:\nB\n\nRead <|im_end|>."
    assert "b:\nB\n\nRead <|im_end|>." in told.plan().text


def test_degenerate_replies_are_recorded_as_such(talk: Callable[..., Any]) -> None:
    told = talk(["One", "Two"], min_tokens=3)
    assert told.say("ab").draw.degenerate == "2 tokens, min_tokens is 3"
    assert told.say("ab" * 60).draw.degenerate == "20-token span 5 times running"


@pytest.mark.parametrize(
    ("changes", "marks"),
    [
        ({}, [None, "the reply of turn 1 again", None]),
        ({"may_repeat": True}, [None, None, None]),  # the suite says so
        ({"mode": Mode.INDEPENDENT}, [None, None, None]),  # no turn sees the one before
    ],
)
def test_a_reply_that_is_its_predecessor_again_is_recorded_as_such(changes: dict[str, Any], marks: list[Any]) -> None:
    turns = tuple(
        TurnSpec(prompt=text, may_repeat=changes.get("may_repeat", False)) for text in ("One", "Two", "Three")
    )
    sequence = Sequence(id="s", turns=turns, mode=changes.get("mode", Mode.CHAT))
    facts: dict[str, Any] = {"tokens": 1, "digest": "d", "policy": Policy.TRIM}
    history: list[TurnRecord] = []
    for turn, text in enumerate(("The sea. " * 10, "The sea. " * 10, "The end. " * 10)):
        draw = a_turn(turn, reply=text, reply_ids=None, reported_tokens=20).draw
        prompt = PromptFacts(text=turns[turn].prompt, **facts)
        reply = Reply(prompt=prompt, draws=(draw,), parameters=resolve([]))
        history.append(turn_record(reply, sequence, history, fence=1, worker="w", now=utc_now()))
    assert [record.draw.repeats_previous for record in history] == marks


def test_plans_are_values(talk: Callable[..., Any]) -> None:
    """The same question twice gives the same plan."""
    told = talk(["One"])
    again = plan_prompt(told.conversation, 0, [], told.resolved.values)
    assert again == told.plan()
