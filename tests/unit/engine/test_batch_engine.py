"""The engine's public interface and thread on the scripted backend: faults, cancels, limits, drain, and a long soak."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from nightjar.config.errors import ContextError, EngineError, ParameterError
from nightjar.jobs.models import ModelKind
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.backend import Drawn
from nightjar.workers.engine.fake import Faults, ScriptedEngine, ScriptedSampler
from nightjar.workers.engine.markers import Markers
from nightjar.workers.engine.request import Request
from nightjar.workers.engine.scheduler import Scheduler
from nightjar.workers.engine.thread_tuner import ThreadTuner
from tests.workbench import until

THINK = Markers(open="<think>", close="</think>")


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


@pytest.mark.parametrize(("top", "known"), [(0, False), (1, True)])
async def test_log_probabilities_come_where_they_are_asked_for(engine: ScriptedEngine, top: int, known: bool) -> None:
    plain = asked(engine)
    parameters = plain.parameters.model_copy(update={"top_logprobs": top})
    reply = await engine.generate(replace(plain, parameters=parameters))
    assert [entry.token for entry in reply.logprobs] == (list(reply.token_ids) if known else [])
    assert (reply.mean_logprob is not None) is known


async def test_what_is_forced_comes_as_one_piece_and_its_end_is_not_decoded(engine: ScriptedEngine) -> None:
    """Four tokens with each one drawn: the same reply in a fifth of the steps, the last of which decodes its last but
    one piece."""
    plain = await engine.generate(asked(engine, "question"))
    before = engine.backend.decodes
    engine.backend.forced = 4
    reply = await engine.generate(asked(engine, "question"))
    assert (reply.text, reply.token_ids, reply.finish_reason) == (plain.text, plain.token_ids, "stop")
    length = len(reply.token_ids)
    assert engine.backend.decodes - before == -(-length // 5)  # the prompt's, and one for each piece but the last
    assert engine.stats().forced_tokens == length - -(-length // 5)


@pytest.mark.parametrize(("most", "reason"), [(7, "length"), (100, "stop")])
async def test_a_limit_inside_what_is_forced_ends_the_reply_there(
    engine: ScriptedEngine, most: int, reason: str
) -> None:
    engine.backend.forced = 4
    reply = await engine.generate(asked(engine, "question", max_tokens=most))
    assert reply.finish_reason == reason
    assert reply.text == "1 answers question"[:most]
    engine.check_integrity()


async def test_a_grammar_at_its_limits_ends_its_request_alone(
    engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sampler(request: Request) -> ScriptedSampler:
        made = make(request)
        if request.id == "limits":
            stuck = iter([made.draw(0), Drawn(None, ends="grammar")])
            monkeypatch.setattr(made, "draw", lambda row: next(stuck))
        return made

    make = engine.backend.sampler
    monkeypatch.setattr(engine.backend, "sampler", sampler)
    stopped, other = await asyncio.gather(
        engine.generate(asked(engine, "limits")), engine.generate(asked(engine, "other"))
    )
    assert (stopped.text, stopped.finish_reason) == ("1", "grammar")
    assert (other.text, other.finish_reason) == ("1 answers other", "stop")


async def test_a_grammar_is_built_beside_what_others_decode(
    engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is awaited by its own request alone, which may be cancelled meanwhile, or fail."""
    built = threading.Event()

    def prepare(parameters: Parameters) -> None:
        assert built.wait(30)
        if parameters.grammar == "bad":
            raise ParameterError("Parameter 'grammar' cannot be used.")

    monkeypatch.setattr(engine.backend, "ready", lambda parameters: parameters.grammar is None)
    monkeypatch.setattr(engine.backend, "prepare", prepare)
    plain = asked(engine, "first")
    requests = [replace(plain, id=text, parameters=Parameters(grammar=text)) for text in ("good", "bad", "off")]
    good, bad, off = (asyncio.ensure_future(engine.generate(request)) for request in requests)
    assert (await engine.generate(plain)).text == "1 answers first"
    off.cancel()
    await asyncio.sleep(0)
    built.set()
    assert (await good).text == "1 answers first"
    with pytest.raises(ParameterError, match="cannot be used"):
        await bad
    with pytest.raises(asyncio.CancelledError):
        await off
    await until(lambda: engine.stats().slots_used == 0)


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
    """Everyone who waits gets the error, and no new request is accepted."""
    engine = ScriptedEngine(faults=Faults(hang_at=2, heeds_abort=False), patience_s=0.1)
    with pytest.raises(EngineError, match="no progress"):
        await engine.generate(asked(engine))
    with pytest.raises(EngineError, match="Restart the worker"):
        await engine.generate(asked(engine))
    assert engine.stats().failure is not None
    await engine.close()


