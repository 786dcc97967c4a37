"""The engine on the bundled model: real llama.cpp, one thread."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import pairwise
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from nightjar.config.errors import ContextError, EngineError, ModelFileError, ModelFitError, ParameterError
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine import reproducible, together
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.llama.backend import LlamaBackend
from nightjar.workers.engine.llama.context import ContextSettings
from nightjar.workers.engine.llama.model import LlamaModel
from nightjar.workers.engine.load_progress import LoadProgress
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.markers import Markers
from nightjar.workers.engine.request import Generation, Request
from nightjar.workers.engine.slots import Piece
from nightjar.workers.engine.ticket import RequestTicket
from nightjar.workers.library.inspect import read_facts
from tests.demo_engine import DEMO, demo_engine, opened
from tests.workbench import until

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "score": {"type": "integer", "minimum": 1, "maximum": 10},
        "why": {"type": "string", "maxLength": 20},
    },
    "required": ["score", "why"],
    "additionalProperties": False,
}


@pytest.fixture(name="engine")
async def an_engine() -> AsyncIterator[BatchEngine]:
    async with demo_engine() as engine:
        yield engine


def asked(engine: BatchEngine, text: str, *, max_tokens: int = 40, seed: int = 1, **more: Any) -> Request:
    written = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    fields = {name: more.pop(name) for name in ("reasoning", "reasoning_open", "final") if name in more}
    return Request(
        id=text,
        prompt=tuple(engine.tokenizer.tokenize(written, parse_special=True)),
        max_tokens=max_tokens,
        parameters=Parameters(max_tokens=max_tokens, **more),
        seed=seed,
        **fields,
    )


async def test_a_path_is_enough_to_load_a_model() -> None:
    """Named after its file, with settings chosen for this machine, and closed when the block is left."""
    async with await load(DEMO) as engine:
        assert engine.facts.name == "nightjar-demo"
        assert engine.count_tokens("Tell me a story.") == len(engine.tokenize("Tell me a story.")) > 3
        request = asked(engine, "Hello.", max_tokens=3)
        assert (await engine.generate(request)).text
    with pytest.raises(EngineError, match="closed"):
        await engine.generate(request)
    with pytest.raises(EngineError, match="closed"):
        engine.tokenize("A thread that plans a prompt may be late.")


async def test_many_at_once_each_get_their_own_reply(engine: BatchEngine) -> None:
    """Twenty requests through four slots; what is shared is copied, and every slot is free in the end."""
    requests = [
        asked(engine, f"Tell me a story about a fox named {name}.", seed=n) for n, name in enumerate("ABCDE" * 4)
    ]
    replies = await asyncio.gather(*(engine.generate(request) for request in requests))
    assert all(reply.text for reply in replies)
    assert sum(reply.reused_tokens for reply in replies) > 0
    stats = engine.stats()
    assert (stats.slots_used, stats.waiting, stats.requests_done) == (0, 0, 20)


async def test_text_is_that_of_the_ids_and_streams_in_whole(engine: BatchEngine) -> None:
    request = asked(engine, "Tell me a story.")
    streamed = "".join([text async for text in engine.stream(request)])
    whole = await engine.generate(request)
    assert streamed == whole.text == engine.tokenizer.detokenize(whole.token_ids)


async def test_end_of_turn_ends_the_reply(engine: BatchEngine) -> None:
    reply = await engine.generate(asked(engine, "Tell me a story.", max_tokens=400, temperature=0))
    assert reply.finish_reason == "stop"
    assert "<|im_end|>" not in reply.text


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"max_tokens": 3}, "length"),
        ({"max_tokens": 400, "time_limit_s": 0.000001}, "timeout"),
    ],
)
async def test_limits(engine: BatchEngine, parameters: dict[str, Any], reason: str) -> None:
    reply = await engine.generate(asked(engine, "Tell me a story.", **parameters))
    assert reply.finish_reason == reason


async def test_stop_strings_never_leak(engine: BatchEngine) -> None:
    whole = await engine.generate(asked(engine, "Tell me a story.", temperature=0, max_tokens=60))
    stop = whole.text[30:36]
    cut = await engine.generate(asked(engine, "Tell me a story.", temperature=0, max_tokens=60, stop=(stop,)))
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert (cut.finish_reason, cut.stop_string) == ("stop", stop)


async def test_a_prompt_may_fill_the_context_to_the_last_token(engine: BatchEngine) -> None:
    """One token more is refused, with the numbers."""
    full = Request(id="full", prompt=(300,) * 512, max_tokens=10, parameters=Parameters(), seed=1)
    reply = await engine.generate(full)
    assert (reply.finish_reason, len(reply.token_ids)) == ("context", 1)
    with pytest.raises(ContextError, match=r"513 tokens.*512"):
        await engine.generate(Request(id="over", prompt=(300,) * 513, max_tokens=1, parameters=Parameters(), seed=1))


async def test_a_reply_may_use_all_that_remains(engine: BatchEngine) -> None:
    request = Request(
        id="tight", prompt=(300,) * 500, max_tokens=12, parameters=Parameters(max_tokens=100), seed=1, ignore_end=True
    )
    reply = await engine.generate(request)
    assert (reply.finish_reason, len(reply.token_ids)) == ("context", 12)


async def test_later_turns_compute_only_what_is_new(engine: BatchEngine) -> None:
    first = asked(engine, "Tell me a story about a fox named Mira.")
    reply = await engine.generate(first)
    rest = tuple(engine.tokenizer.tokenize("<|im_end|>\n<|im_start|>user\nGo on.<|im_end|>\n", parse_special=True))
    second = Request(
        id="2", prompt=first.prompt + reply.token_ids + rest, max_tokens=8, parameters=Parameters(), seed=1
    )
    answer = await engine.generate(second)
    assert answer.reused_tokens >= len(first.prompt) + len(reply.token_ids) - 1


async def test_json_schema_is_always_valid(engine: BatchEngine) -> None:
    """Ended verdicts parse and have the required keys; plain requests beside them are not disturbed."""
    plain = asked(engine, "Tell me a story.", seed=7)
    before = await engine.generate(plain)
    verdicts = [
        asked(engine, "Judge it.", seed=n, max_tokens=120, json_schema=SCHEMA, temperature=1.5) for n in range(24)
    ]
    *replies, between = await asyncio.gather(*(engine.generate(request) for request in [*verdicts, plain]))
    assert between.finish_reason == before.finish_reason
    ended = [reply for reply in replies if reply.finish_reason == "stop"]
    assert len(ended) >= 20
    for reply in ended:
        verdict = json.loads(reply.text)
        assert set(verdict) == {"score", "why"}
        assert 1 <= verdict["score"] <= 10


async def test_reasoning_ends_at_its_budget_and_the_schema_begins_after_it(engine: BatchEngine) -> None:
    request = asked(
        engine,
        "Judge it.",
        max_tokens=150,
        json_schema=SCHEMA,
        reasoning_budget=6,
        reasoning=Markers(open="<think>", close="</think>"),
        reasoning_open=True,
    )
    reply = await engine.generate(request)
    thought, _, answer = reply.text.partition("</think>")
    assert len(engine.tokenizer.tokenize(thought, parse_special=False)) <= 8
    assert set(json.loads(answer)) == {"score", "why"}


async def test_a_model_that_ends_inside_its_thoughts_still_owes_the_answer(engine: BatchEngine) -> None:
    """The end token is likeliest all along: thoughts are closed, and the grammar lets it come after the answer."""
    (end,) = engine.tokenizer.tokenize("<|im_end|>", parse_special=True)
    request = asked(
        engine,
        "Judge it.",
        max_tokens=150,
        json_schema=SCHEMA,
        reasoning=Markers(open="<think>", close="</think>"),
        reasoning_open=True,
        logit_bias={end: 100.0},
    )
    reply = await engine.generate(request)
    assert reply.text.startswith("</think>{")
    assert set(json.loads(reply.text.removeprefix("</think>"))) == {"score", "why"}


async def test_log_probabilities_are_those_of_the_model(engine: BatchEngine) -> None:
    """One entry for each id, the end token not among them; they are the softmax of what the model computes."""
    whole = await engine.generate(asked(engine, "Tell me a story.", temperature=0, top_logprobs=1, max_tokens=400))
    assert whole.finish_reason == "stop"
    assert [entry.token for entry in whole.logprobs] == list(whole.token_ids)
    reply = await engine.generate(asked(engine, "Tell me a story.", temperature=0, top_logprobs=3, max_tokens=10))
    assert [entry.token for entry in reply.logprobs] == [entry.top[0][0] for entry in reply.logprobs]
    everything = asked(engine, "Tell me a story.", temperature=0, top_logprobs=100, max_tokens=10)
    mass = [sum(exp(value) for _, value in entry.top) for entry in (await engine.generate(everything)).logprobs]
    assert all(0.5 < share <= 1.0001 for share in mass)
    assert all(entry.top[0][1] >= entry.top[1][1] >= entry.top[2][1] for entry in reply.logprobs)
    assert reply.mean_logprob is not None
    assert reply.mean_logprob == pytest.approx(sum(e.logprob for e in reply.logprobs) / len(reply.logprobs))
    assert reply.mean_logprob < 0


@pytest.mark.parametrize(
    "parameters",
    [
        {"repeat_penalty": 1.5, "repeat_last_n": -1},
        {"frequency_penalty": 2.0, "repeat_last_n": -1},
        {"presence_penalty": 2.0, "repeat_last_n": -1},
        {"dry_multiplier": 5.0, "dry_allowed_length": 1, "dry_sequence_breakers": ()},
        {"dry_multiplier": 5.0, "dry_allowed_length": 1, "dry_sequence_breakers": (",",)},
    ],
)
async def test_penalties_make_a_text_repeat_less(engine: BatchEngine, parameters: dict[str, Any]) -> None:
    """Greedy, so that nothing but the penalty changes the text; the same request again gives the same one."""
    length = {"temperature": 0, "max_tokens": 200}
    request = replace(asked(engine, "Tell me a story.", **length), ignore_end=True)
    changed = replace(request, parameters=request.parameters.model_copy(update=parameters))
    plain, first, second = [await engine.generate(each) for each in (request, changed, changed)]
    assert first.token_ids == second.token_ids
    assert len(set(pairwise(first.token_ids))) > len(set(pairwise(plain.token_ids)))


async def test_a_bias_bans_or_forces_a_token(engine: BatchEngine) -> None:
    (token,) = engine.tokenizer.tokenize("a", parse_special=False)
    forced = await engine.generate(asked(engine, "Hello.", max_tokens=5, logit_bias={token: 100.0}))
    assert forced.token_ids == (token,) * 5
    plain = await engine.generate(asked(engine, "Tell me a story.", temperature=0, max_tokens=30))
    ban = plain.token_ids[0]
    without = await engine.generate(
        asked(engine, "Tell me a story.", temperature=0, max_tokens=30, logit_bias={ban: -100.0})
    )
    assert ban not in without.token_ids


async def test_a_bad_grammar_fails_its_own_request_only(engine: BatchEngine) -> None:
    good = asyncio.ensure_future(engine.generate(asked(engine, "Tell me a story.")))
    with pytest.raises(ParameterError, match="grammar"):
        await engine.generate(asked(engine, "x", grammar="root ::= undefined-rule"))
    with pytest.raises(ParameterError, match="json_schema"):
        await engine.generate(asked(engine, "x", json_schema={"type": "no such type"}))
    assert (await good).text


async def test_cancelling_frees_the_slot() -> None:
    """The slot is another's at once, long before the 400 tokens would have been through."""
    engine = await opened(slots=1)
    request = replace(asked(engine, "Tell me a story.", max_tokens=400), ignore_end=True)
    long = engine.start(request, streaming=True)
    await anext(aiter(long))
    assert engine.stats().holding == {"Tell me a story."}
    waiting = asyncio.ensure_future(_result(long))
    await asyncio.sleep(0)
    waiting.cancel()
    reply = await engine.generate(asked(engine, "Hello.", max_tokens=2))
    assert reply.text
    stats = engine.stats()
    assert stats.slots_used == 0
    assert 0 < stats.dropped_tokens < 200
    assert stats.decode_tokens < 200
    await engine.close()


