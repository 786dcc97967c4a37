"""How often intervals cover the true value and the paired test gives a false alarm: `make simulate`.

Each data set has sequences of six turns whose values go together (intra-sequence correlation 0.5), as in real suites.
Prints the table of docs/statistics.md. Seeded: the same table every time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from nightjar.pipeline.statistics.intervals import Interval

TURNS = 6
SHARED = 0.5
SEED = 20_251_121
SIZES = (5, 10, 20, 80)
SCALE = (0.05, 0.10, 0.20, 0.35, 0.30)
"""Chances of the points 1 to 5: most replies are good."""


@dataclass(frozen=True, kw_only=True)
class ScoreKind:
    """A kind of score. `draw(generator, sequences)` gives values of two models of equal mean, (2, sequences, turns)."""

    name: str
    truth: float
    draw: Callable[[Generator, int], NDArray[Any]]
    binary: bool


@dataclass(frozen=True, kw_only=True)
class SimulationCell:
    kind: str
    sequences: int
    covered: float
    """Share of the 95 % intervals that cover the true mean."""
    rejected: float
    """Share of the paired tests that find a difference although there is none."""


def kinds() -> tuple[ScoreKind, ...]:
    mean = sum(point * chance for point, chance in enumerate(SCALE, start=1))
    return (
        ScoreKind(name="normal", truth=0.0, draw=_normal, binary=False),
        ScoreKind(name="1 to 5", truth=mean, draw=_points, binary=False),
        ScoreKind(name="pass, 0.5", truth=0.5, draw=lambda generator, n: _passes(generator, n, 0.5), binary=True),
        ScoreKind(name="pass, 0.9", truth=0.9, draw=lambda generator, n: _passes(generator, n, 0.9), binary=True),
    )


def simulate(kind: ScoreKind, sequences: int, sets: int) -> SimulationCell:
    """Runs `sets` simulations of one kind and returns its cell of the table."""
    import numpy as np

    from nightjar.pipeline.statistics.intervals import share_interval, t_interval
    from nightjar.pipeline.statistics.paired import sign_flip_test, t_test

    generator = np.random.default_rng([SEED, sequences, len(kind.name)])
    covered = rejected = 0
    for _ in range(sets):
        first, second = kind.draw(generator, sequences).mean(axis=2)
        values = first.tolist()
        interval: Interval | None = share_interval(values, sequences * TURNS) if kind.binary else t_interval(values)
        covered += interval is not None and interval.low <= kind.truth <= interval.high
        differences = (first - second).tolist()
        # A verdict needs both tests. The sign flips cost most, so they run only if the first test finds a difference.
        rejected += t_test(differences) < 0.05 and sign_flip_test(differences) < 0.05
    return SimulationCell(kind=kind.name, sequences=sequences, covered=covered / sets, rejected=rejected / sets)


def _normal(generator: Generator, sequences: int) -> NDArray[Any]:
    """Standard normal values: a part shared by the sequence and a separate part for each turn."""
    shared = generator.standard_normal((1, sequences, 1)) * SHARED**0.5
    values: NDArray[Any] = shared + generator.standard_normal((2, sequences, TURNS)) * (1 - SHARED) ** 0.5
    return values


def _points(generator: Generator, sequences: int) -> NDArray[Any]:
    """Points 1 to 5: normal values cut at the quantiles of the points' chances."""
    import numpy as np
    from scipy.special import ndtri

    cuts = ndtri(np.cumsum(SCALE)[:-1])
    points: NDArray[Any] = np.searchsorted(cuts, _normal(generator, sequences)) + 1.0
    return points


def _passes(generator: Generator, sequences: int, share: float) -> NDArray[Any]:
    """Passes: each sequence's chance is drawn from Beta(share, 1 - share), so its turns correlate by 0.5."""
    import numpy as np

    chance = generator.beta(share, 1 - share, size=(1, sequences, 1))
    return (generator.random((2, sequences, TURNS)) < np.broadcast_to(chance, (2, sequences, TURNS))).astype(float)


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage of intervals and false alarms of the paired test.")
    parser.add_argument("--sets", type=int, default=10_000, help="data sets a cell")
    sets = parser.parse_args().sets
    print(f"{sets:,} data sets a cell, seed {SEED}, {TURNS} turns a sequence, intra-sequence correlation {SHARED}.\n")
    print("| values | sequences | intervals that hold the truth | false alarms |")
    print("|---|---:|---:|---:|")
    for kind in kinds():
        for sequences in SIZES:
            cell = simulate(kind, sequences, sets)
            print(f"| {cell.kind} | {cell.sequences} | {cell.covered:.1%} | {cell.rejected:.1%} |", flush=True)


if __name__ == "__main__":
    main()
