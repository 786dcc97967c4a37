"""The engine's face and thread, on the scripted backend: faults, cancels, limits, drain, and a long soak."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from config.errors import ContextError, EngineError
from jobs.parameters import Parameters
from workers.engine.fake import Faults, ScriptedEngine
from workers.engine.request import Request
from workers.engine.scheduler import Scheduler


def asked(engine: ScriptedEngine, text: str = "Hello", *, max_tokens: int = 100, seed: int = 1, **more: Any) -> Request:
    return Request(
        id=text,
        prompt=tuple(engine.tokenizer.tokenize(text, parse_special=True)),
        max_tokens=max_tokens,
        parameters=Parameters(max_tokens=max_tokens),
        seed=seed,
        **more,
    )


@pytest.fixture(name="engine")
async def an_engine() -> AsyncIterator[ScriptedEngine]:
    engine = ScriptedEngine(lambda prompt, seed: f"{seed} answers {prompt}", slots=3)
    yield engine
    await engine.close()


async def test_each_gets_its_own_reply(engine: ScriptedEngine) -> None:
    replies = await asyncio.gather(*(engine.generate(asked(engine, f"p{n}", seed=n)) for n in range(20)))
    assert [reply.text for reply in replies] == [f"{n} answers p{n}" for n in range(20)]
    assert {reply.finish_reason for reply in replies} == {"stop"}


async def test_timings_are_split_exactly(engine: ScriptedEngine) -> None:
    """Queue, prefill and decode add up; the first token comes after queue and prefill."""
    reply = await engine.generate(asked(engine))
    timings = reply.timings
    assert timings.first_token_s == pytest.approx(timings.queue_s + timings.prefill_s)
    assert timings.decode_s > 0


async def test_prompts_that_cannot_fit_are_refused(engine: ScriptedEngine) -> None:
    with pytest.raises(ContextError, match="no tokens"):
        await engine.generate(asked(engine, ""))
    with pytest.raises(ContextError, match=r"5000 tokens.*4096"):
        await engine.generate(asked(engine, "x" * 5000))


async def test_a_failed_decode_fails_what_ran_and_nothing_else() -> None:
    """The next request runs on the same engine, from an empty cache."""
    engine = ScriptedEngine(slots=2, faults=Faults(raise_at=3))
    replies = await asyncio.gather(
        *(engine.generate(asked(engine, f"question {n}")) for n in range(4)), return_exceptions=True
    )
    failed = [reply for reply in replies if isinstance(reply, EngineError)]
    assert len(failed) == 2
    assert (await engine.generate(asked(engine, "again"))).text
    await engine.close()


async def test_a_decode_that_hangs_is_aborted() -> None:
    engine = ScriptedEngine(faults=Faults(hang_at=2), patience_s=0.1)
    with pytest.raises(EngineError, match="aborted"):
        await engine.generate(asked(engine))
    assert (await engine.generate(asked(engine, "again"))).text
    await engine.close()


async def test_an_engine_that_cannot_be_aborted_is_given_up() -> None:
    """Everyone who waits hears of it, and nobody is let in any more."""
    engine = ScriptedEngine(faults=Faults(hang_at=2, heeds_abort=False), patience_s=0.1)
    with pytest.raises(EngineError, match="no progress"):
        await engine.generate(asked(engine))
    with pytest.raises(EngineError, match="Restart the worker"):
        await engine.generate(asked(engine))
    assert engine.stats().failure is not None
    await engine.close()


async def test_a_mistake_of_the_engine_reaches_everyone_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Running, queued and not yet taken in: nobody waits for ever on a thread that is gone."""
    engine = ScriptedEngine(lambda *_: "x" * 3000, slots=1, token_delay_s=0.001)
    waiting = [asyncio.ensure_future(engine.generate(asked(engine, f"p{n}", max_tokens=3000))) for n in range(3)]
    await asyncio.sleep(0.05)
    monkeypatch.setattr(Scheduler, "plan", lambda _: 1 / 0)
    replies = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert all(isinstance(reply, EngineError) for reply in replies)
    assert engine.stats().failure is not None
    await engine.close()


async def test_cancelling_the_caller_frees_the_slot() -> None:
    engine = ScriptedEngine(lambda *_: "x" * 3000, slots=1, token_delay_s=0.001)
    long = asyncio.ensure_future(engine.generate(asked(engine, max_tokens=3000)))
    await asyncio.sleep(0.05)
    long.cancel()
    short = await asyncio.wait_for(engine.generate(asked(engine, "short", max_tokens=2)), 5)
    assert short.finish_reason == "length"
    assert engine.stats().holding == frozenset()
    await engine.close()


async def test_leaving_a_stream_early_frees_the_slot() -> None:
    engine = ScriptedEngine(lambda *_: "x" * 3000, slots=1, token_delay_s=0.001)
    stream = engine.stream(asked(engine, max_tokens=3000))
    assert await anext(stream) == "x"
    await stream.aclose()  # type: ignore[attr-defined]
    assert (await asyncio.wait_for(engine.generate(asked(engine, "y", max_tokens=1)), 5)).text == "x"
    await engine.close()


async def test_reasoning_markers_may_be_split_over_tokens(engine: ScriptedEngine) -> None:
    """The text keeps the block; splitting it off is the conversation's work."""
    own = ScriptedEngine(lambda *_: "<think>hm</think>Yes.")
    reply = await own.generate(asked(own, reasoning=("<think>", "</think>")))
    assert reply.text == "<think>hm</think>Yes."
    await own.close()


async def test_closing_ends_what_runs_as_cancelled() -> None:
    engine = ScriptedEngine(lambda *_: "x" * 3000, token_delay_s=0.001)
    running = asyncio.ensure_future(engine.generate(asked(engine, max_tokens=3000)))
    await asyncio.sleep(0.05)
    await engine.close()
    assert (await running).finish_reason == "cancelled"
    with pytest.raises(EngineError, match="closed"):
        await engine.generate(asked(engine))


async def test_draining_lets_running_requests_end() -> None:
    engine = ScriptedEngine(lambda *_: "done", token_delay_s=0.001)
    running = asyncio.ensure_future(engine.generate(asked(engine)))
    await asyncio.sleep(0)
    assert await engine.drain(5)
    assert (await running).text == "done"
    with pytest.raises(EngineError, match="draining"):
        await engine.generate(asked(engine))
    await engine.close()


async def test_draining_has_a_limit() -> None:
    engine = ScriptedEngine(lambda *_: "x" * 3000, token_delay_s=0.005)
    running = asyncio.ensure_future(engine.generate(asked(engine, max_tokens=3000)))
    await asyncio.sleep(0.02)
    assert not await engine.drain(0.05)
    await engine.close()
    assert (await running).finish_reason == "cancelled"


async def test_a_soak_keeps_memory_flat_and_nothing_behind() -> None:
    """Equal rounds of requests, cancels among them: a later round leaves no more memory taken than an earlier one."""
    engine = ScriptedEngine(lambda prompt, seed: "ok" * (seed % 4), slots=4, context=256)

    async def one(number: int) -> None:
        task = asyncio.ensure_future(engine.generate(asked(engine, f"shared start {number % 50}", seed=number)))
        if number % 17 == 0:
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def a_round() -> int:
        for first in range(0, 320, 16):
            await asyncio.gather(*(one(first + number) for number in range(16)))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    await a_round()
    before = await a_round()
    grown = await a_round() - before
    tracemalloc.stop()
    assert await engine.drain(5)
    engine.check_integrity()
    assert engine.backend.open_samplers == 0
    assert engine.stats().requests_done == 960
    assert grown < 20_000
    await engine.close()
