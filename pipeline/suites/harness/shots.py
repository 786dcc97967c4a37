"""Examples before each question of a task: drawn as the harness draws them, written as it writes them. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice

from nightjar.config.counting import how_many
from nightjar.pipeline.suites.benchmarks.question import EXAMPLES_SEED
from nightjar.pipeline.suites.harness.rendered import HarnessRow, HarnessRows
from nightjar.pipeline.suites.harness.task import HarnessTask


def drawn_examples(task: HarnessTask, rows: HarnessRows, pool: HarnessRows) -> Iterator[list[int]]:
    """For each row, in order, which rows of the pool are its examples: one generator for all.

    Raises SuiteError where the pool has too few.
    """
    count = task.examples.count
    source = random.Random(EXAMPLES_SEED)  # noqa: S311
    need = count + (task.skips_itself and not task.examples.first)
    if count and len(pool) < need:
        raise task.file.error(
            ("num_fewshot",),
            f"{how_many(count, 'example')} before each question, and the data has {how_many(len(pool), 'row')} to "
            "take them from. Ask for fewer with --shots.",
        )
    for row in rows:
        yield _of_one(task, row, pool, need, source) if count else []


def _of_one(task: HarnessTask, row: HarnessRow, pool: HarnessRows, need: int, source: random.Random) -> list[int]:
    count, places = task.examples.count, range(len(pool))

    def another(place: int) -> bool:
        return not task.skips_itself or pool[place] != row

    if task.examples.first:
        found = list(islice(filter(another, places), count))
    else:
        found = list(filter(another, source.sample(places, need)))[:count]
        others = [place for place in places if pool[place] != row] if len(found) < count else []
        found = source.sample(others, count) if len(others) >= count else found
    if len(found) < count:
        raise task.file.error(
            ("num_fewshot",),
            "a question stands so often among the examples that too few others are left. Ask for fewer with --shots.",
        )
    return found
