"""Prints the tables of docs/statistics.md; exit code 1 where a bar is broken. Seeded: the same tables every time.

python -m nightjar.scripts.dev.simulate [--sets N] [--headlines N]
"""

from __future__ import annotations

import argparse
import sys
from itertools import chain

from nightjar.scripts.dev.simulate.claims import gate_cells, headline_cells, judge_cells, missing_cells
from nightjar.scripts.dev.simulate.draws import SEED
from nightjar.scripts.dev.simulate.intervals import Width, interval_cells


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage of intervals, and how often claims are false.")
    parser.add_argument("--sets", type=int, default=2_000, help="data sets a cell")
    parser.add_argument("--headlines", type=int, default=1_000, help="headlines a cell")
    arguments = parser.parse_args()
    sets, broken = arguments.sets, 0
    print(f"{sets:,} data sets and {arguments.headlines:,} headlines a cell, seed {SEED}.\n")
    print("| interval of | scores | sequences | holds the truth | wanted |\n|---|---|---:|---:|---|")
    widths: list[Width] = []
    for cell, width in interval_cells(sets):
        print(cell.row(), flush=True)
        widths.append(width)
        broken += cell.broken + width.broken
    print("\n| interval of | scores | sequences | width / t's | t holds the truth | wanted |")
    print("|---|---|---:|---:|---:|---|")
    print("\n".join(width.row() for width in widths if width.compared))
    print("\n| claim | scores | sequences | false | wanted |\n|---|---|---:|---:|---|")
    claims = chain(missing_cells(sets), headline_cells(arguments.headlines), gate_cells(sets), judge_cells(sets))
    for cell in claims:
        print(cell.row(), flush=True)
        broken += cell.broken
    print(f"\n{broken} bars are broken." if broken else "\nNo bar is broken.")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
