"""Baselines of suites: which there are, and how one is forgotten."""

from __future__ import annotations

from nightjar.config.errors import UnknownNameError
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Baseline


async def baselines_by_suite() -> dict[str, Baseline]:
    """Every suite that has one."""
    return {baseline.id: baseline for baseline in await Baseline.find_all().sort("+_id").to_list()}


async def clear_baseline(suite: str, database: Database) -> None:
    """The suite has none from now on; the run stays. Raises UnknownNameError."""
    if not (await database.raw["baselines"].delete_one({"_id": suite})).deleted_count:
        raise UnknownNameError("baseline of suite", suite, list(await baselines_by_suite()))


async def clear_baselines_of(run_id: str, database: Database) -> list[str]:
    """The run is no suite's baseline from now on. Returns the names of the suites of which it was."""
    suites = [name for name, baseline in (await baselines_by_suite()).items() if baseline.run == run_id]
    await database.raw["baselines"].delete_many({"_id": {"$in": suites}, "run": run_id})
    return suites
