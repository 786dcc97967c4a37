"""No secret of the settings leaves by an error that is stored and shown in reports."""

from __future__ import annotations

from typing import Any, cast

import pytest

from nightjar.jobs import ownership
from nightjar.jobs.database import Database
from nightjar.jobs.documents import Job
from nightjar.workers.process import tasks
from nightjar.workers.process.held_jobs import Hold
from nightjar.workers.process.tasks import Desk, run_job
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
async def test_a_jobs_error_is_stored_without_secrets(
    database: Database, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    async def fails(hold: Hold, desk: Desk) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(tasks, "_converse", fails)
    run = await make_run("r", sequences=1, max_tries=1)
    (job,) = await Job.find().to_list()
    (claimed,) = await ownership.claim({job.id: 0}, "w", "h", 30, database)
    desk: Any = type("Bare", (), {"database": database})()
    await run_job(Hold(job=claimed, run=run), cast("Desk", desk))
    stored = str(await database.jobs.find_one({"_id": job.id}))
    assert "RuntimeError" in stored
    assert SECRET not in stored
