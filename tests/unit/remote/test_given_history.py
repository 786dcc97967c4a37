"""A live request's messages as turns to be compressed, and as what is sent instead of them."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.jobs.sequences import FixedMessage, MessageRole, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.prompts import Compression
from nightjar.workers.remote.given_history import history_of, with_compression
from nightjar.workers.remote.texts import ask_messages

U, A, T = MessageRole.USER, MessageRole.ASSISTANT, MessageRole.TOOL


def request(*said: tuple[MessageRole, str], prompt: str = "last", **changes: Any) -> PromptSequence:
    messages = tuple(FixedMessage(role=role, text=text) for role, text in said)
    return PromptSequence(id="live", system="Be kind.", messages=messages, turns=(TurnSpec(prompt=prompt),), **changes)


TALK = [(role, f"{role}{n}") for n in range(4) for role in (U, A)]


@pytest.mark.parametrize(
    ("compression", "sent"),
    [
        (Compression(), ["user0", "assistant0", "user1", "assistant1", "user2", "assistant2", "user3", "assistant3"]),
        (
            Compression(turns=(1, 2), summary="They spoke."),
            ["user0", "assistant0", "Summary of our conversation so far: They spoke.\n\nuser3", "assistant3"],
        ),
    ],
)
def test_what_a_summary_stands_for_is_not_sent(compression: Compression, sent: list[str]) -> None:
    sequence = request(*TALK)
    given = history_of(sequence)
    assert given is not None
    assert [turn.prompt for turn in given.sequence.turns] == ["user0", "user1", "user2", "user3", "last"]
    assert [record.draw.reply for record in given.history] == [f"assistant{n}" for n in range(4)]
    messages = ask_messages(with_compression(sequence, given, compression), 0, ()).messages
    assert [message["content"] for message in messages] == ["Be kind.", *sent, "last"]


def test_where_all_but_the_first_is_summarised_the_summary_stands_before_the_last_message() -> None:
    sequence = request(*TALK)
    given = history_of(sequence)
    assert given is not None
    sent = with_compression(sequence, given, Compression(turns=(1, 2, 3), summary="They spoke."))
    assert sent.turns[0].prompt == "Summary of our conversation so far: They spoke.\n\nlast"
    assert [message.text for message in sent.messages] == ["user0", "assistant0"]


@pytest.mark.parametrize(
    "said",
    [
        [],  # nothing to compress
        [(U, "a")],
        [(U, "a"), (U, "b")],
        [(A, "a"), (U, "b")],
        [(U, "a"), (A, "b"), (T, "c"), (A, "d")],
        [(U, "see {{documents.x}}"), (A, "b")],  # it would be taken for a document's place
    ],
)
def test_what_is_no_exchange_after_the_other_is_sent_as_it_is(said: list[tuple[MessageRole, str]]) -> None:
    assert history_of(request(*said)) is None
