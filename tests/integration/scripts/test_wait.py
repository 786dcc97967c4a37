"""Waiting for runs, on a real MongoDB."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from nightjar.config.errors import UsageError
from nightjar.config.settings import Settings
from nightjar.jobs.documents import Run
from nightjar.jobs.judgings import first_judging
from nightjar.jobs.machines.auto_workers import mark_auto
from nightjar.jobs.machines.worker_documents import WorkerState
from nightjar.jobs.machines.workers import LATELY_S
from nightjar.jobs.mongo import Database
from nightjar.jobs.runs import control
from nightjar.jobs.states import JobStatus, RunStatus, WorkerStatus
from nightjar.scripts.views.wait import Ended, hint, unserved_notes, wait_for_run
from tests.dying_jobs import kill_one
from tests.workbench import until


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
    assert await hint(await with_worker(run, WorkerStatus.LOADING, database), database) == "m is being loaded"
    assert await hint(await with_worker(run, WorkerStatus.READY, database), database) == ""
    judging = run.model_copy(update={"status": RunStatus.JUDGING, "judging": first_judging(["judge"])})
    assert await hint(judging, database) == "no worker for judge: nightjar worker --model judge"


async def with_worker(run: Run, state: WorkerStatus, database: Database, *, silent_s: float = 0) -> Run:
    """The run, and one worker of its model in that state."""
    now = await database.now() - timedelta(seconds=silent_s)
    fields: dict[str, Any] = {"host": "h", "pid": 1, "model": "m", "slots": 2, "started_at": now, "beat_at": now}
    await WorkerState.find_all().delete()
    await WorkerState(id="w", state=state, **fields).insert()
    return run


async def test_a_model_that_is_done_needs_no_worker(run: Run, database: Database) -> None:
    await database.jobs.update_many({}, {"$set": {"status": JobStatus.DONE}})
    assert await hint(run, database) == ""


async def test_without_a_terminal_lines_say_what_is_waited_for(
    run: Run, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """At each turn of events, on standard error: nobody serves it, it is served, it is closed."""
    waiting = asyncio.create_task(wait_for_run(run, database))
    said = list[str]()

    def heard(part: str) -> bool:
        said.extend(capsys.readouterr().err.splitlines())
        return any(part in line for line in said)

    await until(lambda: heard("run nightly, ACTIVE, 0 of 2 jobs: no worker for m: nightjar worker --model m."))
    await with_worker(run, WorkerStatus.READY, database)
    await until(lambda: heard("run nightly, ACTIVE, 0 of 2 jobs."))
    await database.jobs.update_many({"status": "PENDING"}, {"$set": {"status": JobStatus.DONE}})
    await control.move(run, RunStatus.JUDGING, database)
    await until(lambda: heard("run nightly, JUDGING, 2 of 2 jobs."))
    await control.move(run, RunStatus.DONE, database)
    assert not (await waiting).failed


@pytest.mark.parametrize(
    ("state", "silent_s", "missing"),
    [
        (WorkerStatus.READY, 0, False),
        (WorkerStatus.READY, LATELY_S - 30, False),
        (WorkerStatus.READY, LATELY_S + 30, True),
        (WorkerStatus.FAILED, 0, True),
    ],
)
async def test_who_enqueues_hears_which_model_nobody_serves(
    run: Run, database: Database, settings: Settings, state: WorkerStatus, silent_s: float, missing: bool
) -> None:
    """With the command that starts a worker, and the database: under cron it may be another than the one meant."""
    await with_worker(run, state, database, silent_s=silent_s)
    notes = await unserved_notes(run, settings, database)
    assert bool(notes) is missing
    if missing:
        assert "no worker of m was seen in the last 10 minutes" in notes[0]
        assert "`nightjar worker --model m`" in notes[0]
        assert str(settings.home) in notes[0]


async def test_an_auto_worker_that_can_serves_every_model(run: Run, database: Database, settings: Settings) -> None:
    for cannot, heard in (({"m": "too large"}, True), ({}, False)):
        await mark_auto("auto", None, cannot, database)
        assert bool(await unserved_notes(run, settings, database)) is heard


@pytest.mark.parametrize(
    ("status", "dead", "failed"),
    [(RunStatus.DONE, 0, False), (RunStatus.DONE, 1, True), (RunStatus.ACTIVE, 0, True), (RunStatus.STOPPED, 0, True)],
)
def test_only_a_run_that_is_done_without_a_dead_job_went_well(status: RunStatus, dead: int, failed: bool) -> None:
    run: Any = Run.model_construct(name="n", status=status, status_reason=None)
    assert Ended(run=run, jobs=dict.fromkeys(map(str, JobStatus), 0) | {"DEAD": dead}).failed is failed