async def test_what_hangs_outside_a_decode_is_given_up_as_well() -> None:
    """A sampler that never comes to an end, as a grammar's might; closing does not wait for it."""

    def hang(prompt: str, seed: int) -> str:
        if prompt == "hang":
            time.sleep(5)
        return "x" * 500

    engine = ScriptedEngine(hang, patience_s=0.1, token_delay_s=0.001)
    running = asyncio.ensure_future(engine.generate(asked(engine, max_tokens=500)))
    await asyncio.sleep(0.02)
    with pytest.raises(EngineError, match="no progress"):
        await engine.generate(asked(engine, "hang"))
    with pytest.raises(EngineError, match="no progress"):
        await running
    await asyncio.wait_for(engine.close(), 1)


async def test_closing_while_something_hangs_ends_all_the_same() -> None:
    engine = ScriptedEngine(faults=Faults(hang_at=2, heeds_abort=False), patience_s=0.1)
    running = asyncio.ensure_future(engine.generate(asked(engine)))
    await asyncio.sleep(0.05)
    await asyncio.wait_for(engine.close(), 2)
    with pytest.raises(EngineError, match="no progress"):
        await running


@pytest.mark.parametrize(
    ("prompt", "seed", "said"),
    [
        ((72, 259), 1, "token id 259; the model's ids are 0 to 258"),  # one past the vocabulary
        ((-1, 72), 1, "token id -1"),
        ((72,), -1, "seed is -1"),
        ((72,), 2**32 - 1, "seed is 4294967295"),  # llama.cpp would take any
    ],
)
async def test_what_no_model_can_compute_is_refused_and_disturbs_nobody(
    prompt: tuple[int, ...], seed: int, said: str
) -> None:
    engine = ScriptedEngine(lambda *_: "x" * 50, token_delay_s=0.001)
    running = asyncio.ensure_future(engine.generate(asked(engine)))
    await asyncio.sleep(0.01)
    with pytest.raises(ParameterError, match=said):
        await engine.generate(replace(asked(engine, "bad"), prompt=prompt, seed=seed))
    assert (await running).text == "x" * 50
    await engine.close()


async def test_two_event_loops_may_share_an_engine() -> None:
    """Each request's result goes to the loop that asked; a loop that is gone takes its requests with it."""
    engine = ScriptedEngine(lambda prompt, seed: prompt * 10, slots=2, token_delay_s=0.001)

    async def elsewhere() -> str:
        engine.start(asked(engine, "left behind", max_tokens=3000))
        return (await engine.generate(asked(engine, "b"))).text

    def in_a_loop_of_its_own() -> str:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(elsewhere())
        finally:
            loop.close()

    own, other = await asyncio.gather(engine.generate(asked(engine, "a")), asyncio.to_thread(in_a_loop_of_its_own))
    assert (own.text, other) == ("a" * 10, "b" * 10)
    assert (await engine.generate(asked(engine, "c"))).text == "c" * 10
    await until(lambda: not engine.stats().holding)
    assert engine.stats().steps < 1000
    await engine.close()


