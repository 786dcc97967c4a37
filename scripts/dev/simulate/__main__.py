"""Prints the tables of docs/statistics.md; exit code 1 where a bar is broken. Seeded: the same tables every time.

python -m nightjar.scripts.dev.simulate [--sets N] [--headlines N] [--runs N] [--only PART]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain
from typing import TypeVar

from nightjar.scripts.dev.simulate import claims, intervals, stopping
from nightjar.scripts.dev.simulate.cells import CountedShare
from nightjar.scripts.dev.simulate.draws import SEED
from nightjar.scripts.dev.simulate.intervals import Width

T = TypeVar("T")
Cells = Callable[[int, Sequence[int]], Iterator[T]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage of intervals, and how often claims are false.")
    parser.add_argument("--sets", type=int, default=2_000, help="data sets a cell")
    parser.add_argument("--headlines", type=int, default=1_000, help="headlines a cell")
    parser.add_argument("--runs", type=int, default=500, help="runs that stop when they are decided a cell")
    parser.add_argument("--only", choices=["fixed", "stopping"], help="tests at the end, or runs until decided")
    arguments = parser.parse_args()
    sets, headlines, runs = arguments.sets, arguments.headlines, arguments.runs
    print(f"{sets:,} data sets, {headlines:,} headlines and {runs:,} runs a cell, seed {SEED}.\n", flush=True)
    broken = 0
    with ProcessPoolExecutor() as pool:  # a size of sequences is a task; its cells have seeds of their own
        if arguments.only != "stopping":
            broken += _fixed_tests(pool, sets, headlines)
        if arguments.only != "fixed":
            broken += _stopping(pool, runs)
    print(f"\n{broken} bars are broken." if broken else "\nNo bar is broken.")
    sys.exit(1 if broken else 0)


def _fixed_tests(pool: ProcessPoolExecutor, sets: int, headlines: int) -> int:
    of_intervals = begin_cells(pool, intervals.interval_cells, sets, intervals.SIZES)
    of_claims = [
        begin_cells(pool, claims.missing_cells, sets, claims.SIZES),
        begin_cells(pool, claims.headline_cells, headlines, claims.HEADLINES),
        begin_cells(pool, claims.gate_cells, sets, claims.GATES),
        begin_cells(pool, claims.judge_cells, sets, claims.JUDGES),
    ]
    return _print_intervals(cells_of(of_intervals)) + _print_claims(chain.from_iterable(map(cells_of, of_claims)))


def _stopping(pool: ProcessPoolExecutor, runs: int) -> int:
    """Prints how often runs that stop when they are decided are wrong, and what they find; how many bars are broken."""
    of_equal = begin_cells(pool, stopping.equal_cells, runs, stopping.SIZES)
    of_families = begin_cells(pool, stopping.family_cells, runs, stopping.FAMILY_SIZES)
    of_power = begin_cells(pool, stopping.power_cells, runs, stopping.SIZES)
    broken = _print_claims(chain(cells_of(of_equal), cells_of(of_families)))
    print("\n| two models that differ | sequences | found | by one test | asked | asked, equal ones | wanted |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for cell in cells_of(of_power):
        print(cell.row(), flush=True)
        broken += cell.broken
    return broken


def begin_cells(pool: ProcessPoolExecutor, cells: Cells[T], sets: int, sizes: Sequence[int]) -> list[Future[list[T]]]:
    """The cells of each size, which another process works out; the largest size is begun first."""
    futures = {size: pool.submit(_cells, cells, sets, size) for size in sorted(sizes, reverse=True)}
    return [futures[size] for size in sizes]


def _cells(cells: Cells[T], sets: int, size: int) -> list[T]:
    return list(cells(sets, (size,)))


def cells_of(of_sizes: Iterable[Future[list[T]]]) -> Iterator[T]:
    """The cells once all are there: each kind with all its sizes."""
    return chain.from_iterable(zip(*(future.result() for future in of_sizes), strict=True))


def _print_intervals(cells: Iterable[tuple[CountedShare, Width]]) -> int:
    """Prints how often intervals hold the truth and how wide they are; returns how many bars are broken."""
    print("| interval of | scores | sequences | holds the truth | wanted |\n|---|---|---:|---:|---|")
    widths, broken = [], 0
    for cell, width in cells:
        print(cell.row())
        widths.append(width)
        broken += cell.broken + width.broken
    print("\n| interval of | scores | sequences | width / t's | t holds the truth | wanted |")
    print("|---|---|---:|---:|---:|---|")
    print("\n".join(width.row() for width in widths if width.compared), flush=True)
    return broken


def _print_claims(cells: Iterable[CountedShare]) -> int:
    """Prints how often claims are false; returns how many bars are broken."""
    print("\n| claim | scores | sequences | false | wanted |\n|---|---|---:|---:|---|")
    broken = 0
    for cell in cells:
        print(cell.row(), flush=True)
        broken += cell.broken
    return broken


if __name__ == "__main__":
    main()
