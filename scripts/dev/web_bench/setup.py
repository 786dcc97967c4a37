"""What every part of the benchmark is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from nightjar.scripts.dev.bench.rows import LEAST_ROUNDS

DEMO = "nightjar-demo"
MEBIBYTE = 2**20
TOPICS = "fox owl star river lamp cat key boat storm garden letter train bread clock mill bridge".split()


@dataclass(frozen=True, kw_only=True)
class WebSetup:
    """`model`: a chat model of a real size, for the throughput; None: there is none here."""

    rounds: int
    model: Path | None

    def share(self, whole: int) -> int:
        """How much of so much is done in all: all of it for the record, less in a quick look."""
        return max(whole * min(self.rounds, LEAST_ROUNDS) // LEAST_ROUNDS, 1)


def bench_prompts(count: int, begin: int = 0) -> Iterator[str]:
    """Prompts that begin alike as people's do, and are never the same."""
    for number in range(begin, begin + count):
        yield f"Tell me a story about a {TOPICS[number % len(TOPICS)]}, number {number}."


def resident_mib(processes: list[psutil.Process]) -> float:
    """Their resident memory together."""
    return sum(process.memory_info().rss for process in processes) / MEBIBYTE


def cpu_seconds(process: psutil.Process) -> float:
    """What the process has computed so far."""
    times = process.cpu_times()
    return float(times.user + times.system)
