"""Each measure of the table: every side does the same work in turn, and each round is compared by itself.

Every round opens its sides again, except around the whole pipeline: where a process's memory happens to lie makes it
some 3 % faster or slower for as long as it lives, and rounds of the same processes would measure that luck repeatedly.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nightjar.config.errors import ServiceError
from nightjar.config.load_settings import LoadSettings
from nightjar.scripts.dev.bench import rows as lines
from nightjar.scripts.dev.bench.baselines import Apart, BareLoop, Serial
from nightjar.scripts.dev.bench.engine_side import EngineSide, Played
from nightjar.scripts.dev.bench.programs import PerplexityProgram
from nightjar.scripts.dev.bench.rows import BenchRow, Goal, not_measured, ratio
from nightjar.scripts.dev.bench.server import Server, ServerProgram
from nightjar.scripts.dev.bench.whole import Load, Pipeline
from nightjar.scripts.dev.bench.workloads import Delivered, Workload, alone, judge_shaped, repeats, two_turn_chats
from nightjar.workers.engine.device import this_device
from nightjar.workers.library.inspect import read_facts

SLOTS = 16
WARM_UP_CHATS = 4
"""A side's first go readies kernels and grammar; more would only cost the slowest side minutes a round."""
CONTEXT = 2048
DECODE_CONTEXT = 512
DECODED = 128
"""Tokens of each slot in one turn of the decode loops."""
WARM_UP = 16
"""Tokens before those that count, after a side was opened."""
LEAST_TURNS, TURNS_OF_SLOTS = 2, 16
"""The sides alternate within a round, with fewer slots as often as it takes for so many slots' tokens: a third of a
second says little where a machine's speed varies."""
SHORT_PROMPT, SHORT_REPLY, LONGER_REPLY = 200, 64, 256
LONG_CONTEXT = 8192
PROMISED_PARAMETERS = 7_000_000_000
DECODE_COUNTS = (1, 2, 4, 8, 16, 32)
NO_SERVER = "no server (`--server PATH`, or install xllamacpp)"
VERDICT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": 40},
        "score": {"type": "integer", "minimum": 1, "maximum": 10},
    },
    "required": ["reason", "score"],
    "additionalProperties": False,
}
ENGINE = "engine"
_Run = Callable[[Workload], Delivered]
Opener = Callable[[AsyncExitStack], "Other"]
"""Starts a side, up until the stack closes."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    model: Path
    demo: Path
    threads: int
    rounds: int
    folder: Path
    server: ServerProgram | None
    vocabulary: int
    parameters: int
    large: bool = False
    perplexity: PerplexityProgram | None = None
    """llama.cpp's own measure of perplexity, to compare with."""

    def load(self, slots: int = SLOTS, context: int = CONTEXT) -> LoadSettings:
        return LoadSettings(slots=slots, context=context, threads=self.threads)


@dataclass(frozen=True, kw_only=True)
class Other:
    """A side that the engine is held against, or why it cannot be."""

    name: str
    run: _Run | None
    missing: str = ""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def decode_rates(setup: Setup, counts: Sequence[int] = DECODE_COUNTS) -> list[BenchRow]:
    """The engine, its text delivered to asyncio, against a bare decode loop with the same sampler chain. The event loop
    is looked at in goes of their own."""
    rows = []
    stalls_s: list[list[float]] = []
    for slots in counts:
        samples: dict[str, list[float]] = {ENGINE: [], "bare loop": []}
        while lines.unsettled(samples, lines.DECODE, setup.rounds):
            own, bare, stalls = await _decoding(setup, slots)
            samples[ENGINE].append(own)
            samples["bare loop"].append(bare)
            stalls_s.append(stalls)
        rows.append(ratio(f"decode, {slots} slot{'s' if slots > 1 else ''} / bare loop", samples, lines.DECODE))
        say(rows[-1].sentence())
    stalled = lines.stalls("event-loop stall while generating, p99", stalls_s, lines.STALL_MS)
    say(stalled.sentence())
    return [*rows, stalled]


