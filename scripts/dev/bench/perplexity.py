"""Perplexity in the layout of `llama-perplexity`, by the engine and by that program."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from nightjar.config.errors import ServiceError, UsageError
from nightjar.scripts.dev.bench import rows as lines
from nightjar.scripts.dev.bench.measures import ENGINE, Setup, say
from nightjar.scripts.dev.bench.rows import BenchRow, not_measured, ratio
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import ScoreRequest
from nightjar.workers.fidelity.passages import Passage, WindowLayout, cut_windows

WINDOW = 512
WINDOWS, LARGE_WINDOWS = 17, 5
"""The first of them is not timed: kernels and caches are cold. Fewer for models from a billion parameters on."""
MOST_CHARS = 12
"""Of a token, on average: more of the text is not needed."""
PROGRAM = "llama-perplexity"
MEASURE = f"perplexity in windows of {WINDOW}, engine / {PROGRAM}"
_CHUNK = re.compile(rb"\[(\d+)\]")
ROOT = Path(__file__).parents[4]


async def perplexity_rates(setup: Setup) -> list[BenchRow]:
    """Tokens a second, the same windows and rows of logits on both sides, whose order changes from round to round."""
    program = setup.perplexity
    if program is None:
        return [not_measured(MEASURE, lines.PERPLEXITY, f"no {PROGRAM} was named (--llama-perplexity)")]
    windows = LARGE_WINDOWS if setup.large else WINDOWS
    text = setup.folder / "perplexity.txt"
    text.write_text("\n\n".join(_documents())[: windows * WINDOW * MOST_CHARS], encoding="utf-8")
    _, options = await _ours(setup, text, windows)  # not counted: it says how the engine computes
    command = program.command(setup.model, text, *options)

    async def side(name: str) -> None:
        if name == ENGINE:
            rate, _ = await _ours(setup, text, windows)
        else:
            rate = await asyncio.to_thread(chunk_rate, command, windows)
        rates[name].append(rate)

    rates: dict[str, list[float]] = {ENGINE: [], PROGRAM: []}
    for number in count(1):
        if not lines.unsettled(rates, lines.PERPLEXITY, setup.rounds):
            break
        for name in rates if number % 2 else reversed(rates):
            await side(name)
        say(f"  perplexity, tokens/s: {', '.join(f'{name} {each[-1]:.0f}' for name, each in rates.items())}")
    row = ratio(MEASURE, rates, lines.PERPLEXITY)
    say(row.sentence())
    return [row]


async def _ours(setup: Setup, text: Path, windows: int) -> tuple[float, list[str]]:
    """The engine's rate, opened anew, and the program's options for the same."""
    async with await load(setup.model, settings=setup.load(1, 2 * WINDOW)) as engine:
        passages = _passages(engine, text, windows)
        await _scored(engine, passages[:1])
        began = time.perf_counter()
        await _scored(engine, passages[1:])
        took_s = time.perf_counter() - began
        return (windows - 1) * WINDOW / took_s, _options(engine, setup.threads, windows)


def _options(engine: BatchEngine, threads: int, windows: int) -> list[str]:
    """As the engine computes: its batches, micro-batches and flash attention. A window is a batch at most."""
    n_batch = min(engine.load.n_batch, WINDOW)
    given = {"-c": WINDOW, "-b": n_batch, "-ub": min(engine.load.n_ubatch, n_batch), "-t": threads, "-tb": threads}
    given |= {"--chunks": windows, "-ngl": 0 if engine.load.offloaded_layers == 0 else 999}
    flags = [word for option, value in given.items() for word in (option, str(value))]
    return [*flags, "-fa", "on" if engine.load.flash_attention else "off"]


def _passages(engine: BatchEngine, text: Path, windows: int) -> list[Passage]:
    tokenizer = engine.tokenizer
    ids = tokenizer.tokenize(text.read_text(encoding="utf-8"), parse_special=False)
    cut = list(cut_windows(ids, tokenizer.bos, WINDOW, WindowLayout.LLAMA_PERPLEXITY, text=0))
    if len(cut) < windows:
        raise UsageError(f"The documentation has only {len(cut)} windows of {WINDOW} tokens for this model.")
    return cut[:windows]


async def _scored(engine: BatchEngine, passages: Sequence[Passage]) -> None:
    for number, passage in enumerate(passages):
        [(start, _)] = passage.spans
        request = ScoreRequest(
            id=f"w{number}", context=passage.ids[:start], continuations=(tuple(passage.ids[start:]),)
        )
        await engine.score(request)


def chunk_rate(command: Sequence[str], chunks: int) -> float:
    """Tokens a second from the end of the first chunk to that of the last, which the program prints as it goes on.

    Raises ServiceError where it does not come to its end.
    """
    times: dict[int, float] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        said = b""
        for piece in _pieces(child):
            said = said[-4000:] + piece
            for number in _CHUNK.findall(said):
                times.setdefault(int(number), time.perf_counter())
    last = max(times, default=0)  # its log is not waited for as it ends: the last numbers may be lost
    if child.returncode != 0 or 1 not in times or last < max(2, chunks - 2):
        raise ServiceError(f"{command[0]} ended with code {child.returncode}: {said.decode('utf-8', 'replace')[-500:]}")
    return (last - 1) * WINDOW / (times[last] - times[1])


def _pieces(child: subprocess.Popen[bytes]) -> Iterator[bytes]:
    assert child.stdout is not None
    while piece := child.stdout.read1(4096):  # type: ignore[attr-defined]  # what there is, at once
        yield piece


def _documents() -> Iterator[str]:
    """This project's own pages: text that is at hand everywhere."""
    for path in sorted((ROOT / "docs").glob("*.md")):
        yield path.read_text(encoding="utf-8")
