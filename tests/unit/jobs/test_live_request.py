"""What a caller says becomes a sequence; what cannot be asked is refused with its place."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.config.errors import UsageError
from nightjar.jobs.live_request import LiveAsk, live_sequence
from nightjar.jobs.sequences import MessageRole, Mode


def said(role: str, content: Any = "x", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def asked(*messages: dict[str, Any], **more: Any) -> LiveAsk:
    return LiveAsk(user="ada", model="m", messages=messages, **more)


def test_a_conversation_with_tools() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get", "arguments": "{}"}}
    sequence = live_sequence(
        asked(
            said("system", "Be kind."),
            said("developer", "Be brief."),
            said("user", [{"type": "text", "text": "Rain"}, {"type": "text", "text": "?"}]),
            said("assistant", None, tool_calls=[call], reasoning_content="I ask."),
            said("tool", "Sunny.", tool_call_id="c1"),
            parameters={"max_tokens": 5},
        ),
        "id",
    )
    assert (sequence.id, sequence.system) == ("id", "Be kind.\n\nBe brief.")
    assert [message.for_template() for message in sequence.messages] == [
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": "", "tool_calls": [call], "reasoning_content": "I ask."},
    ]
    (turn,) = sequence.turns
    assert (turn.prompt, turn.answers is not None and turn.answers.tool_call_id) == ("Sunny.", "c1")
    assert turn.answers is not None
    assert turn.answers.role is MessageRole.TOOL
    assert sequence.parameters == {"max_tokens": 5}


def test_equal_conversations_have_equal_digests_under_other_ids() -> None:
    one, other = (live_sequence(asked(said("user")), name) for name in ("a", "b"))
    assert one.digest == other.digest


def test_a_text_is_gone_on_with() -> None:
    sequence = live_sequence(LiveAsk(user="ada", model="m", text="1, 2,"), "id")
    assert (sequence.mode, sequence.turns[0].prompt) == (Mode.COMPLETION, "1, 2,")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (asked(), "There are no messages"),
        (asked(said("king")), "Message 1 of 1 has the role 'king'"),
        (asked(said("user"), said("system")), "Message 2 of 2 is a system message"),
        (asked(said("system")), "The last message must be the user's"),
        (asked(said("user"), said("assistant")), "The last message must be the user's"),
        (asked(said("user", "")), "The last message is empty"),
        (asked(said("user", None)), "content must be text"),
        (asked(said("user", 5)), "content must be text, and is int"),
        (asked(said("user", [{"type": "image_url"}])), "only parts of type text"),
        (asked(said("user", "\ud800")), "not valid Unicode"),
        (asked(said("user", audio={})), "has 'audio'"),
        (asked(said("user", tool_calls=[{}])), "only an assistant's may"),
        (asked(said("assistant", tool_calls="x"), said("user")), "must be a list"),
        (asked(said("user"), seed=-1), "seed is -1"),
        (asked(said("user"), parameters={"temperature": -1}), "temperature"),
        (LiveAsk(user="ada", model="m", text=""), "is empty"),
    ],
)
def test_what_cannot_be_asked(ask: LiveAsk, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        live_sequence(ask, "id")