async def _result(ticket: RequestTicket) -> Generation:
    return await ticket


async def test_same_seed_same_text_with_one_slot_and_flash_attention_off() -> None:
    texts = []
    for _ in range(2):
        engine = await opened(slots=1, flash_attention=False)
        texts.append([(await engine.generate(asked(engine, "Tell me a story.", seed=s))).text for s in (1, 2, 1)])
        await engine.close()
    assert texts[0] == texts[1]
    assert texts[0][0] == texts[0][2]
    assert texts[0][0] != texts[0][1]


@pytest.mark.parametrize("exact", [True, False])
async def test_reproducible_texts_do_not_depend_on_company(exact: bool) -> None:
    """32 two-turn conversations at once equal the same ones one at a time, resumed ones included: the texts, and the
    log-probabilities to the last bit. The control: without it not all of those are the same."""
    engine = await opened(slots=8, reproducible=exact)
    assert engine.load.flash_attention is not exact

    async def conversation(number: int) -> list[tuple[str, float | None]]:
        text = f"Tell me a story about hero {number % 20}." + " It is a long story." * (60 * (number % 2))
        first = asked(engine, text, seed=number, max_tokens=24, top_logprobs=1)
        one = await engine.generate(first)
        two = await engine.generate(_second(engine, first, one, number))
        return [(reply.text, reply.mean_logprob) for reply in (one, two)]

    together = await asyncio.gather(*(conversation(number) for number in range(32)))
    apart = [await conversation(number) for number in range(32)]
    assert (together == apart) is exact
    await engine.close()


