"""Which texts of a conversation are compared, and how texts longer than the context are embedded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from nightjar.config.errors import ContextError
from nightjar.jobs.models import ModelKind
from nightjar.jobs.sequences import Mode, Sequence, TurnSpec
from nightjar.workers.conversation.embedding import CommittedReply, measure_similarities, pairs_of
from nightjar.workers.conversation.local_embedder import LocalEmbedder
from nightjar.workers.engine.fake import ScriptedEngine


def a_sequence(*references: str | None, mode: Mode = Mode.CHAT) -> Sequence:
    return Sequence(id="s", turns=tuple(TurnSpec(prompt="p", reference=text) for text in references), mode=mode)


def replies(*texts: str | None) -> list[CommittedReply]:
    return [CommittedReply(turn=turn, text=text) for turn, text in enumerate(texts)]


@pytest.fixture
async def embedder() -> AsyncIterator[LocalEmbedder]:
    """Vectors are letter counts: anagrams are alike."""
    opened = LocalEmbedder(ScriptedEngine(kind=ModelKind.EMBEDDING, context=16))
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    ("sequence", "given", "compared"),
    [
        (a_sequence(None, None, None), ("a", "b", "c"), [("b", None, "a"), ("c", None, "b")]),
        (a_sequence("r", None), ("a", "b"), [("a", "r", None), ("b", None, "a")]),
        (a_sequence("r", "r", mode=Mode.INDEPENDENT), ("a", "b"), [("a", "r", None), ("b", "r", None)]),
        (a_sequence(None, None, None), ("a", None, "c"), []),  # nothing to compare with around a failure
        (a_sequence("r"), (None,), []),
        (a_sequence(None), ("a",), []),
    ],
)
def test_what_is_compared(sequence: Sequence, given: tuple[str | None, ...], compared: list[Any]) -> None:
    """A reply with its reference, and with the reply before in the same conversation."""
    pairs = pairs_of(sequence, replies(*given))
    assert [(reply.text, reference, before) for reply, reference, before in pairs.places] == compared
    assert set(pairs.texts) == {text for place in compared for text in place if text}


async def test_cosines(embedder: LocalEmbedder) -> None:
    """Alike is 1, unlike is 0, and what has nothing to be compared with has no number."""
    found = await measure_similarities(a_sequence("stone", None, "xyz"), replies("notes", "onset", "qqq"), embedder)
    assert [(s.turn, s.reference, s.previous) for s in found] == [
        (0, pytest.approx(1), None),
        (1, None, pytest.approx(1)),
        (2, 0, 0),
    ]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a b c d", 1),
        ("  " + "ab " * 5, 1),  # white space around does not count
        ("ab ab ab ab ab ab ab ab", 2),
        ("x" * 40, 4),  # no white space to part it at
        ("ab " * 30, 8),
    ],
)
async def test_long_texts_are_embedded_in_parts(embedder: LocalEmbedder, text: str, parts: int) -> None:
    """Nothing is cut off: the parts' mean has the letters of the whole, white space aside."""
    (found,) = await measure_similarities(a_sequence("".join(sorted(set(text)))), replies(text), embedder)
    assert found.parts == parts
    assert found.reference is not None
    assert found.reference > 0.5


async def test_a_character_that_does_not_fit() -> None:
    tiny = LocalEmbedder(ScriptedEngine(kind=ModelKind.EMBEDDING, context=2))
    with pytest.raises(ContextError, match="3 tokens"):
        await measure_similarities(a_sequence("ab"), replies("\u20ac"), tiny)
    await tiny.close()
