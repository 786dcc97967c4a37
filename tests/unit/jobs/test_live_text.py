"""What of a growing reply goes to its client: in order, once, across gaps and attempts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.config.errors import RestartedError
from nightjar.jobs.live.text import LivePiece, ReplyText, TextMessage, TextPart, read_message


def said(pieces: list[LivePiece]) -> str:
    return "".join(piece.text for piece in pieces)


def test_text_comes_once_and_in_order() -> None:
    reply = ReplyText()
    assert said(reply.hear(TextMessage(fence=1, offset=0, text="Once"))) == "Once"
    assert said(reply.hear(TextMessage(fence=1, offset=0, text="Once upon"))) == " upon"  # somebody else began to watch
    assert said(reply.hear(TextMessage(fence=1, offset=4, text=" upon"))) == ""
    assert said(reply.finish(1, "", "Once upon a time.")) == " a time."


def test_a_gap_waits_for_the_commit_or_for_the_text_so_far() -> None:
    """Reasoning with a gap also holds back the reply: nothing comes out of order."""
    reply = ReplyText()
    reply.hear(TextMessage(fence=1, part=TextPart.REASONING, offset=0, text="Hm"))
    assert reply.hear(TextMessage(fence=1, part=TextPart.REASONING, offset=5, text="so")) == []
    assert reply.hear(TextMessage(fence=1, offset=0, text="Yes")) == []
    healed = reply.hear(TextMessage(fence=1, part=TextPart.REASONING, offset=0, text="Hm, so"))
    assert [(piece.part, piece.text) for piece in healed] == [(TextPart.REASONING, ", so"), (TextPart.REPLY, "Yes")]
    reply.hear(TextMessage(fence=1, offset=7, text="more"))
    assert said(reply.finish(1, "Hm, so", "Yes, no more")) == ", no more"


def test_another_attempt_goes_on_only_with_the_same_text() -> None:
    reply = ReplyText()
    reply.hear(TextMessage(fence=1, offset=0, text="Once upon"))
    assert reply.hear(TextMessage(fence=3, offset=0, text="Once")) == []  # as far as it goes it is the same
    assert said(reply.hear(TextMessage(fence=3, offset=4, text=" upon a"))) == " a"
    assert reply.hear(TextMessage(fence=1, offset=9, text=" late")) == []  # of a worker that lost the job
    with pytest.raises(RestartedError, match="began again"):
        reply.hear(TextMessage(fence=4, offset=0, text="Twice"))


def test_a_text_that_begins_anew_under_its_fence_is_another_attempt() -> None:
    """An endpoint that broke off is asked again by the same worker; what it said before is void."""
    reply = ReplyText()
    reply.hear(TextMessage(fence=1, offset=0, text="Once upon"))
    assert reply.hear(TextMessage(fence=1, begun=1, offset=0, text="Once")) == []
    assert said(reply.hear(TextMessage(fence=1, begun=1, offset=4, text=" upon a"))) == " a"
    assert reply.hear(TextMessage(fence=1, offset=9, text=" late")) == []  # of the try before
    with pytest.raises(RestartedError, match="began again"):
        reply.hear(TextMessage(fence=1, begun=2, offset=0, text="Twice"))


def test_a_new_beginning_of_which_nothing_was_heard_is_no_rest() -> None:
    reply = ReplyText()
    reply.hear(TextMessage(fence=1, offset=0, text="Once upon"))
    with pytest.raises(RestartedError):
        reply.finish(1, "", "Twice.")


def test_what_nobody_has_seen_may_begin_otherwise() -> None:
    """Of a client that waits for the whole answer."""
    reply = ReplyText(seen=False)
    reply.hear(TextMessage(fence=1, offset=0, text="Once upon"))
    assert said(reply.hear(TextMessage(fence=2, offset=0, text="Twice"))) == "Twice"
    reply.finish(3, "", "Never.")


def test_reasoning_that_was_taken_for_the_reply_is_followed_by_it() -> None:
    """A closing marker without an opening one tells at the end only what the text before it was."""
    reply = ReplyText()
    reply.hear(TextMessage(fence=1, offset=0, text="Hm."))
    assert [(piece.part, piece.text) for piece in reply.finish(1, "Hm.", "Yes.")] == [
        (TextPart.REASONING, "Hm."),
        (TextPart.REPLY, "Yes."),
    ]


def test_nothing_sent_is_retried_silently() -> None:
    reply = ReplyText()
    assert reply.hear(TextMessage(fence=1, offset=3, text="lost")) == []
    assert said(reply.finish(2, "", "Another reply.")) == "Another reply."


def test_a_commit_of_another_attempt_that_says_something_else() -> None:
    reply = ReplyText()
    reply.hear(TextMessage(fence=1, offset=0, text="Once"))
    with pytest.raises(RestartedError):
        reply.finish(2, "", "Twice.")


@given(st.text(), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20))))
def test_whatever_is_lost_or_doubled_the_client_has_the_reply(text: str, cuts: list[tuple[int, int]]) -> None:
    reply, heard = ReplyText(), ""
    for offset, length in cuts:
        offset = min(offset, len(text))
        heard += said(reply.hear(TextMessage(fence=1, offset=offset, text=text[offset : offset + length])))
        assert text.startswith(heard)
    assert heard + said(reply.finish(1, "", text)) == text


@pytest.mark.parametrize("text", ["", "a\n\u2028\U0001f98a", '{"f": 1}', "\ud800"])
def test_messages_survive_their_form(text: str) -> None:
    message = TextMessage(fence=7, part=TextPart.REASONING, offset=3, text=text)
    assert read_message(message.dump()) == message
    assert read_message(TextMessage(fence=7, ended=True).dump()) == TextMessage(fence=7, ended=True)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"f": 1}', b'{"f": "x", "end": 1}', b"\xff", b'{"f":1,"p":"x","o":0,"x":""}']
)
def test_what_is_no_message_is_none(data: bytes) -> None:
    assert read_message(data) is None
