"""Turns committed together on a real MongoDB: each under its own fence, each with its own answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from nightjar.config.errors import LeaseLostError
from nightjar.jobs import ownership
from nightjar.jobs.commits import Commits
from nightjar.jobs.documents import Job
from nightjar.jobs.mongo import Database
from nightjar.jobs.records import TurnRecord
from nightjar.jobs.states import JobStatus
from tests.documents import a_job, a_turn


def turn_of(job: Job, *, reply_ids: tuple[int, ...] = (1, 2)) -> TurnRecord:
    return a_turn(reply_ids=reply_ids, chain=f"c-{job.id}-{job.fence}", fence=job.fence)


@pytest.fixture
async def held(database: Database) -> list[Job]:
    """Twenty jobs that are claimed."""
    for n in range(20):
        await a_job(f"j{n}", run="r", repeat=n, order=n, turns_total=1).insert()
    return await ownership.claim({f"j{n}": 0 for n in range(20)}, "w", "host", 30, database)


async def commit_all(commits: Commits, jobs: list[Job]) -> list[BaseException | None]:
    return await asyncio.gather(*(commits.commit(job, turn_of(job), last=True) for job in jobs), return_exceptions=True)


async def all_done_once() -> bool:
    jobs = await Job.find_all().to_list()
    return all(job.status is JobStatus.DONE and len(job.turns) == 1 for job in jobs) and len(jobs) == 20


async def test_many_commits_take_few_round_trips(
    database: Database, held: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first goes at once, the others together behind it; every one is there once."""
    sizes: list[int] = []
    collection = type(database.jobs)
    write = collection.bulk_write

    async def counted(self: Any, writes: Any, *rest: Any, **options: Any) -> Any:
        sizes.append(len(writes))
        return await write(self, writes, *rest, **options)

    monkeypatch.setattr(collection, "bulk_write", counted)
    assert await commit_all(Commits(database), held) == [None] * 20
    assert sum(sizes) == 20
    assert len(sizes) <= 2
    assert await all_done_once()


async def test_one_that_was_lost_is_told_so_alone(database: Database, held: list[Job]) -> None:
    """One of twenty fences has moved: its owner gets the error, and the other nineteen are committed."""
    await database.jobs.update_one({"_id": "j7"}, {"$inc": {"fence": 1}})
    answers = await commit_all(Commits(database), held)
    lost = [job.id for job, answer in zip(held, answers, strict=True) if isinstance(answer, LeaseLostError)]
    assert lost == ["j7"]
    assert answers.count(None) == 19
    assert await Job.find({"status": "DONE"}).count() == 19
    assert await Job.find({"_id": "j7", "turns": []}).count() == 1


async def test_an_answer_that_was_lost_commits_nothing_twice(
    database: Database, held: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server wrote them and the connection broke: all are sent again, one by one."""
    collection = type(database.jobs)
    write = collection.bulk_write

    async def broken(self: Any, writes: Any, *rest: Any, **options: Any) -> Any:
        done = await write(self, writes, *rest, **options)
        if len(writes) > 1:
            raise AutoReconnect("connection closed")
        return done

    monkeypatch.setattr(collection, "bulk_write", broken)
    assert await commit_all(Commits(database), held) == [None] * 20
    assert await all_done_once()


async def test_what_cannot_be_written_spoils_no_other(database: Database, held: list[Job]) -> None:
    """A number too large for MongoDB in one turn of twenty."""
    commits = Commits(database)
    turns = [turn_of(job, reply_ids=(2**70,) if job.id == "j3" else (1,)) for job in held]
    waiting = [commits.commit(job, turn, last=True) for job, turn in zip(held, turns, strict=True)]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [job.id for job, answer in zip(held, answers, strict=True) if answer is not None] == ["j3"]
    assert await Job.find({"status": "DONE"}).count() == 19
    assert await commit_all(commits, []) == [], "it still works"
