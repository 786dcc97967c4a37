"""A stored conversation as passages: each reply is scored once, after what its model read before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nightjar.jobs.sequences import Mode
from nightjar.workers.conversation.plan import rebuilt
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
