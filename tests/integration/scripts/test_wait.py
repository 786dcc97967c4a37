"""Waiting for runs, on a real MongoDB."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nightjar.config.errors import UsageError
from nightjar.jobs import control
from nightjar.jobs.database import Database
from nightjar.jobs.documents import Run, RunJudging
from nightjar.jobs.states import JobStatus, RunStatus, WorkerStatus
from nightjar.jobs.worker_documents import WorkerState
from nightjar.scripts.views.wait import Ended, hint, wait_for_run
from tests.dying_jobs import kill_one


async def finish(run: Run, database: Database) -> None:
    await database.jobs.update_many({"status": "PENDING"}, {"$set": {"status": JobStatus.DONE}})
    await control.move(run, RunStatus.JUDGING, database)
    await control.move(run, RunStatus.DONE, database)


async def test_waiting_ends_with_the_run(run: Run, database: Database) -> None:
    waiting = asyncio.create_task(wait_for_run(run, database))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await finish(run, database)
    ended = await asyncio.wait_for(waiting, 30)
    assert not ended.failed
    assert ended.jobs == {"PENDING": 0, "RUNNING": 0, "DONE": 2, "DEAD": 0, "CANCELLED": 0}
    assert "is DONE: 2 DONE. `nightjar report nightly`" in ended.sentence()


async def test_a_dead_job_makes_the_waiting_fail(run: Run, database: Database) -> None:
    await kill_one(run, database)
    await finish(run, database)
    ended = await wait_for_run(run, database)
    assert ended.failed
    assert "1 DONE, 1 DEAD" in ended.sentence()


@pytest.mark.parametrize("status", [RunStatus.PAUSED, RunStatus.STOPPED, RunStatus.CANCELLED])
async def test_a_run_that_goes_no_further_ends_the_waiting(run: Run, database: Database, status: RunStatus) -> None:
    await control.move(run, status, database, reason="too hot")
    ended = await wait_for_run(run, database)
    assert ended.failed
    assert f"is {status} (too hot)" in ended.sentence()


async def test_waiting_has_a_limit_and_notices_a_removed_run(run: Run, database: Database) -> None:
    ended = await wait_for_run(run, database, timeout_s=0.1)
    assert (ended.failed, ended.run.status) == (True, RunStatus.ACTIVE)
    await database.runs.delete_many({})
    with pytest.raises(UsageError, match="removed"):
        await wait_for_run(run, database)


async def test_the_hint_names_the_model_that_nobody_serves(run: Run, database: Database) -> None:
    assert await hint(run, database) == "no worker for m: nightjar worker --model m"
    now = await database.now()
    worker = WorkerState(
        id="w", host="h", pid=1, model="m", state=WorkerStatus.READY, slots=2, started_at=now, beat_at=now
    )
    await worker.insert()
    assert await hint(run, database) == ""
    judging = run.model_copy(update={"status": RunStatus.JUDGING, "judging": RunJudging(judges=["judge"])})
    assert await hint(judging, database) == "no worker for judge: nightjar worker --model judge"


@pytest.mark.parametrize(
    ("status", "dead", "failed"),
    [(RunStatus.DONE, 0, False), (RunStatus.DONE, 1, True), (RunStatus.ACTIVE, 0, True), (RunStatus.STOPPED, 0, True)],
)
def test_only_a_run_that_is_done_without_a_dead_job_went_well(status: RunStatus, dead: int, failed: bool) -> None:
    run: Any = Run.model_construct(name="n", status=status, status_reason=None)
    assert Ended(run=run, jobs=dict.fromkeys(map(str, JobStatus), 0) | {"DEAD": dead}).failed is failed
