"""Turns whose texts are given: what the engine is asked, and what is recorded of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import ContextError, TemplateError
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.models import ModelKind
from nightjar.jobs.records import TurnRecord
from nightjar.jobs.sequences import Sequence
from nightjar.workers.conversation.local import LocalReplier
from nightjar.workers.conversation.replier import LikelihoodModel, Reply
from nightjar.workers.conversation.turns import turn_record
from nightjar.workers.engine.fake import BOS, ScriptedEngine
from nightjar.workers.engine.request import Scored, ScoreRequest, ScoreResult
from nightjar.workers.library.find import ModelEntry
from tests.documents import a_job, a_run
from tests.scripted_replier import ScriptedReplier


@dataclass
class Asked:
    """What an engine was asked; every token is as likely as the number of its letter says."""

    requests: list[ScoreRequest] = field(default_factory=list)
    watched: list[str] = field(default_factory=list)

    async def score(self, request: ScoreRequest) -> ScoreResult:
        self.requests.append(request)
        scored = tuple(
            Scored(logprobs=tuple(-float(token % 32) for token in ids), greedy=tuple(token < 98 for token in ids))
            for ids in request.continuations
        )
        tokens = len(request.context) + sum(map(len, request.continuations))
        return ScoreResult(scored=scored, layout="resumed", computed_tokens=tokens - 1, reused_tokens=1)

    @asynccontextmanager
    async def watch(self, request: str) -> AsyncIterator[None]:
        self.watched.append(request)
        yield

    @property
    def texts(self) -> list[tuple[str, list[str]]]:
        def text(ids: tuple[int, ...]) -> str:
            return bytes(token for token in ids if token < 256).decode()

        return [(text(request.context), [text(ids) for ids in request.continuations]) for request in self.requests]


async def replied(sequence: Sequence, asked: Asked, *, kind: ModelKind = ModelKind.BASE, **engine: Any) -> list[Reply]:
    """Every turn of the sequence, scored."""
    model = ScriptedEngine(kind=kind, **engine)
    model.score = asked.score  # type: ignore[method-assign]
    entry = ModelEntry(name="m", path=Path("m"), load=LoadSettings(), parameters={}, template=None, reasoning=None)
    replier = LocalReplier(model, entry)
    history: list[TurnRecord] = []
    try:
        dialogue = await replier.open_scoring(a_job(turns_total=len(sequence.turns)), a_run(), sequence, asked.watch)
        replies = []
        for _ in sequence.turns:
            replies.append(await dialogue.reply(history))
            history.append(turn_record(replies[-1], sequence, history, fence=1, worker="w", now=a_run().created_at))
        return replies
    finally:
        await replier.close()


def a_sequence(*turns: dict[str, Any], **changes: Any) -> Sequence:
    return Sequence.model_validate({"id": "s", "mode": "completion", "turns": turns} | changes)


CHOICES = {"prompt": "Q:", "choices": {"texts": ["b", "aa"], "right": [0], "delimiter": " "}}


async def test_choices_share_their_context_and_the_likeliest_is_the_reply() -> None:
    asked = Asked()
    (reply,) = await replied(a_sequence(CHOICES, system="Say."), asked)

    assert asked.texts == [("Say.\n\nQ:", [" b", " aa"])]
    assert asked.watched == ["job1.0.0.0"]
    assert reply.likelihoods is not None
    first, second = reply.likelihoods.choices
    assert (first.logprob, first.tokens, first.characters, first.greedy) == (-2, 2, 1, False)
    assert (second.logprob, second.tokens, second.characters, second.greedy) == (-2, 3, 2, True)
    assert reply.draws[0].reply == "b", "the first of equal ones"
    assert reply.draws[0].reply_tokens == 0
    assert (reply.prompt.tokens, reply.prompt.reused_tokens) == (8 + 5, 1)


async def test_turns_do_not_see_each_other_and_equal_choices_are_no_failure() -> None:
    """The second turn is the first again: its context is its own prompt alone."""
    asked = Asked()
    sequence = a_sequence(CHOICES, CHOICES)
    first, second = await replied(sequence, asked)

    assert asked.texts[0] == asked.texts[1] == ("Q:", [" b", " aa"])
    assert first.draws[0].reply == second.draws[0].reply


async def test_contexts_are_scored_one_by_one() -> None:
    asked = Asked()
    choices = {"texts": ["x", "x"], "right": [1], "contexts": ["A", "B "]}
    (reply,) = await replied(a_sequence({"prompt": "A / B", "choices": choices}), asked)

    assert asked.texts == [("A", ["x"]), ("B", [" x"])], "spaces at its end belong to what follows"
    assert reply.draws[0].reply == "A"
    assert reply.prompt.text == "A"


async def test_a_chat_template_stands_around_the_prompt_where_it_is_asked_for() -> None:
    asked = Asked()
    turn = {"prompt": "Q", "choices": {"texts": ["b", "c"], "right": [0]}}
    await replied(a_sequence(turn, mode="chat"), asked, kind=ModelKind.CHAT)

    ((context, continuations),) = asked.texts
    assert context == "user\nQ\nassistant\n"
    assert continuations == ["b", "c"]


async def test_a_model_without_a_template_cannot_be_asked_for_one() -> None:
    turn = {"prompt": "Q", "choices": {"texts": ["b", "c"], "right": [0]}}
    with pytest.raises(TemplateError, match="no chat template"):
        await replied(a_sequence(turn, mode="chat"), Asked())


async def test_a_text_is_scored_window_by_window() -> None:
    """Each window is a request of its own, so that the lease is renewed while a long text is scored."""
    asked = Asked()
    sequence = a_sequence({"prompt": "abcdefg h"}, mode="perplexity", text_rule={"window": 4})
    (reply,) = await replied(sequence, asked)

    assert asked.requests[0].context == (BOS,)
    assert asked.texts == [("", ["abcd"]), ("d", ["efg "]), ("efg ", ["h"])]
    assert reply.likelihoods is not None
    text = reply.likelihoods.text
    assert text is not None
    assert (text.tokens, text.left_out, text.windows, text.words, text.bytes) == (9, 0, 3, 2, 9)
    assert text.logprob == -sum(ord(letter) % 32 for letter in "abcdefg h")
    assert len(asked.watched) == 3


async def test_what_does_not_fit_the_context_is_refused_with_the_numbers() -> None:
    """Nothing is left out of a context that is scored after: it would be another question."""
    with pytest.raises(ContextError, match="have 45 tokens, and the model was loaded with 32") as refused:
        await replied(a_sequence(CHOICES | {"prompt": "Q" * 42}), Asked(), context=32)

    assert (refused.value.tokens, refused.value.context) == (45, 32)


def test_a_remote_model_tells_no_likelihoods() -> None:
    assert not isinstance(ScriptedReplier([]), LikelihoodModel)
