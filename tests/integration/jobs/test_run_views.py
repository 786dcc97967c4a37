"""Waiting for runs, and what is shown of them, on a real MongoDB."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nightjar.config.errors import UsageError
from nightjar.jobs import control, ownership
from nightjar.jobs.database import Database
from nightjar.jobs.documents import Run, WorkerState, utc_now
from nightjar.jobs.lookup import find_job
from nightjar.jobs.records import AttemptEnd
from nightjar.jobs.retry import Again, Dead
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.pipeline.runs.producer import enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from nightjar.scripts.views.job import describe_job, print_job
from nightjar.scripts.views.run import describe_run, list_runs, print_run
from nightjar.scripts.views.wait import Ended, _hint, wait_for_run


@pytest.fixture
async def run(database: Database) -> Run:
    """Two sequences on one model, ACTIVE, nothing done."""
    sequences = tuple(Sequence.model_validate({"id": i, "turns": [{"prompt": "x"}]}) for i in "ab")
    await import_suite(SuiteContent(name="tales", sequences=sequences), database)
    request = make_request(
        suite="tales", models=("m",), known_models=("m",), name="nightly", set_parameters={"top_k": 5}
    )
    return (await enqueue(request, database)).run


async def finish(run: Run, database: Database) -> None:
    await database.jobs.update_many({"status": "PENDING"}, {"$set": {"status": JobStatus.DONE}})
    await control.move(run, RunStatus.JUDGING, database)
    await control.move(run, RunStatus.DONE, database)


async def kill_one(run: Run, database: Database, reason: str = "ContextError: 9 of 8 tokens") -> None:
    job = await find_job(run, "a", database)
    [claimed] = await ownership.claim({job.id: job.fence}, "w1", "host", 30, database)
    await ownership.fail(claimed, Dead(reason=reason, counted=("tries",)), reason, database)


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
    assert await _hint(run, database) == "no worker for m: nightjar worker --model m"
    now = await database.now()
    worker = WorkerState(id="w", host="h", pid=1, model="m", state="ready", slots=2, started_at=now, beat_at=now)
    await worker.insert()
    assert await _hint(run, database) == ""
    judging = run.model_copy(update={"status": RunStatus.JUDGING, "judges": ["judge"]})
    assert await _hint(judging, database) == "no worker for judge: nightjar worker --model judge"


async def test_a_run_is_described_by_model_with_the_reasons_of_its_dead(
    run: Run, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    await kill_one(run, database, "ContextError: \x1b[31m9 of 8 tokens")
    data = await describe_run(run, database)
    (model,) = data["models"]
    assert (model["name"], model["digest"], model["jobs"]["PENDING"], model["jobs"]["DEAD"]) == ("m", None, 1, 1)
    assert [(row["jobs"], row["reason"]) for row in data["dead_reasons"]] == [
        (1, "ContextError: \x1b[31m9 of 8 tokens")
    ]
    print_run(data)
    printed = capsys.readouterr().out
    assert "top_k=5" in printed
    assert "not loaded yet" in printed
    assert "\x1b[31m" not in printed  # what a model or a file made is no terminal's command
    (row,) = await list_runs(10, database)
    assert (row["run"], row["status"], row["done"], row["dead"], row["jobs"]) == ("nightly", "ACTIVE", 0, 1, 2)


async def test_a_jobs_attempts_are_a_timeline(run: Run, database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its wait, its length, its end and its reason; a crash with what the process last wrote."""
    job = await find_job(run, "a", database)
    assert await ownership.claim({job.id: job.fence}, "h:1:1", "h", 30, database)
    crashed = "its worker died of SIGSEGV"
    query = {"_id": job.id, "fence": 1}
    await ownership.apply_decision(query, Again(delay_s=0, counted=("crashes",)), AttemptEnd.CRASHED, crashed, database)
    stderr = "".join(f"line {n}\n" for n in range(40)) + "\x1b[2Jggml: out of reach\n"
    crash = {"worker": "h:1:1", "reason": "died of SIGSEGV", "held": [job.id, "x"], "stderr": stderr, "at": utc_now()}
    await database.raw["crashes"].insert_one(crash)
    await kill_one(run, database)
    data = await describe_job(await find_job(run, "a:m:0", database), database)
    assert [(a["worker"], a["end"], a["fence"]) for a in data["attempts"]] == [
        ("h:1:1", "crashed", 1),
        ("w1", "error", 2),
    ]
    assert all(0 <= a["waited_s"] < 60 and 0 <= a["lasted_s"] < 60 for a in data["attempts"])
    assert (data["status"], data["turns"], data["crashes"][0]["jobs_in_hand"]) == ("DEAD", [], 2)
    print_job(data)
    printed = " ".join(capsys.readouterr().out.split())
    assert "DEAD (ContextError: 9 of 8 tokens), 0 of 1 turns" in printed
    assert "h:1:1 died of SIGSEGV with 1 other jobs in hand; it last wrote: line 29" in printed
    assert "ggml: out of reach" in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize(
    ("status", "dead", "failed"),
    [(RunStatus.DONE, 0, False), (RunStatus.DONE, 1, True), (RunStatus.ACTIVE, 0, True), (RunStatus.STOPPED, 0, True)],
)
def test_only_a_run_that_is_done_without_a_dead_job_went_well(status: RunStatus, dead: int, failed: bool) -> None:
    run: Any = Run.model_construct(name="n", status=status, status_reason=None)
    assert Ended(run=run, jobs=dict.fromkeys(map(str, JobStatus), 0) | {"DEAD": dead}).failed is failed
