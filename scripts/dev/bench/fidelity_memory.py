"""What comparing two models over many tokens takes beside them: memory side by side, a file one after the other."""

from __future__ import annotations

import random
import resource
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from nightjar.config.load_settings import LoadSettings
from nightjar.scripts.dev.bench import rows as lines
from nightjar.scripts.dev.bench.baselines import Apart
from nightjar.scripts.dev.bench.measures import Setup, say
from nightjar.scripts.dev.bench.rows import BenchRow
from nightjar.workers.engine.device import this_device
from nightjar.workers.engine.load_progress import LoadProgress
from nightjar.workers.fidelity.loads import FidelityLoad, opened
from nightjar.workers.fidelity.measure import Measurement
from nightjar.workers.fidelity.passages import Passage
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.library.inspect import read_facts

TOKENS, LARGE_TOKENS = 200_000, 20_000
"""That are scored; fewer for models from a billion parameters on, and then the row says so."""
WINDOW = 512
MB = 1e6


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Bytes."""

    memory: int
    """Highest resident memory while comparing, less that of both models in use."""
    file: int
    """Written between two loads that are not in memory together."""


class Comparing:
    """A model beside itself with a quantised cache, in a process whose peak memory is its own."""

    def __init__(self, path: Path, threads: int, vocabulary: int) -> None:
        self._path, self._threads, self._vocabulary = path, threads, vocabulary

    def run(self, tokens: int) -> Taken:
        """Both loads read a window first, so that weights and buffers are there."""
        passages = tuple(self._windows(tokens))
        device = this_device(None)
        with ExitStack() as stack:
            one, two = (
                stack.enter_context(opened(self._load(cache), WINDOW, device, LoadProgress())).context
                for cache in ("f16", "q8_0")
            )
            for reader in (one, two):
                reader.begin()
                reader.extend(passages[0].ids[:256], [True] * 256)
            before = _peak_bytes()
            work = Measurement(passages=passages, threads=self._threads, seed=1)
            work.side_by_side(one, two)
            memory = _peak_bytes() - before
            with tempfile.TemporaryFile() as file:
                Measurement(passages=passages, threads=self._threads, seed=1).keep(one, file)
                return Taken(memory=memory, file=file.tell())

    def _windows(self, tokens: int) -> list[Passage]:
        draw = random.Random("fidelity")  # noqa: S311
        count = -(-tokens // (WINDOW - 1))
        return [
            Passage(
                ids=tuple(draw.randrange(300, self._vocabulary) for _ in range(WINDOW)), spans=((1, WINDOW),), text=at
            )
            for at in range(count)
        ]

    def _load(self, cache: str) -> FidelityLoad:
        settings = LoadSettings.model_validate({"threads": self._threads, "cache_type_k": cache, "cache_type_v": cache})
        entry = ModelEntry(name=cache, path=self._path, load=settings, parameters={}, template=None, reasoning=None)
        return FidelityLoad(label=cache, entry=entry, facts=read_facts(self._path, cache))


async def fidelity_memory(setup: Setup) -> list[BenchRow]:
    """One measurement: memory does not scatter as time does."""
    tokens = LARGE_TOKENS if setup.large else TOKENS
    side = Apart(Comparing, setup.model, setup.threads, setup.vocabulary)
    try:
        taken: Taken = side.run(tokens)
    finally:
        side.close()
    over = f"fidelity of two loads over {tokens:,} tokens"
    rows = [
        BenchRow(
            measure=f"{over}: peak memory beyond both models in use",
            value=taken.memory / MB,
            goal=lines.FIDELITY_MEMORY_MB,
            unit="MB",
        ),
        BenchRow(
            measure=f"{over}, one after the other: file", value=taken.file / MB, goal=lines.FIDELITY_FILE_MB, unit="MB"
        ),
    ]
    for row in rows:
        say(row.sentence())
    return rows


def _peak_bytes() -> int:
    """The highest resident memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