async def test_texts_of_several_callers_are_embedded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many in one call as there are slots; each caller gets its own; one that is called off is not computed."""
    engine = ScriptedEngine(slots=4, kind=ModelKind.EMBEDDING)
    calls: list[int] = []
    embed = engine.backend.embed

    def slow(texts: Sequence[Sequence[int]]) -> list[list[float]]:
        calls.append(len(texts))
        time.sleep(0.05)
        return embed(texts)

    monkeypatch.setattr(engine.backend, "embed", slow)
    first = asyncio.ensure_future(engine.embed([[1]]))
    await asyncio.sleep(0.01)
    callers = [asyncio.ensure_future(engine.embed([[n], [n, n + 1]])) for n in range(10, 15)]
    off = asyncio.ensure_future(engine.embed([[77]] * 9))
    await asyncio.sleep(0.01)
    assert len(engine.stats().holding) == 1 + 10 + 9
    off.cancel()
    found = await asyncio.gather(*callers)
    await first
    assert calls == [1, 4, 4, 2]
    assert [one[0] for one, _ in found] == [0.0] * 5
    assert [one[n] for n, (one, _) in enumerate(found, 10)] == [1.0] * 5
    assert await engine.drain(1)
    await engine.close()


async def test_a_text_that_fails_is_its_own_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ScriptedEngine(slots=1, kind=ModelKind.EMBEDDING)
    embed = engine.backend.embed

    def picky(texts: Sequence[Sequence[int]]) -> list[list[float]]:
        if [7] in [list(ids) for ids in texts]:
            raise EngineError("no")
        return embed(texts)

    monkeypatch.setattr(engine.backend, "embed", picky)
    good, bad = await asyncio.gather(engine.embed([[1]]), engine.embed([[7]]), return_exceptions=True)
    assert isinstance(good, list)
    assert isinstance(bad, EngineError)
    await engine.close()


async def test_a_mistake_of_the_engine_reaches_everyone_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Running, queued and not yet accepted: nobody waits forever for a thread that is gone."""
    engine = ScriptedEngine(lambda *_: "x" * 3000, slots=1, token_delay_s=0.001)
    waiting = [asyncio.ensure_future(engine.generate(asked(engine, f"p{n}", max_tokens=3000))) for n in range(3)]
    await asyncio.sleep(0.05)
    monkeypatch.setattr(Scheduler, "plan", lambda _: 1 / 0)
    replies = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert all(isinstance(reply, EngineError) for reply in replies)
    assert engine.stats().failure is not None
    await engine.close()


async def test_cancelling_the_caller_frees_the_slot_within_a_step() -> None:
    engine = ScriptedEngine(lambda *_: "x" * 3000, slots=1, token_delay_s=0.001)
    long = asyncio.ensure_future(engine.generate(asked(engine, max_tokens=3000)))
    await asyncio.sleep(0.05)
    steps = engine.stats().steps
    long.cancel()
    short = await engine.generate(asked(engine, "short", max_tokens=2))
    assert short.finish_reason == "length"
    stats = engine.stats()
    assert stats.steps - steps <= 2 + 4  # its own two, the running one, and what came between two lines of this test
    assert stats.dropped_tokens > 0
    assert stats.holding == frozenset()
    await engine.close()


async def test_leaving_a_stream_early_frees_the_slot() -> None:
    engine = ScriptedEngine(lambda *_: "x" * 3000, slots=1, token_delay_s=0.001)
    stream = engine.stream(asked(engine, max_tokens=3000))
    assert await anext(stream) == "x"
    await stream.aclose()  # type: ignore[attr-defined]
    assert (await engine.generate(asked(engine, "y", max_tokens=1))).text == "x"
    assert engine.stats().steps < 100
    await engine.close()


class Tap:
    """Notes each text it is handed."""

    def __init__(self, *, wanted: bool) -> None:
        self.wanted = wanted
        self.texts: list[str] = []
        self.heard = asyncio.Event()

    def take(self, text: str) -> None:
        self.texts.append(text)
        self.heard.set()


