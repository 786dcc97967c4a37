"""Of the child processes' work: two runs against each other, in numbers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from nightjar.jobs.lookup import find_run
from nightjar.jobs.mongo import Database
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.compare.comparison import Comparison, PairBy, compare_sides, pair_up, sides, unpaired
from nightjar.pipeline.compare.rows import COMPARED_COLUMNS, comparison_json, cost_rows, metric_rows


@dataclass(frozen=True, kw_only=True)
class ComparedModels:
    """One comparison, as a page shows it."""

    base: str
    other: str
    shared: int
    incomplete: int
    notices: list[str]
    columns: list[str]
    rows: list[list[str]]


async def write_comparison(database: Database, base: str, other: str) -> str:
    """Two runs, model by model, as JSON: a list of `ComparedModels`, and what has no counterpart."""
    compared, alone = await _compare(database, base, other)
    return json.dumps({"compared": [asdict(_compared(each)) for each in compared], "unpaired": alone})


async def write_comparison_json(database: Database, base: str, other: str) -> str:
    """The same as numbers, as `nightjar compare --json` has them."""
    compared, alone = await _compare(database, base, other)
    return json.dumps({"comparisons": [comparison_json(each) for each in compared], "unpaired": alone})


async def _compare(database: Database, base: str, other: str) -> tuple[list[Comparison], list[str]]:
    """Model by model, and the names of those that have no counterpart."""
    reports = [await collect((await find_run(name, database)).id, database) for name in (base, other)]
    before, after = (sides(report, None, PairBy.CONTENT) for report in reports)
    pairs = pair_up(before, after)
    return [compare_sides(one, two) for one, two in pairs], unpaired(before, after, pairs)


def _compared(comparison: Comparison) -> ComparedModels:
    return ComparedModels(
        base=comparison.base.name,
        other=comparison.other.name,
        shared=comparison.shared,
        incomplete=comparison.incomplete,
        notices=list(comparison.notices),
        columns=COMPARED_COLUMNS,
        rows=[*metric_rows(comparison), *cost_rows(comparison)],
    )