async def test_what_reproducible_costs_is_measured_with_the_speed_and_not_before_the_first_reply(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def early(*_: object) -> float:
        raise AssertionError("before the first reply")

    with monkeypatch.context() as patched:
        patched.setattr(reproducible, "decode_rate", early)
        patched.setattr(together, "decode_rate", early)
        exact = await opened(slots=2, reproducible=True)
        await exact.generate(asked(exact, "Tell me a story.", max_tokens=2))
    cost = (await exact.probe()).reproducible_cost
    assert cost is not None
    assert 0 <= cost < 1
    await exact.close()
    engine = await opened(slots=2)
    assert "reproducible_cost" not in (await engine.probe()).model_dump()
    await engine.close()


async def test_a_check_of_a_device_says_how_far_it_is_and_can_be_given_up() -> None:
    """What is shown grows up to the end; Ctrl-C ends it within a decode, and the next load is as any other."""

    class Watched(LoadProgress):
        def check(self, share: float) -> None:
            seen.append(share)
            if at is not None and share > at:
                loading.get_loop().call_soon_threadsafe(loading.cancel)
                until_given_up.wait(10)
            super().check(share)

        def give_up(self) -> None:
            super().give_up()
            until_given_up.set()

    for at in (None, 0.3):
        seen: list[float] = []
        until_given_up = threading.Event()
        progress = Watched()
        settings = LoadSettings(slots=3, context=512, reproducible=True)
        coming = load(DEMO, settings=settings, facts=read_facts(DEMO, "demo"), gpu="none", progress=progress)
        loading = asyncio.ensure_future(coming)
        if at is None:
            await (await loading).close()
            assert progress.doing.sentence.startswith("checking that its replies can be reproduced, ")
            assert seen == sorted(seen)
            assert 0.9 < seen[-1] <= 1
            whole = len(seen)
        else:
            with pytest.raises(asyncio.CancelledError):
                await loading
            await until(lambda: progress.abort is None)  # noqa: B023
            assert len(seen) < 0.5 * whole


async def test_where_a_device_fails_the_probe_each_conversation_is_computed_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on most GPUs: one conversation per decode, in equal chunks, nothing shared; and texts as one at a time."""
    monkeypatch.setattr(reproducible, "logit_differences", lambda *_: ["a full batch"])
    engine = await opened(slots=4, reproducible=True)
    assert engine.load.reproducible_alone
    requests = [asked(engine, "Tell me a story." * (30 * (n % 2) + 1), seed=n, max_tokens=12) for n in range(8)]
    together = await asyncio.gather(*(engine.generate(request) for request in requests))
    steps = engine.stats().steps
    assert steps >= 8 * 12
    assert [reply.reused_tokens for reply in together[:4]] == [0] * 4
    apart = [(await engine.generate(request)).text for request in requests]
    assert [reply.text for reply in together] == apart
    await engine.close()


class RoundsInCompany(LlamaBackend):
    """Computes one token of many otherwise, by a bit, when others are computed with it, as some kernels do."""

    every = 0
    """One of so many; 0: none."""

    def decode(self, pieces: Sequence[Piece]) -> list[int]:
        rows = super().decode(pieces)
        self.rounded = [
            row for piece, row in zip(pieces, rows, strict=True) if self.every and piece.start % self.every == 0
        ]
        if len(pieces) == 1:
            self.rounded = []
        return rows

    def logits(self, row: int) -> npt.NDArray[np.float32]:
        logits = super().logits(row).copy()
        if row in self.rounded:
            logits[7] = np.nextafter(logits[7], np.float32(1e9))
        return logits


@pytest.mark.parametrize(("every", "expected"), [(0, []), (200, ["others beside it"])])
def test_the_probe_sees_what_depends_on_company(every: int, expected: list[str]) -> None:
    """A bit in one token of two hundred is enough; without flash attention and such a kernel nothing differs."""
    settings = ContextSettings(
        context=512,
        slots=3,
        n_batch=512,
        n_ubatch=64,
        threads=1,
        flash_attention=False,
        offload_kv=False,
        cache_type_k="f16",
        cache_type_v="f16",
    )
    backend = RoundsInCompany(LlamaModel(DEMO, gpu_layers=0, mmap=True, mlock=False), settings)
    backend.every = every
    found = reproducible.logit_differences(backend, 64)
    backend.close()
    assert found == expected


def _second(engine: BatchEngine, first: Request, reply: Generation, seed: int) -> Request:
    rest = engine.tokenizer.tokenize(
        "<|im_end|>\n<|im_start|>user\nGo on.<|im_end|>\n<|im_start|>assistant\n", parse_special=True
    )
    start = len(first.prompt)
    return Request(
        id=f"{first.id}/2",
        prompt=first.prompt + reply.token_ids + tuple(rest),
        max_tokens=24,
        parameters=Parameters(max_tokens=24, top_logprobs=1),
        seed=seed,
        replies=((start, start + len(reply.token_ids)),),
    )


async def test_speed_is_probed_alone_and_by_the_number_of_conversations(engine: BatchEngine) -> None:
    """One conversation within the context; then as many as may be best, more than there are slots too. What is served
    goes on as if nothing had been."""
    before = await engine.generate(asked(engine, "Tell me a story.", max_tokens=12))
    probe = await engine.probe()
    assert max(probe.prompt_tokens, probe.generated_tokens) <= 512
    assert set(probe.by_slots) == {1, 2, 4, 8, 16}
    assert (probe.slots, probe.all_slots_decode_tokens_per_s) == (4, probe.by_slots[4])
    assert min(probe.prefill_tokens_per_s, probe.decode_tokens_per_s, *probe.by_slots.values()) > 0
    assert engine.load.probe is None  # it says what was known at the load
    after = await engine.generate(asked(engine, "Tell me a story.", max_tokens=12))
    assert after.token_ids == before.token_ids


async def test_a_probe_that_is_cancelled_leaves_the_engine_as_it_was(engine: BatchEngine) -> None:
    task = asyncio.create_task(engine.probe())
    await until(lambda: engine.stats().holding)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not engine.stats().holding)
    assert (await engine.generate(asked(engine, "Tell me a story.", max_tokens=4))).token_ids


async def test_a_load_says_how_far_it_is_and_can_be_given_up() -> None:
    """llama.cpp asks for each tensor; Ctrl-C while a large file loads ends the load."""
    progress = LoadProgress()
    facts = read_facts(DEMO, "demo")
    engine = await load(DEMO, settings=LoadSettings(slots=1, context=64), facts=facts, gpu="none", progress=progress)
    await engine.close()
    assert progress.share == 1.0
    given_up = LoadProgress(given_up=True)
    with pytest.raises(ModelFileError):
        await load(DEMO, settings=LoadSettings(slots=1), facts=facts, gpu="none", progress=given_up)


async def test_measured_slots_are_what_automatic_slots_become() -> None:
    """On a CPU, and as far as memory allows; a number that was set stays."""
    facts = read_facts(DEMO, "demo")
    for slots, measured, expected in (("auto", 16, 16), ("auto", 1, 1), ("auto", None, 8), (3, 16, 3)):
        settings = LoadSettings(slots=slots, context=64)
        async with await load(DEMO, settings=settings, facts=facts, gpu="none", auto_slots=measured) as engine:
            assert engine.load.slots == expected


async def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(DEMO.read_bytes()[:500_000])
    with pytest.raises(ModelFileError, match=r"cut\.gguf"):
        await load(cut, settings=LoadSettings(), facts=read_facts(DEMO, "demo"), gpu="none")


async def test_a_cache_that_does_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(ModelFitError, match=r"KV cache \(256 slots of .*iB"):
        await opened(slots=256, context=2048, memory_share=0.01)


async def test_ten_thousand_requests_leave_memory_flat() -> None:
    """Of all kinds, some called off midway: the process takes no more memory at the end than after the first 2,000."""
    engine = await opened(slots=8, context=256)
    chooser = random.Random(7)

    async def one(number: int) -> bool:
        """Whether it was called off."""
        kind = chooser.choice(["plain", "plain", "plain", "cancelled", "schema", "logprobs"])
        extra: dict[str, Any] = {"json_schema": SCHEMA} if kind == "schema" else {}
        extra |= {"top_logprobs": 2} if kind == "logprobs" else {}
        text = f"Hello {chooser.randrange(60)}."  # the same beginnings come back
        request = asked(engine, text, seed=number, max_tokens=chooser.randint(1, 6), final=number % 2 == 0, **extra)
        if kind != "cancelled":
            await engine.generate(replace(request, id=str(number)))
            return False
        task = asyncio.ensure_future(engine.generate(replace(request, id=str(number))))
        await asyncio.sleep(chooser.choice([0, 0.002]))
        task.cancel()
        return True

    async def many(first: int, last: int) -> int:
        cancelled = 0
        for number in range(first, last, 40):
            cancelled += sum(await asyncio.gather(*(one(n) for n in range(number, number + 40))))
        assert cancelled > (last - first) / 10
        return psutil.Process().memory_info().rss

    before = await many(0, 2000)
    grown = await many(2000, 10_000) - before
    await engine.generate(asked(engine, "Hello.", max_tokens=1))  # what was called off before it is gone by now
    engine.check_integrity()
    assert engine.stats().slots_used == 0
    assert grown < 8 * 2**20
    await engine.close()
