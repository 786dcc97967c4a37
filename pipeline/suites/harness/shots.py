"""Examples before each question of a task: drawn as the harness draws them, written as it writes them. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from nightjar.config.counting import how_many
from nightjar.pipeline.suites.benchmarks.question import EXAMPLES_SEED
from nightjar.pipeline.suites.harness.rendered import Row, Rows
from nightjar.pipeline.suites.harness.task import HarnessTask


def drawn_examples(task: HarnessTask, rows: Rows, pool: Rows) -> Iterator[list[int]]:
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


def _of_one(task: HarnessTask, row: Row, pool: Rows, need: int, source: random.Random) -> list[int]:
    count = task.examples.count
    places: Sequence[int] = range(len(pool))
    others = [at for at in places if not task.skips_itself or pool[at] != row] if _looks(task) else places
    if task.examples.first:
        found = list(others[:count])
    else:
        found = [at for at in source.sample(places, need) if not task.skips_itself or pool[at] != row][:count]
        if len(found) < count:
            others = [at for at in places if pool[at] != row]
            found = source.sample(others, count) if len(others) >= count else []
    if len(found) < count:
        raise task.file.error(("num_fewshot",), "a question stands so often among the examples that too few others "
                              "are left. Ask for fewer with --shots.")  # fmt: skip
    return found


def _looks(task: HarnessTask) -> bool:
    return task.examples.first and task.skips_itself
