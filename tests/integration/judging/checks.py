"""A check of judges, from what is asked for to its beginning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.pipeline.judging.start import begin_check, plan_check


async def start_check(
    run: Run, judges: Sequence[str], rubric: Mapping[str, Any] | None, database: Database, **how: Any
) -> Run:
    """As `nightjar judge check` does. `how`: the other arguments of `plan_check`."""
    return await begin_check(run, await plan_check(run, judges, rubric, database, **how), database)