async def _decoding(setup: Setup, slots: int) -> tuple[float, float, list[float]]:
    """One round: tokens a second of the engine and of the bare loop, and how late the event loop was at each look."""
    async with AsyncExitStack() as stack:
        bare = Apart(BareLoop, setup.model, slots=slots, context=DECODE_CONTEXT, threads=setup.threads)
        stack.callback(bare.close)
        side = await stack.enter_async_context(EngineSide.loaded(setup.model, setup.load(slots, DECODE_CONTEXT)))
        bare.run(16, WARM_UP)
        await side.decode(slots, 16, WARM_UP)
        own_s = bare_s = 0.0
        turns = max(LEAST_TURNS, TURNS_OF_SLOTS // slots)
        for turn in range(turns):
            if turn % 2:
                bare_s += bare.run(16, DECODED)
            own_s += (await side.decode(slots, 16, DECODED)).outcome.seconds
            if not turn % 2:
                bare_s += bare.run(16, DECODED)
        stalls_s = (await side.decode(slots, 16, DECODED, observed=True)).stalls_s
    tokens = turns * slots * DECODED
    return tokens / own_s, tokens / bare_s, stalls_s


async def against_serial_and_server(setup: Setup) -> list[BenchRow]:
    """Two-turn chats, repeats and judging: 16 slots against one conversation at a time and against the server."""
    chats, sequences, replies = (24, 2, 3) if setup.large else (64, 4, 6)
    words = setup.vocabulary
    played: list[Played] = []
    serial, server = partial(_serial, setup), partial(server_side, setup)
    rows = [
        *await play_against(
            setup,
            lambda n: two_turn_chats(words, SLOTS, n, chats=chats),
            [(serial, lines.CHATS_AGAINST_SERIAL), (server, lines.CHATS_AGAINST_SERVER)],
            played,
        ),
        *await play_against(
            setup,
            lambda n: repeats(words, SLOTS, n, sequences=sequences),
            [(server, lines.REPEATS_AGAINST_SERVER)],
            played,
        ),
        *await play_against(
            setup,
            lambda n: judge_shaped(words, SLOTS, n, replies=replies),
            [(server, lines.JUDGING_AGAINST_SERVER)],
            played,
        ),
    ]
    ratios = [(play.outcome.prompt_tokens_computed or 0) / play.needed_tokens for play in played]
    computed = lines.highest("prompt tokens computed / distinct ones", ratios, lines.COMPUTED)
    say(computed.sentence())
    return [*rows, computed]


async def verdicts(setup: Setup) -> list[BenchRow]:
    """Judge-shaped work with JSON Schema verdicts on the demo model, which writes valid JSON without being forced."""
    demo = replace(setup, model=setup.demo, vocabulary=read_facts(setup.demo, setup.demo.stem).file_facts.vocabulary)
    make = partial(judge_shaped, demo.vocabulary, SLOTS, schema=VERDICT_SCHEMA)
    return await play_against(demo, make, [(partial(server_side, demo), lines.VERDICTS_AGAINST_SERVER)], [])


async def whole_pipeline(setup: Setup) -> list[BenchRow]:
    """Queue, MongoDB, dispatcher, worker and engine against the engine alone, by turns on the same cores."""
    load = Load(
        slots=SLOTS,
        context=CONTEXT,
        threads=setup.threads,
        chats=16 if setup.large else 64,
        question_words=4 if setup.large else 12,
        reply_tokens=64,
    )
    goal = lines.PIPELINE_LARGE if setup.large else lines.PIPELINE
    samples: dict[str, list[float]] = {"whole pipeline": [], "engine alone": []}
    async with AsyncExitStack() as stack:
        side = await stack.enter_async_context(EngineSide.loaded(setup.model, setup.load()))
        home = stack.enter_context(TemporaryDirectory(prefix="nightjar-bench-"))
        pipeline = await stack.enter_async_context(Pipeline.up(setup.model, load, Path(home)))
        for number in count():
            whole, work = await pipeline.run(number)
            alone = (await side.run(work)).outcome
            say(f"  whole pipeline {whole.tokens_per_s:.0f}/s, engine alone {alone.tokens_per_s:.0f}/s")
            if number:
                samples["whole pipeline"].append(whole.tokens_per_s)
                samples["engine alone"].append(alone.tokens_per_s)
            if not lines.unsettled(samples, goal, setup.rounds):
                break
    row = ratio("whole pipeline / engine alone", samples, goal)
    say(row.sentence())
    return [row]


async def one_conversation(setup: Setup) -> list[BenchRow]:
    """What someone alone with a model waits for: its load, a short reply, and text at both ends of a long context.

    The goals are for 7 B parameters and more on a GPU; with less the figures are for information.
    """
    kinds = {
        "load_s": ("load", lines.LOAD_S, "s", "the file in the page cache"),
        "reply_s": ("a short reply", lines.SHORT_REPLY_S, "s", f"{SHORT_PROMPT} tokens in, {SHORT_REPLY} out"),
        "near": ("one conversation", lines.ALONE, "tokens/s", f"{LONGER_REPLY} tokens after {SHORT_PROMPT}"),
        "far": ("the same at the context's end", lines.ALONE, "tokens/s", f"the last {LONGER_REPLY} tokens of it"),
    }
    samples: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(setup.rounds + 1):
        async with EngineSide.loaded(setup.model, setup.load(1, LONG_CONTEXT)) as side:
            if not number:  # the file is being read, kernels are being loaded
                await side.run(alone(setup.vocabulary, number, SHORT_PROMPT, SHORT_REPLY))
                continue
            short = await side.run(alone(setup.vocabulary, number, SHORT_PROMPT, SHORT_REPLY))
            near = await side.decode(1, SHORT_PROMPT, LONGER_REPLY)
            far = await side.decode(1, LONG_CONTEXT - LONGER_REPLY, LONGER_REPLY)
            samples["load_s"].append(side.engine.load.load_s)
            samples["reply_s"].append(short.outcome.seconds)
            samples["near"].append(near.outcome.tokens_per_s)
            samples["far"].append(far.outcome.tokens_per_s)
    promised = setup.parameters >= PROMISED_PARAMETERS and not this_device(None).is_cpu
    rows = [
        lines.median_of(
            f"{name}, {LONG_CONTEXT} tokens of context", samples[kind], goal if promised else None, unit, note
        )
        for kind, (name, goal, unit, note) in kinds.items()
    ]
    for row in rows:
        say(row.sentence())
    return rows


async def differing_texts(setup: Setup) -> list[BenchRow]:
    """How often a conversation's texts differ from those with one slot: with flash attention, and reproducible."""
    rows = []
    for reproducible in (False, True):
        texts = []
        for slots in (1, SLOTS):
            settings = setup.load(slots).model_copy(update={"reproducible": reproducible})
            async with EngineSide.loaded(setup.model, settings) as side:
                texts.append((await side.run(two_turn_chats(setup.vocabulary, slots, 0, chats=32))).replies)
        differing = sum(one != other for one, other in zip(*texts, strict=True)) / len(texts[0])
        name = "reproducible" if reproducible else "default settings"
        row = BenchRow(
            measure=f"conversations that differ from their one-slot text, {name}",
            value=differing,
            goal=lines.SAME_TEXTS if reproducible else None,
            note=f"32 two-turn conversations, {SLOTS} slots, one round",
            samples={"share": [differing]},
        )
        say(row.sentence())
        rows.append(row)
    return rows


async def play_against(
    setup: Setup,
    make: Callable[[int], Workload],
    others: Sequence[tuple[Opener, Goal]],
    played: list[Played],
) -> list[BenchRow]:
    """Rounds of all sides in turn, each after a short go that is not counted; `make` gives each round's work.

    The engine runs right beside each other side, and every second round goes the other way round: a machine that
    becomes slower or faster meanwhile favours nobody. A side whose ratio is settled is left out of further rounds.
    """
    warm_up = make(0)
    warm_up = replace(warm_up, chats=warm_up.chats[:WARM_UP_CHATS], reply_tokens=8)
    matches = [SideBySide(opener=opener, goal=goal) for opener, goal in others]
    number = 0
    while going := [match for match in matches if lines.unsettled(match.samples, match.goal, setup.rounds)]:
        number += 1
        work = make(number)
        async with AsyncExitStack() as stack:
            side = await stack.enter_async_context(EngineSide.loaded(setup.model, setup.load()))
            against = [match.open(stack) for match in going]
            runs = {other.name: other.run for other in against if other.run is not None}
            await side.run(warm_up)
            for run in runs.values():
                run(warm_up)
            order = list(runs)
            order.insert(1, ENGINE)
            rates: dict[str, float] = {}
            for name in order if number % 2 else reversed(order):
                if name == ENGINE:
                    played.append(await side.run(work))
                    outcome = played[-1].outcome
                else:
                    outcome = runs[name](work)
                rates[name] = work.rate(outcome)
            side.engine.check_integrity()
        for match in going:
            match.take(rates)
        figures = (f"{name} {lines.figure(rates[name])}" for name in (ENGINE, *runs))
        say(f"  {work.name}, {work.unit}: {', '.join(figures)}")
    rows = [match.row(f"{work.name}, {SLOTS} slots", work.unit) for match in matches]
    for row in rows:
        say(row.sentence())
    return rows


@dataclass(kw_only=True)
class SideBySide:
    """The engine against one other side, round by round."""

    opener: Opener
    goal: Goal
    other: Other | None = None
    """As last opened."""
    samples: dict[str, list[float]] = field(default_factory=lambda: {ENGINE: []})

    def open(self, stack: AsyncExitStack) -> Other:
        """Opens the other side again. A missing one stays missing: the engine is then measured by itself."""
        if self.other is None or self.other.run is not None:
            self.other = self.opener(stack)
            if self.other.run is None:
                self.samples.pop(self.other.name, None)
        return self.other

    def take(self, rates: Mapping[str, float]) -> None:
        """A round's rates of all sides that played."""
        assert self.other is not None
        for name in (ENGINE, self.other.name):
            if name in rates:
                self.samples.setdefault(name, []).append(rates[name])

    def row(self, work: str, unit: str) -> BenchRow:
        """Its line, measured or not."""
        assert self.other is not None
        measure = f"{work} / {self.other.name}"
        if self.other.run is None:
            return not_measured(measure, self.goal, self.other.missing, self.samples)
        return ratio(measure, self.samples, self.goal, unit)


def _serial(setup: Setup, stack: AsyncExitStack) -> Other:
    one_at_a_time = Apart(Serial, setup.model, context=CONTEXT, threads=setup.threads)
    stack.callback(one_at_a_time.close)
    return Other(name="one at a time", run=one_at_a_time.run)


def server_side(setup: Setup, stack: AsyncExitStack) -> Other:
    """The server, up until the stack closes; or without it, since the other measures are worth having alone."""
    if setup.server is None:
        return Other(name="server", run=None, missing=NO_SERVER)
    log = setup.folder / f"server-{setup.model.stem}.log"
    try:
        server = Server(setup.server, setup.model, slots=SLOTS, context=CONTEXT, threads=setup.threads, log=log)
    except ServiceError as error:
        return Other(name="server", run=None, missing=str(error))
    stack.callback(server.close)
    return Other(name="server", run=server.run)
