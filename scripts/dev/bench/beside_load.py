"""Beside a load: whether `threads = auto` keeps up with the best fixed number, and how soon the first turn is there."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from nightjar.config.errors import ModelError
from nightjar.config.load_settings import LoadSettings
from nightjar.scripts.dev.bench import rows as lines
from nightjar.scripts.dev.bench.engine_side import EngineSide
from nightjar.scripts.dev.bench.measures import Setup, say
from nightjar.scripts.dev.bench.rows import BenchRow
from nightjar.scripts.dev.bench.whole import home_session, started
from nightjar.workers.library.inspect import read_facts

if TYPE_CHECKING:
    from nightjar.scripts.session import Session

ROUNDS, STARTS = 8, 10
"""At least; a quick look, with fewer rounds than count for the record, has fewer of both."""
CONTEXT = 2048
PROMPT, TOKENS = 16, 32
WARM_UP_S, COUNTED_S = 3.0, 4.0
REPLY_TOKENS = 16
LONGEST_S = 120.0
WORLDS = (("quiet", 0), ("beside one busy process", 1))
_Threads = int | Literal["auto"]


async def beside_load(setup: Setup) -> list[BenchRow]:
    """One conversation's tokens per second with `threads = auto` over those with the best fixed number; and the first
    turn of a worker. Quiet, and beside a process that keeps one core busy. Models of random weights have no template
    and few layers: give a real one (`--model`)."""
    rows = []
    for world, others in WORLDS:
        with neighbours(others):
            rows.append(await _following(setup, world))
            say(rows[-1].sentence())
        for row in await _first_turns(setup, world, others):
            rows.append(row)
            say(row.sentence())
    return rows


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many processes that each keep one core busy."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


async def _following(setup: Setup, world: str) -> BenchRow:
    """Every round opens each side anew and lets it decode for some seconds before it counts."""
    fixed = sorted({max(1, setup.threads - 1), setup.threads})
    sides: dict[str, _Threads] = {"auto": "auto", **{f"{count} threads": count for count in fixed}}
    samples: dict[str, list[float]] = {name: [] for name in sides}
    used = set()
    for number in range(_count(setup, ROUNDS)):
        for name in list(sides) if number % 2 else reversed(list(sides)):
            rate, threads = await _rate(setup.model, sides[name])
            samples[name].append(rate)
            if threads is not None:
                used.add(threads)
        say(f"  {world}: " + ", ".join(f"{name} {lines.figure(values[-1])}" for name, values in samples.items()))
    note = f"auto ended with {' or '.join(map(str, sorted(used))) or 'fixed'} threads"
    return lines.ratio_of_medians(f"threads=auto / best fixed number, {world}", samples, lines.FOLLOWING, note)


def _count(setup: Setup, least: int) -> int:
    return max(least, setup.rounds) if setup.rounds >= lines.LEAST_ROUNDS else setup.rounds


async def _rate(model: Path, threads: _Threads) -> tuple[float, int | None]:
    """Tokens per second of one conversation, and how many threads computed it at last where they follow the load."""
    settings = LoadSettings(slots=1, context=CONTEXT, threads=threads)
    async with EngineSide.loaded(model, settings) as side:
        await _decode_for(side, WARM_UP_S)
        rate = await _decode_for(side, COUNTED_S)
        return rate, None if side.engine.stats().threads is None else side.engine.threads


async def _decode_for(side: EngineSide, seconds: float) -> float:
    """Tokens per second over so long, or a little longer."""
    tokens = spent_s = 0.0
    while spent_s < seconds:
        outcome = (await side.decode(1, PROMPT, TOKENS)).outcome
        tokens, spent_s = tokens + outcome.reply_tokens, spent_s + outcome.seconds
    return tokens / spent_s


async def _first_turns(setup: Setup, world: str, others: int) -> list[BenchRow]:
    """Workers started one after the other, each for one job: from `model_loaded` to the first piece of its prompt and
    to its committed turn."""
    pieces_s, turns_s, starts_s = [], [], []
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="nightjar-bench-")))
        session = await stack.enter_async_context(home_session(home))
        await started(stack, ["dispatcher"], home / "logs/dispatcher.log")
        stack.enter_context(neighbours(others))
        for number in range(_count(setup, STARTS)):
            moments = await _one_start(setup.model, session, home, number)
            pieces_s.append(moments["piece"] - moments["loaded"])
            turns_s.append(moments["turn"] - moments["loaded"])
            starts_s.append(moments["turn"] - moments["start"])
    reply = f"{REPLY_TOKENS} tokens out"
    return [
        lines.latest(f"first prompt piece after loading, {world}", pieces_s, lines.FIRST_PIECE_S, ""),
        lines.latest(f"first turn after loading, {world}", turns_s, lines.FIRST_TURN_S, reply),
        lines.latest(f"first turn after the worker's start, {world}", starts_s, None, reply),
    ]


async def _one_start(model: Path, session: Session, home: Path, number: int) -> dict[str, float]:
    """When a worker for one new job was started, had loaded its model, computed a piece of a prompt and committed, in
    seconds since the epoch. Raises ModelError where it did not."""
    from nightjar.jobs.documents import Job
    from nightjar.pipeline.runs.producer import enqueue
    from nightjar.pipeline.runs.request import make_request
    from nightjar.pipeline.suites.importer import import_suite
    from nightjar.scripts.evaluation import take_models

    (entry,) = await take_models([str(model)], session)
    version, _ = await import_suite(_suite(model, number), session.database)
    request = make_request(
        suite=f"{version.name}@{version.version}", models=(entry.name,), paths={entry.name: str(entry.path)}
    )
    run = (await enqueue(request, session.database)).run
    log = home / f"logs/worker-{number}.log"
    start = (await session.database.now()).timestamp()
    async with AsyncExitStack() as children:
        child = await started(children, ["worker", "--model", str(model), "--burst", "--no-probe"], log)
        try:
            async with asyncio.timeout(LONGEST_S):
                await child.process.wait()
        except TimeoutError:
            raise ModelError(f"A worker did not end. Its log:\n{child.last_words()}") from None
    [job] = await Job.find({"run": run.id}).to_list()
    if not job.turns:
        raise ModelError(f"A worker committed nothing. Its log:\n{child.last_words()}")
    said = _moments(log)
    turn = job.turns[0].committed_at.timestamp()
    return {"start": start, "loaded": said["model_loaded"], "piece": said["first_prompt_piece"], "turn": turn}


def _moments(log: Path) -> dict[str, float]:
    """Event -> when it was first logged."""
    moments: dict[str, float] = {}
    for line in log.read_text("utf-8").splitlines():
        if line.startswith("{"):
            event = json.loads(line)
            moments.setdefault(event["event"], datetime.fromisoformat(event["timestamp"]).timestamp())
    return moments


def _suite(model: Path, number: int) -> Any:
    from nightjar.jobs.models import ModelKind
    from nightjar.jobs.sequences import Mode, Sequence, TurnSpec
    from nightjar.pipeline.suites.content import SuiteContent

    chats = read_facts(model, model.stem).kind is ModelKind.CHAT
    sequence = Sequence(
        id="first",
        mode=Mode.CHAT if chats else Mode.COMPLETION,
        turns=(TurnSpec(prompt=f"Write a short story about house number {number}."),),
        parameters={"max_tokens": REPLY_TOKENS},
    )
    return SuiteContent(name=f"first-{number}", sequences=(sequence,))