async def test_a_tap_hears_the_first_text_at_once_and_all_of_it() -> None:
    """One that is not wanted gets the whole text at the end, unless it is wanted meanwhile: then all so far at once."""
    engine = ScriptedEngine(lambda *_: "abc" * 200, slots=3, token_delay_s=0.001)
    watched, later, never = Tap(wanted=True), Tap(wanted=False), Tap(wanted=False)
    replies = [
        asyncio.create_task(engine.generate(asked(engine, name, max_tokens=600), tap))
        for name, tap in (("watched", watched), ("later", later), ("never", never))
    ]
    await asyncio.wait_for(watched.heard.wait(), 30)
    assert watched.texts[0] == "a"
    later.wanted = True
    await asyncio.wait_for(later.heard.wait(), 30)
    assert not replies[1].done()
    for reply in replies:
        assert (await reply).text == "abc" * 200
    assert ["".join(tap.texts) for tap in (watched, later, never)] == ["abc" * 200] * 3
    assert len(watched.texts) > 2
    assert len(never.texts) == 1
    await engine.close()


async def test_reasoning_markers_may_be_split_over_tokens(engine: ScriptedEngine) -> None:
    """The text keeps the block; splitting it off is the conversation's work."""
    own = ScriptedEngine(lambda *_: "<think>hm</think>Yes.")
    reply = await own.generate(asked(own, reasoning=THINK))
    assert reply.text == "<think>hm</think>Yes."
    await own.close()


@pytest.mark.parametrize(
    ("says", "opened", "text", "stop"),
    [
        ("<think>no. yes.</think>One. Two.", False, "<think>no. yes.</think>One", "."),
        ("no. yes.</think>\n\nOne. Two.", True, "no. yes.</think>\n\nOne", "."),  # the prompt opened the block
        ("One. Two.", False, "One", "."),  # no thoughts
        ("\nOne\nTwo", False, "", "\n"),  # a blank beginning is the answer's
        ("<think>a\nb</think>\n\nOne\nTwo", False, "<think>a\nb</think>\n\nOne", "\n"),  # blanks after a block are not
        ("<thin. ", False, "<thin", "."),  # begins like the marker and is none
        ("<th", False, "<th", "."),  # ends before it is decided
        ("<think>a. b", False, "<think>a. b", "."),
    ],
)
async def test_stop_strings_count_in_the_answer_only(says: str, opened: bool, text: str, stop: str) -> None:
    own = ScriptedEngine(lambda *_: says)
    request = asked(own, reasoning=THINK, reasoning_open=opened)
    reply = await own.generate(replace(request, parameters=Parameters(stop=(stop,))))
    assert reply.text == text
    assert reply.stop_string == (stop if text != says else None)
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


class UpAndDown(ThreadTuner):
    """One thread and two in turn, noting what it is told."""

    def __init__(self) -> None:
        super().__init__(2)
        self.told: list[object] = []

    def step(self, shape: object, took_s: float, now: float) -> int:
        self.told.append(shape)
        self.count = 3 - self.count
        return self.count


async def test_the_number_of_threads_is_set_between_steps_and_told_steps_apart() -> None:
    """A step is told by the conversations that decode and by the prompt tokens that it computes; the device hears only
    of changes."""
    engine = ScriptedEngine(lambda prompt, seed: "abc", slots=3, tuner=(tuner := UpAndDown()))
    await engine.generate(asked(engine, "x" * 40))
    await engine.generate(asked(engine, "y" * 8))
    assert tuner.told == [(0, 2), (1, 0), (1, 0), (1, 0), (0, 0), (1, 0), (1, 0), (1, 0)]
    assert engine.backend.threads == [1, 2, 1, 2, 1, 2, 1, 2]
    assert engine.threads == 2
    assert engine.stats().threads is not None
    await engine.close()


async def test_prompts_that_are_read_are_counted() -> None:
    engine = ScriptedEngine(slots=2, token_delay_s=0.002)
    ticket = engine.start(asked(engine, "x" * 500))
    await until(lambda: 0 < engine.stats().prompts_done < 500)
    stats = engine.stats()
    assert (stats.prompts, stats.prompts_tokens) == (1, 500)
    await ticket
    assert (engine.stats().prompts, engine.stats().prompts_tokens) == (0, 0)
    await engine.close()
