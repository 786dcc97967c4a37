"""What `nightjar status` knows, on a real MongoDB: workers in every state, waits, retries, waste, dead jobs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest

from nightjar.jobs import ownership
from nightjar.jobs.documents import Job
from nightjar.jobs.hindered import Hindrances
from nightjar.jobs.leases import mark_dispatcher
from nightjar.jobs.machines.worker_documents import WorkerState
from nightjar.jobs.mongo import Database
from nightjar.jobs.retry import Again, Dead
from nightjar.jobs.status.overview import read_overview
from nightjar.jobs.status.views import Overview, ServiceState, WorkerView
from nightjar.jobs.troubles import StoredBoard
from tests.workbench import MODEL, make_run

WELL = ServiceState(ok=True)
KEYS = {
    "services": "ok reason",
    "queues": "model waiting reason stalled",
    "workers": "id host device model state reason slots_used slots waiting tokens_per_s turns_per_s wasted_tokens "
    "beat_age_s doing threads others_cores",
    "runs": "id name suite status reason priority jobs_total jobs turns retries eta_s wait judging_shown "
    "judging_under_way waves cost_usd cost electricity_usd electricity "
    "costs names",
    "dead": "run model kind count example",
    "nights": "",
    "chores": "process chore about error failures since last_at failing",
    "unreadable": "",
}


async def add_worker(database: Database, name: str, age_s: float = 0, **fields: Any) -> None:
    now = await database.now()
    beat_at = now - timedelta(seconds=age_s)
    given = {
        "host": "h",
        "pid": 1,
        "model": MODEL,
        "state": "ready",
        "slots": 4,
        "slots_used": 2,
        "started_at": beat_at,
    }
    await WorkerState(**(given | {"id": name, "started_at": beat_at, "beat_at": beat_at} | fields)).insert()


async def overview(database: Database, *, redis: ServiceState = WELL, dispatching: bool = True) -> Overview:
    if dispatching:
        await mark_dispatcher("d", database)
    return await read_overview(database, redis)


# What its last beat said, how old that is, and what it is called.
WORKERS = [
    ({"state": "loading"}, 0, "loading", None),
    ({}, 0, "ready", None),
    ({"state": "draining"}, 0, "draining", None),
    (
        {"state": "stalled", "reason": "the engine has made no step for 30 s"},
        0,
        "stalled",
        "the engine has made no step",
    ),
    ({}, 20, "stalled", "no beat for 20 s"),  # stopped, or cut off
    ({}, 90, "dead", "no beat for 90 s"),  # a host that vanished
    ({"state": "dead", "reason": "died of SIGSEGV"}, 1, "dead", "died of SIGSEGV"),  # as its supervisor told
    ({"state": "failed", "reason": "not a GGUF"}, 90, "failed", "not a GGUF"),
]


@pytest.mark.parametrize(("fields", "age_s", "state", "reason"), WORKERS)
async def test_a_workers_state(
    database: Database, fields: dict[str, Any], age_s: float, state: str, reason: str | None
) -> None:
    await make_run("r")
    await add_worker(database, "w", age_s, wasted_tokens=17, **fields)
    told = await overview(database)
    (worker,) = told.workers
    assert isinstance(worker, WorkerView)
    assert (worker.state, worker.wasted_tokens) == (state, 17)
    assert reason is None or str(worker.reason).startswith(reason)
    serving = state in ("ready", "loading")
    assert told.stalled is not serving, "exit code 1 where nobody will take the jobs"
    assert serving or "no worker for model" in str(told.queues[0].reason)


async def test_workers_gone_for_long_are_forgotten(database: Database) -> None:
    await add_worker(database, "w", 7200)
    assert (await overview(database)).workers == []


async def test_retries_and_the_dead_by_reason(database: Database) -> None:
    await make_run("r", sequences=5)
    for number, job in enumerate(await Job.find().sort("order").to_list()):
        [claimed] = await ownership.claim({job.id: 0}, "w", "h", 30, database)
        error = f"ContextError: {9 + number} of 8 tokens" if number < 3 else "TemplateError: no such role"
        decision = Dead(reason=error, counted=("tries",)) if number < 4 else Again(delay_s=90, counted=("tries",))
        await ownership.fail(claimed, decision, error, database)
    await Job.find_one({"status": "PENDING"}).update({"$inc": {"fence": 1, "lapses": 2}})
    await add_worker(database, "w")
    told = await overview(database)
    assert [(dead.kind, dead.count) for dead in told.dead] == [("ContextError", 3), ("TemplateError", 1)]
    assert "of 8 tokens" in told.dead[0].example
    assert told.runs[0].retries == 3, "one try and two lapses of the job that is tried again"
    assert str(told.queues[0].reason).startswith("backoff until")
    assert not told.stalled


async def test_redis_away_is_the_reason(database: Database) -> None:
    await make_run("r")
    await add_worker(database, "w")
    told = await overview(database, redis=ServiceState(ok=False, reason="refused"))
    assert (told.queues[0].reason, told.stalled) == ("redis down", True)


async def test_only_suspects_wait(database: Database) -> None:
    await make_run("r", sequences=2)
    await Job.find().update({"$set": {"suspect": True, "fence": 2}})
    await add_worker(database, "w")
    assert "suspect" in str((await overview(database)).queues[0].reason)


async def test_a_run_without_a_dispatcher_is_stalled_at_its_end_too(database: Database) -> None:
    """Its jobs are done, or held by a worker that is lost: nothing waits in a queue, and nothing will ever happen."""
    await make_run("done", sequences=1)
    await Job.find({"run": "done"}).update({"$set": {"status": "DONE"}})
    await make_run("held", sequences=1)
    (job,) = await Job.find({"run": "held"}).to_list()
    await ownership.claim({job.id: 0}, "w", "h", -1, database)
    told = await overview(database, dispatching=False)
    assert [(run.name, run.wait) for run in told.runs] == [(name, "no dispatcher runs") for name in ("done", "held")]
    assert told.stalled
    told = await overview(database)
    assert ([run.wait for run in told.runs], told.stalled) == ([None, None], False)


async def test_the_keys_of_json_are_stable(database: Database) -> None:
    """Scripts rely on them: none renamed, none moved."""
    await make_run("r", sequences=2)
    job = await Job.find_one({"run": "r"})
    assert job is not None
    [claimed] = await ownership.claim({job.id: 0}, "w", "h", 30, database)
    await ownership.fail(claimed, Dead(reason="e", counted=("tries",)), "e", database)
    await add_worker(database, "w")
    hindrances = Hindrances(now={"run r": "it cannot be read"})
    await StoredBoard("dispatcher h:1", database).show("advance", hindrances, 1)
    data = asdict(await overview(database))
    assert list(data) == list(KEYS)
    for name, keys in KEYS.items():
        rows = list(data[name].values()) if name == "services" else data[name]
        assert [list(row) for row in rows[:1]] == ([keys.split()] if keys else [])
    assert list(data["runs"][0]["jobs"]) == ["PENDING", "RUNNING", "DONE", "DEAD", "CANCELLED"]
    assert list(data["runs"][0]["turns"]) == ["committed", "empty"]


async def test_how_long_a_run_still_takes(database: Database) -> None:
    """By the turns that its workers did lately; unknown before a job is done."""
    await make_run("r", sequences=4, turns=2)
    await add_worker(database, "w", turns_per_s=0.5)
    assert (await overview(database)).runs[0].eta_s is None
    await Job.find({"order": 0}).update({"$set": {"status": "DONE", "turns_committed": 2}})
    assert (await overview(database)).runs[0].eta_s == 12
