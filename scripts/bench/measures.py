"""Each measure of the table: every side does the same work in turn, and the medians are compared."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

from config.load_settings import LoadSettings
from scripts.bench.baselines import Apart, BareLoop, Serial
from scripts.bench.engine_side import EngineSide, Played
from scripts.bench.server import Server, ServerProgram
from scripts.bench.whole import Load, Pipeline
from scripts.bench.workloads import Workload, judge_shaped, repeats, two_turn_chats

SLOTS = 16
CONTEXT = 2048
VERDICT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": 40},
        "score": {"type": "integer", "minimum": 1, "maximum": 10},
    },
    "required": ["reason", "score"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table. `value` is compared with `goal`; `None`: not measured, with the reason in `note`."""

    measure: str
    value: float | None
    goal: float
    at_most: bool = False
    """The goal is an upper bound."""
    unit: str = ""
    note: str = ""
    samples: dict[str, list[float]] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal


@dataclass(frozen=True, kw_only=True)
class Setup:
    model: Path
    demo: Path
    threads: int
    rounds: int
    folder: Path
    server: ServerProgram | None
    vocabulary: int
    large: bool = False


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def decode_rates(setup: Setup, counts: tuple[int, ...] = (1, 2, 4, 8, 16, 32)) -> list[Row]:
    """The engine, its text delivered to asyncio, against a bare decode loop with the same sampler chain."""
    rows = []
    played: list[Played] = []
    for slots in counts:
        bare = Apart(BareLoop, setup.model, slots=slots, context=512, threads=setup.threads)
        side = await EngineSide.load(setup.model, _settings(setup, slots, 512))
        samples: dict[str, list[float]] = {"engine": [], "bare loop": []}
        for number in range(setup.rounds + 1):
            rate, own = bare.run(16, 128), await side.decode(slots, 16, 128)
            if number:
                samples["engine"].append(own.outcome.tokens_per_s)
                samples["bare loop"].append(rate)
                played.append(own)
        bare.close()
        await side.engine.close()
        rows.append(_ratio(f"decode, {slots} slots / bare loop", samples, 0.95))
        say(_told(rows[-1]))
    return [*rows, _stalls(played)]


async def against_serial_and_server(setup: Setup) -> list[Row]:
    """Two-turn chats, repeats and judging: 16 slots against one conversation at a time and against the server."""
    side = await EngineSide.load(setup.model, _settings(setup, SLOTS, CONTEXT))
    chats, sequences, replies = (24, 2, 3) if setup.large else (64, 4, 6)
    serial = Apart(Serial, setup.model, context=CONTEXT, threads=setup.threads)
    server = _server(setup, setup.model)
    words = setup.vocabulary
    played: list[Played] = []
    rows = [
        *await _compare(
            setup,
            lambda n: two_turn_chats(words, SLOTS, n, chats=chats),
            side,
            [("serial", serial.run, 2.0), *_on(server, 1.0)],
            played,
        ),
        *await _compare(setup, lambda n: repeats(words, SLOTS, n, sequences=sequences), side, _on(server, 2.0), played),
        *await _compare(
            setup, lambda n: judge_shaped(words, SLOTS, n, replies=replies), side, _on(server, 2.0), played
        ),
        _computed_once(played),
    ]
    side.engine.check_integrity()
    await side.engine.close()
    serial.close()
    if server is not None:
        server.close()
    return rows


async def verdicts(setup: Setup) -> list[Row]:
    """Judge-shaped work with JSON Schema verdicts on the demo model, which writes valid JSON without being forced."""
    side = await EngineSide.load(setup.demo, _settings(setup, SLOTS, CONTEXT))
    server = _server(setup, setup.demo)
    words = side.engine.facts.vocabulary
    make = partial(judge_shaped, words, SLOTS, schema=VERDICT_SCHEMA)
    rows = await _compare(setup, make, side, _on(server, 1.0), [])
    await side.engine.close()
    if server is not None:
        server.close()
    return rows


async def whole_pipeline(setup: Setup) -> list[Row]:
    """Queue, MongoDB, dispatcher, worker and engine against the engine alone, by turns on the same cores."""
    load = Load(
        slots=SLOTS,
        context=CONTEXT,
        threads=setup.threads,
        chats=16 if setup.large else 64,
        question_words=4 if setup.large else 12,
        reply_tokens=32 if setup.large else 64,
    )
    samples: dict[str, list[float]] = {"whole pipeline": [], "engine alone": []}
    side = await EngineSide.load(setup.model, _settings(setup, SLOTS, CONTEXT))
    with TemporaryDirectory(prefix="nightjar-bench-") as home:
        async with Pipeline.up(setup.model, load, Path(home)) as pipeline:
            for number in range(setup.rounds + 1):
                whole, work = await pipeline.run(number)
                alone = (await side.run(work)).outcome
                say(f"  whole pipeline {whole.tokens_per_s:.0f}/s, engine alone {alone.tokens_per_s:.0f}/s")
                if number:
                    samples["whole pipeline"].append(whole.tokens_per_s)
                    samples["engine alone"].append(alone.tokens_per_s)
    await side.engine.close()
    rows = [_ratio("whole pipeline / engine alone", samples, 0.97 if setup.large else 0.90)]
    say(_told(rows[0]))
    return rows


