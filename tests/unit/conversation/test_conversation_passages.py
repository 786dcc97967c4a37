"""A stored conversation as passages: each reply is scored once, after what its model read before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nightjar.jobs.parameters import Policy
from nightjar.jobs.sequences import Mode
from nightjar.workers.conversation.plan import ask, plan_quoting, rebuilt
from nightjar.workers.fidelity.passages import Passage, conversation_passages

REPLIES = ("There was a fox.", "It met a bear.", "They slept.")


def passages(talk: Any) -> list[Passage]:
    plans = list(rebuilt(talk.conversation, talk.history))
    return list(conversation_passages(plans, talk.history, text=3))


def scored(found: Sequence[Passage]) -> list[str]:
    return [bytes(passage.ids[start:end]).decode() for passage in found for start, end in passage.spans]


def test_turns_that_go_on_from_each_other_are_one_passage(talk: Callable[..., Any]) -> None:
    told = talk(["Tell a story.", "Go on.", "The end?"], system="Be brief.")
    for reply in REPLIES:
        told.say(reply)
    [passage] = passages(told)
    assert scored([passage]) == list(REPLIES)
    assert passage.text == 3
    assert len(passage.ids) == passage.spans[-1][1]


def test_independent_turns_are_passages_of_their_own(talk: Callable[..., Any]) -> None:
    told = talk(["One.", "Two.", "Three."], mode=Mode.INDEPENDENT)
    for reply in REPLIES:
        told.say(reply)
    found = passages(told)
    assert len(found) == 3
    assert scored(found) == list(REPLIES)


def test_a_template_that_trims_replies_begins_again_and_each_reply_is_scored_once(talk: Callable[..., Any]) -> None:
    """The next prompt does not hold the reply as it was generated, so it is another passage."""
    told = talk(["One.", "Two."])
    told.say("A fox.  ", ids=tuple(b"A fox.  "))
    told.say("A bear.")
    assert scored(passages(told)) == ["A fox.  ", "A bear."]


def test_an_empty_reply_has_nothing_to_score(talk: Callable[..., Any]) -> None:
    told = talk(["One.", "Two."])
    told.say("")
    told.say("A bear.")
    assert scored(passages(told)) == ["A bear."]


def test_a_reply_cut_by_a_stop_string_ends_its_passage_and_none_before_it_is_scored_again(
    talk: Callable[..., Any],
) -> None:
    """The next prompt goes on from it, but without the tokens of the stop string."""
    told = talk(["One.", "Two.", "Three."])
    told.say("A fox.")
    told.say("A bear.", ids=tuple(b"A bear.END"), stop="END")
    told.say("They slept.")
    found = passages(told)
    assert scored(found) == ["A fox.", "A bear.END", "They slept."]
    assert [len(passage.spans) for passage in found] == [2, 1]


def test_a_prompt_that_quotes_left_out_turns_holds_replies_that_are_scored_already(talk: Callable[..., Any]) -> None:
    """Policy recall: what was quoted is gone from the next prompt, which goes on from the one without it."""
    told = talk([f"What about {n}?" for n in range(24)], context=700, max_tokens=40, policy=Policy.RECALL)
    for turn in range(24):
        window = told.plan()
        asked = ask(told.conversation, turn, told.history, told.resolved.values, told.plans[-1] if turn else None)
        told.say(f"reply {turn}", plan=plan_quoting(asked, window, window.dropped_turns[:1]))
    assert any(plan.recalled_turns and plan.replies for plan in told.plans)
    assert scored(passages(told)) == [f"reply {turn}" for turn in range(24)]
