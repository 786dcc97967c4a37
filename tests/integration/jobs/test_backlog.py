"""What is waiting, on a real MongoDB."""

from __future__ import annotations

from datetime import timedelta

from nightjar.jobs import backlog
from nightjar.jobs.backlog import Waiting
from nightjar.jobs.documents import Job
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import JobStatus, RunStatus
from tests.workbench import make_run


async def test_waiting_jobs_are_those_that_could_run_now(database: Database) -> None:
    """By model, in working runs: due, or running; not what is backing off, done or paused."""
    await make_run("r", sequences=5)
    await make_run("paused", sequences=3, model="m", status=RunStatus.PAUSED)
    later = await database.now() + timedelta(minutes=5)
    for order, change in enumerate(({"status": JobStatus.RUNNING}, {"status": JobStatus.DONE}, {"due_at": later})):
        await Job.find({"run": "r", "order": order}).update({"$set": change})
    assert await backlog.waiting_jobs(database) == {"scripted": Waiting(due=2, running=1)}


async def test_open_jobs_of_one_model(database: Database) -> None:
    await make_run("r", sequences=2)
    await database.jobs.update_many({}, {"$set": {"status": JobStatus.DONE}})
    assert not await backlog.has_open_jobs("r", database)
    await Job.find({"order": 0}).update({"$set": {"status": JobStatus.PENDING, "model": "other"}})
    assert await backlog.has_open_jobs("r", database)
    assert await backlog.has_open_jobs("r", database, model="other")
    assert not await backlog.has_open_jobs("r", database, model="scripted")


async def test_what_may_change_of_runs(database: Database) -> None:
    """A removed run is left out."""
    await make_run("r", max_tries=7)
    states = await backlog.run_states(["r", "gone"], database)
    assert (list(states), states["r"]["status"], states["r"]["max_tries"]) == (["r"], RunStatus.ACTIVE, 7)


async def test_looking_for_suspects_reads_no_other_job(database: Database) -> None:
    """Of 300 waiting jobs one is a suspect: MongoDB reads that one."""
    await make_run("r", sequences=300, turns=1)
    suspect = await Job.find_one({"run": "r", "order": 200})
    assert suspect is not None
    await database.jobs.update_one({"_id": suspect.id}, {"$set": {"suspect": True}})
    await database.raw.command("profile", 2)
    found = await backlog.suspects("scripted", ["r"], 64, database)
    await database.raw.command("profile", 0)
    assert found == [("r", suspect.id, 0)]
    looks = [row async for row in database.raw["system.profile"].find({"command.find": "jobs"})]
    assert [look["docsExamined"] for look in looks] == [1]