async def differing_texts(setup: Setup) -> list[Row]:
    """How often a conversation's texts differ from those with one slot: with flash attention, and reproducible."""
    rows = []
    for reproducible in (False, True):
        texts = []
        for slots in (1, SLOTS):
            settings = _settings(setup, slots, CONTEXT).model_copy(update={"reproducible": reproducible})
            side = await EngineSide.load(setup.model, settings)
            texts.append((await side.run(two_turn_chats(setup.vocabulary, slots, 0, chats=32))).replies)
            await side.engine.close()
        differing = sum(one != other for one, other in zip(*texts, strict=True)) / len(texts[0])
        name = "reproducible" if reproducible else "default settings"
        rows.append(
            Row(
                measure=f"conversations that differ from their one-slot text, {name}",
                value=differing,
                goal=0.0 if reproducible else 1.0,
                at_most=True,
                note="32 two-turn conversations, 16 slots" + ("" if reproducible else "; no bar, for information"),
            )
        )
        say(_told(rows[-1]))
    return rows


async def _compare(
    setup: Setup,
    make: Callable[[int], Workload],
    side: EngineSide,
    others: list[tuple[str, Callable[[Workload], Any], float]],
    played: list[Played],
) -> list[Row]:
    """Rounds of all sides in turn, after a short one that is not counted; `make` gives each round's work."""
    samples: dict[str, list[float]] = {name: [] for name in ("engine", *(name for name, _, _ in others))}
    for number in range(setup.rounds + 1):
        work = make(number)
        if not number:
            work = replace(work, chats=work.chats[:SLOTS], reply_tokens=8)
        own = await side.run(work)
        outcomes = {"engine": own.outcome} | {name: run(work) for name, run, _ in others}
        if not number:
            continue
        played.append(own)
        for name, outcome in outcomes.items():
            samples[name].append(outcome.tokens_per_s)
        say(f"  {work.name}: " + ", ".join(f"{n} {o.tokens_per_s:.0f}/s" for n, o in outcomes.items()))
    rows = [
        _ratio(f"{work.name}, {SLOTS} slots / {name}", {k: samples[k] for k in ("engine", name)}, goal)
        for name, _, goal in others
    ]
    if not others:
        rows = [Row(measure=f"{work.name} / server", value=None, goal=1.0, note="no server given", samples=samples)]
    for row in rows:
        say(_told(row))
    return rows


def _computed_once(played: list[Played]) -> Row:
    ratios = [(one.outcome.prompt_tokens_computed or 0) / one.needed_tokens for one in played]
    return Row(
        measure="prompt tokens computed / distinct ones",
        value=max(ratios),
        goal=1.02,
        at_most=True,
        note="highest of all rounds",
        samples={"ratio": ratios},
    )


def _stalls(played: list[Played]) -> Row:
    """How late the event loop was while texts streamed through it, over all rounds and slot counts."""
    late_ms = [1000 * stall for one in played for stall in one.stalls_s]
    p99 = quantiles(late_ms, n=100)[98]
    row = Row(measure="event-loop stall while generating, p99", value=p99, goal=20.0, at_most=True, unit="ms")
    return replace(row, note=f"of {len(late_ms)} looks, the longest {max(late_ms):.1f} ms")


def _ratio(measure: str, samples: dict[str, list[float]], goal: float) -> Row:
    (_, own), (name, other) = samples.items()
    note = f"{median(own):.0f} against {median(other):.0f} tokens/s of {name}"
    return Row(measure=measure, value=median(own) / median(other), goal=goal, note=note, samples=samples)


def _on(server: Server | None, goal: float) -> list[tuple[str, Callable[[Workload], Any], float]]:
    return [("llama-server", server.run, goal)] if server is not None else []


def _server(setup: Setup, model: Path) -> Server | None:
    if setup.server is None:
        return None
    log = setup.folder / f"server-{model.stem}.log"
    return Server(setup.server, model, slots=SLOTS, context=CONTEXT, threads=setup.threads, log=log)


def _settings(setup: Setup, slots: int, context: int) -> LoadSettings:
    return LoadSettings(slots=slots, context=context, threads=setup.threads)


def _told(row: Row) -> str:
    value = "-" if row.value is None else f"{row.value:.2f}{row.unit and ' ' + row.unit}"
    return f"{row.measure}: {value} (goal {'<=' if row.at_most else '>='} {row.goal:g}) {row.note}"


def as_json(row: Row) -> dict[str, Any]:
    return asdict(row) | {"reached": row.reached}
