"""Given texts, scored: whatever shares a cache or a decode, each value is what the text gives by itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.config.errors import ContextError, EngineError, ModelError, NightjarError, ParameterError
from nightjar.jobs.models import ModelKind
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine import scoring
from nightjar.workers.engine.fake import VOCABULARY, ScriptedEngine
from nightjar.workers.engine.fake_scores import ScriptedScoreDevice, scripted_row
from nightjar.workers.engine.request import Request, Scored, ScoreRequest
from nightjar.workers.engine.score_rows import row_values
from nightjar.workers.library.fit.estimate import SCORING_ROWS

Ids = tuple[int, ...]


def alone(context: Ids, continuation: Ids, top: int = 0) -> Scored:
    """What a continuation is worth, each row computed from its own ids."""
    values = [
        row_values(scripted_row((*context, *continuation[:at]), VOCABULARY), [token], top)[0]
        for at, token in enumerate(continuation)
    ]
    return Scored(
        logprobs=tuple(value.logprob for value in values),
        greedy=tuple(value.greedy for value in values),
        likeliest=tuple(value.likeliest for value in values) if top else (),
    )


def asked(context: Ids, *continuations: Ids, id_: str = "s", top: int = 0) -> ScoreRequest:
    return ScoreRequest(id=id_, context=context, continuations=continuations, top=top)


def resuming(engine: ScriptedEngine, *, shares: bool = True) -> None:
    """As under `reproducible`, on a device where cuts make no difference, or where they do."""
    limits = engine.backend.limits
    engine.backend.limits = replace(limits, fixed_pieces=8, can_trim=shares, can_copy=shares)


def device(engine: ScriptedEngine) -> ScriptedScoreDevice:
    return engine.backend.score_devices[-1]


HEADER = tuple(range(40))
QUESTIONS = [(*HEADER, 100 + number, 101 + number) for number in range(4)]
ANSWERS = ((1, 2, 3), (1, 2, 4), (5,), (6, 7))


async def test_answers_share_their_context_and_their_beginnings() -> None:
    async with ScriptedEngine() as engine:
        result = await engine.score(asked(QUESTIONS[0], *ANSWERS))
        assert result.scored == tuple(alone(QUESTIONS[0], answer) for answer in ANSWERS)
        assert result.layout == "branches"
        assert result.computed_tokens == len(QUESTIONS[0]) + len([1, 2, 6])  # no answer's last token is computed
        assert device(engine).computed == result.computed_tokens


async def test_one_token_answers_take_one_row_of_the_context() -> None:
    async with ScriptedEngine() as engine:
        result = await engine.score(asked(QUESTIONS[0], (1,), (2,), (1,)))
        assert result.scored == tuple(alone(QUESTIONS[0], (token,)) for token in (1, 2, 1))
        assert (result.computed_tokens, result.reused_tokens) == (len(QUESTIONS[0]), 0)


@pytest.mark.parametrize("at_once", [True, False])
async def test_questions_share_their_header(at_once: bool) -> None:
    """Together in one batch or one after the other: every distinct cell is computed once."""
    async with ScriptedEngine() as engine:
        requests = [asked(question, *ANSWERS, id_=f"{number}") for number, question in enumerate(QUESTIONS)]
        if at_once:
            results = await asyncio.gather(*map(engine.score, requests))
        else:
            results = [await engine.score(request) for request in requests]
        for question, result in zip(QUESTIONS, results, strict=True):
            assert result.scored == tuple(alone(question, answer) for answer in ANSWERS)
        assert device(engine).computed == len(HEADER) + len(QUESTIONS) * (2 + 3)
        assert sum(result.computed_tokens for result in results) == device(engine).computed


@pytest.mark.parametrize("shares", [True, False])
async def test_resumed_one_after_the_other(shares: bool) -> None:
    """Cut every eight ids, and where the context ends, whether or not anything of it is in the cache."""
    async with ScriptedEngine() as engine:
        resuming(engine, shares=shares)
        results = [await engine.score(asked(question, *ANSWERS)) for question in QUESTIONS]
        for question, result in zip(QUESTIONS, results, strict=True):
            assert result.scored == tuple(alone(question, answer) for answer in ANSWERS)
            assert result.layout == "resumed"
        first = [8, 8, 8, 8, 8, 2, 2]  # the header, the question, and what the first two answers share
        last = [1] if shares else [*first[:-1], 1]  # nothing of the one-token answer, and half of the last
        later = first[5:] if shares else first
        assert device(engine).runs == [*first, *last, *([*later, *last] * 3)]


ids = st.lists(st.integers(0, 1), min_size=1, max_size=20).map(tuple)
requests_to_score = st.lists(
    st.tuples(ids, st.lists(ids, min_size=1, max_size=5).map(tuple), st.integers(0, 3)), min_size=1, max_size=8
)


@given(
    requests_to_score,
    st.sampled_from(["branches", "resumed", "nothing shared"]),
    st.integers(16, 40),
    st.sets(st.integers(0, 7)),
    st.booleans(),
)
async def test_values_are_each_texts_own(
    texts: list[tuple[Ids, tuple[Ids, ...], int]], layout: str, room: int, cancelled: set[int], at_once: bool
) -> None:
    """Texts over two ids begin alike in every way; the cache has room for few; some callers go away."""
    async with ScriptedEngine(context=40, n_batch=16) as engine:
        if layout != "branches":
            resuming(engine, shares=layout == "resumed")
        engine.backend.score_room = room - 16
        tasks = []
        for number, (context, continuations, top) in enumerate(texts):
            request = asked(context, *continuations, id_=f"{number}", top=top)
            tasks.append(asyncio.ensure_future(engine.score(request)))
            await asyncio.sleep(0)
            if number in cancelled:
                tasks[-1].cancel()
            if not at_once:
                await asyncio.wait([tasks[-1]])
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result, (context, continuations, top) in zip(results, texts, strict=True):
            if isinstance(result, asyncio.CancelledError):
                continue
            assert not isinstance(result, BaseException), result
            assert result.scored == tuple(alone(context, continuation, top) for continuation in continuations)
            assert result.computed_tokens >= 0
            assert result.reused_tokens >= 0
        assert await engine.drain(60)
        engine.check_integrity()


async def test_a_window_of_text_is_scored_piece_by_piece() -> None:
    """A continuation of any length gives its rows in decodes of at most 256."""
    window = tuple(at * 7 % 250 for at in range(900))
    async with ScriptedEngine(context=1024, n_batch=512) as engine:
        [scored] = (await engine.score(asked(window[:1], window[1:]))).scored
        assert len(scored.logprobs) == 899
        assert scored.logprobs[-1] == alone(window[:-1], window[-1:]).logprobs[0]
        assert max(device(engine).runs) <= SCORING_ROWS
        whole = await engine.score(asked(window, (*range(1024 - 900), 5)))
        assert len(whole.scored[0].logprobs) == 125, "its last token needs no place"


async def test_conversations_go_on_beside_texts() -> None:
    """Each piece lets a conversation take at least as much time as it took."""
    async with ScriptedEngine(lambda *_: "word " * 40, token_delay_s=0.001) as engine:
        reply = Request(id="r", prompt=(1, 2), max_tokens=200, parameters=Parameters(max_tokens=200), seed=1)
        window = tuple(range(250)) * 8
        talking = asyncio.create_task(engine.generate(reply))
        scoring_task = asyncio.create_task(engine.score(asked(window[:1], window[1:])))
        generation = await talking
        assert len(generation.token_ids) == 200
        assert len((await scoring_task).scored[0].logprobs) == len(window) - 1


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (asked((), (1,)), ContextError, "The context has no tokens"),
        (asked((1,), ()), ContextError, "The continuation has no tokens"),
        (asked((1,), (2,), ()), ContextError, "Continuation 2 has no tokens"),
        (asked((1,)), ParameterError, "no continuation"),
        (asked((1,), (VOCABULARY,)), ParameterError, f"ids are 0 to {VOCABULARY - 1}"),  # another vocabulary's
        (asked((1, -1), (1,)), ParameterError, "The context has the token id -1"),
        (asked((1,) * 60, (1,) * 6), ContextError, "with its context has 65 tokens and the context holds 64"),
    ],
)
async def test_what_cannot_be_scored_is_refused(request_: ScoreRequest, error: type[NightjarError], words: str) -> None:
    async with ScriptedEngine(context=64) as engine:
        with pytest.raises(error, match=words):
            await engine.score(request_)
        assert (await engine.score(asked((1,) * 60, (1,) * 5))).scored, "as long as the context allows"


async def test_an_embedding_model_says_nothing_of_texts() -> None:
    async with ScriptedEngine(kind=ModelKind.EMBEDDING) as engine:
        with pytest.raises(ModelError, match="embedding model"):
            await engine.score(asked((1,), (2,)))


async def test_a_failed_decode_fails_what_was_begun_and_nothing_else() -> None:
    async with ScriptedEngine() as engine:
        first = await engine.score(asked((1, 2), (3,)))
        device(engine).fails = True
        with pytest.raises(EngineError, match="as it was told to"):
            await engine.score(asked((1, 2), (4, 5)))
        again = await engine.score(asked((1, 2), (3,)))
        assert again.scored == first.scored


async def test_the_context_is_closed_when_there_were_no_texts_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedEngine() as engine:
        assert engine.backend.score_devices == [], "made on first use"
        monkeypatch.setattr(scoring, "IDLE_S", 0.02)
        await engine.score(asked((1, 2), (3,)))
        async with asyncio.timeout(30):
            while not device(engine).closed:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.01)
        assert (await engine.score(asked((1, 2), (3,)))).computed_tokens == 2
        assert len(engine.backend.score_devices) == 2


async def test_closing_the_engine_cancels_what_is_scored() -> None:
    engine = ScriptedEngine(context=4096)
    window = tuple(range(250)) * 16
    task = asyncio.create_task(engine.score(asked(window[:1], window[1:])))
    await asyncio.sleep(0)
    await engine.close()
    with pytest.raises((asyncio.CancelledError, EngineError)):
        await task


async def test_the_likeliest_ids_are_told_where_they_are_asked_for() -> None:
    async with ScriptedEngine() as engine:
        [scored] = (await engine.score(asked((1,), (2, 3), top=3))).scored
        for row in scored.likeliest:
            assert len(row) == 3
            assert all(first[1] >= second[1] for first, second in pairwise(row))
        assert scored == alone((1,), (2, 3), top=3)
