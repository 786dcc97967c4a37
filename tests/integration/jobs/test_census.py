"""Counting a run's jobs on the index: the same as grouping them one by one."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from nightjar.jobs.database import Database
from nightjar.jobs.states import JobStatus
from nightjar.jobs.status.census import census
from nightjar.jobs.status.eta import JobGroup


async def store(database: Database, run: str, count: int, chance: random.Random) -> list[dict[str, Any]]:
    rows = [
        {
            "_id": f"{run}-{n}",
            "run": run,
            "status": str(chance.choice(list(JobStatus))),
            "model": chance.choice(["m", "m/2", "ñ"]),
            "turns_committed": (turns := chance.randrange(4)),
            "turns_empty": chance.randrange(turns + 1),
        }
        for n in range(count)
    ]
    await database.jobs.insert_many(rows)
    return rows


async def test_the_counts_are_those_of_grouping(database: Database) -> None:
    """Three runs whose ids enclose one another, in every state; each is counted by itself."""
    chance = random.Random(1)
    for run in ("a", "aa", "b"):
        rows = await store(database, run, 700, chance)
        jobs: Counter[tuple[str, str]] = Counter()
        turns: Counter[tuple[str, str]] = Counter()
        empty: Counter[tuple[str, str]] = Counter()
        for row in rows:
            key = row["status"], row["model"]
            jobs[key] += 1
            turns[key] += row["turns_committed"]
            empty[key] += row["turns_empty"]
        expected = {key: JobGroup(jobs=jobs[key], committed=turns[key], empty=empty[key]) for key in jobs}
        assert await census(run, database) == expected
    assert await census("none", database) == {}


async def test_jobs_are_counted_without_being_read(database: Database) -> None:
    await store(database, "a", 50, random.Random(2))
    key = {"run": "a", "status": "DONE", "model": "m", "turns_committed": 1, "turns_empty": 0}
    steps = [{"$match": key}, {"$group": {"_id": 1, "n": {"$sum": 1}}}]  # what `count_documents` sends
    command = {"aggregate": "jobs", "pipeline": steps, "cursor": {}, "hint": "status"}
    assert "FETCH" not in str(await database.raw.command({"explain": command, "verbosity": "queryPlanner"}))
