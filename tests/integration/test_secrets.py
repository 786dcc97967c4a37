"""No secret of the settings leaves by an error that is stored and shown in reports."""

from __future__ import annotations

import asyncio

import pytest

from nightjar.jobs import ownership
from nightjar.jobs.commits import Commits
from nightjar.jobs.documents import Job
from nightjar.jobs.mongo import Database
from nightjar.jobs.parameters import Parameters
from nightjar.workers.process.heartbeat import Tally
from nightjar.workers.process.held_jobs import Hold
from nightjar.workers.process.run_cache import RunCache
from nightjar.workers.process.tasks import JobContext, run_job
from tests.scripted_replier import ScriptedReplier
from tests.workbench import make_run

SECRET = "hunter2-4f9a"


@pytest.mark.parametrize(
    "said",
    [
        f"cannot reach mongodb://nightjar:{SECRET}@db.example:27017/",
        f"Authorization: Bearer {SECRET}-{SECRET}",
        f"{{'password': '{SECRET}'}}",
        f"GET http://h/?token={SECRET}",
    ],
)
async def test_a_jobs_error_is_stored_without_secrets(database: Database, said: str) -> None:
    class Failing(ScriptedReplier):
        async def answer(self, request: str, parameters: Parameters) -> str:
            raise RuntimeError(said)

    run = await make_run("r", sequences=1, max_tries=1)
    (job,) = await Job.find().to_list()
    (claimed,) = await ownership.claim({job.id: 0}, "w", "h", 30, database)
    model = Failing([])
    context = JobContext(
        model=model,
        run_cache=RunCache(database, model.facts, model.load),
        worker="w",
        tally=Tally(),
        database=database,
        commits=Commits(database),
        slots=asyncio.Semaphore(1),
    )
    await run_job(Hold(job=claimed, run=run), context)
    stored = str(await database.jobs.find_one({"_id": job.id}))
    assert "RuntimeError" in stored
    assert SECRET not in stored
