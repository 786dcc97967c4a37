"""Counting a run's jobs: on the index the same as one by one; by model and by kind."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from nightjar.jobs.mongo import Database
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.jobs.status import census
from nightjar.jobs.status.views import JobCount


async def store(database: Database, run: str, count: int, chance: random.Random) -> list[dict[str, Any]]:
    rows = [
        {
            "_id": f"{run}-{n}",
            "run": run,
            "status": str(chance.choice(list(JobStatus))),
            "model": chance.choice(["m", "m/2", "ñ"]),
            "kind": str(chance.choice(list(JobKind))),
            "turns_total": 4,
            "turns_committed": (turns := chance.randrange(4)),
            "turns_empty": chance.randrange(turns + 1),
        }
        for n in range(count)
    ]
    await database.jobs.insert_many(rows)
    return rows


async def test_the_counts_are_those_of_grouping(database: Database) -> None:
    """Three runs whose ids enclose one another, in every state; each is counted by itself."""
    chance, together = random.Random(1), {}
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
        expected = {key: JobCount(jobs=jobs[key], committed=turns[key], empty=empty[key]) for key in jobs}
        assert (await census.count(run, database)).groups == expected
        together[run] = expected
    assert (await census.count("none", database)).groups == {}
    many = {"a": 700, "aa": census.FEW_JOBS + 1, "b": 700, "none": 0}  # one is taken for large, one has nothing
    assert {run: jobs.groups for run, jobs in (await census.count_each(many, database)).items()} == together | {
        "none": {}
    }


async def test_jobs_are_counted_without_being_read(database: Database) -> None:
    await store(database, "a", 50, random.Random(2))
    key = {"run": "a", "status": "DONE", "model": "m", "turns_committed": 1, "turns_empty": 0}
    steps = [{"$match": key}, {"$group": {"_id": 1, "n": {"$sum": 1}}}]  # what `count_documents` sends
    command = {"aggregate": "jobs", "pipeline": steps, "cursor": {}, "hint": "status"}
    assert "FETCH" not in str(await database.raw.command({"explain": command, "verbosity": "queryPlanner"}))


@pytest.mark.parametrize("kind", [None, (JobKind.REPLY,), (JobKind.JUDGE, JobKind.EMBED)])
@pytest.mark.parametrize("model", [None, "m"])
async def test_a_part_of_a_run_is_counted(
    database: Database, model: str | None, kind: tuple[JobKind, ...] | None
) -> None:
    """One model, some kinds, or both: the jobs that one would pick out by hand."""
    rows = await store(database, "a", 200, random.Random(3))
    await store(database, "b", 50, random.Random(4))
    picked = [row for row in rows if model in (None, row["model"]) and (kind is None or JobKind(row["kind"]) in kind)]
    counts = await census.count("a", database, model=model, kind=kind)
    assert counts.by_status() == dict.fromkeys(JobStatus, 0) | Counter(row["status"] for row in picked)
    assert counts.of().committed == sum(row["turns_committed"] for row in picked)
    assert counts.of(JobStatus.DEAD, JobStatus.DONE, model="m/2").empty == sum(
        row["turns_empty"] for row in picked if row["model"] == "m/2" and row["status"] in ("DEAD", "DONE")
    )


async def test_turns_that_are_planned(database: Database) -> None:
    rows = await store(database, "a", 60, random.Random(5))
    replies = [row for row in rows if row["model"] == "m" and row["kind"] == JobKind.REPLY]
    assert await census.planned_turns("a", "m", (JobKind.REPLY,), database) == 4 * len(replies) > 0
    assert await census.planned_turns("a", "nobody", (JobKind.REPLY,), database) == 0
