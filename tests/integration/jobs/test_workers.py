"""Heartbeats and deaths of workers in MongoDB, and one meaning of "alive" everywhere."""

from __future__ import annotations

from datetime import timedelta

import pytest

from nightjar.jobs import backlog
from nightjar.jobs.machines import workers
from nightjar.jobs.machines.worker_documents import WorkerState
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import WorkerStatus
from nightjar.jobs.status.overview import read_overview
from nightjar.jobs.status.views import ServiceState
from nightjar.jobs.status.workers import read_serving

BEAT = {
    "host": "h",
    "pid": 1,
    "model": "m",
    "state": WorkerStatus.READY,
    "reason": None,
    "device": "cpu",
    "slots": 2,
    "slots_used": 1,
    "waiting": 0,
    "tokens_per_s": 5.0,
    "turns_per_s": 0.1,
    "wasted_tokens": 0,
}


async def grow_old(worker: str, age_s: float, database: Database) -> None:
    beat_at = await database.now() - timedelta(seconds=age_s)
    await database.workers.update_one({"_id": worker}, {"$set": {"beat_at": beat_at}})


@pytest.mark.parametrize(("age_s", "alive"), [(10, True), (20, False), (40, False), (90, False)])
async def test_everybody_agrees_who_is_alive(database: Database, age_s: float, alive: bool) -> None:
    """Status, dispatcher, `--model auto` and `model list`."""
    await workers.write_beat("h:1:1", BEAT, database)
    await grow_old("h:1:1", age_s, database)
    (shown,) = (await read_overview(database, ServiceState(ok=True))).workers
    assert shown.state.alive is alive
    assert await backlog.live_slots(database) == ({"m": 2} if alive else {})
    assert await backlog.live_workers(database) == ({"m": 1} if alive else {})
    assert (await read_serving(database))["m"].workers == (("h cpu",) if alive else ())


async def test_the_newest_failure_is_told_until_another_worker_beats(database: Database) -> None:
    await workers.write_beat("h:1:1", BEAT | {"state": WorkerStatus.FAILED, "reason": "not a GGUF"}, database)
    await grow_old("h:1:1", 9, database)
    assert (await read_serving(database))["m"].failure == "not a GGUF"
    await workers.write_beat("h:2:2", BEAT, database)
    serving = (await read_serving(database))["m"]
    assert (serving.failure, serving.workers) == (None, ("h cpu",))


async def test_an_orderly_end_is_no_crash(database: Database) -> None:
    """The worker leaves the list; its last beat stays for reports."""
    await workers.write_beat("h:1:1", BEAT, database)
    await workers.sign_off("h:1:1", database)
    await workers.sign_off("h:1:1", database)
    assert await WorkerState.find_all().to_list() == []
    assert (await workers.last_beats(["h:1:1"], database))["h:1:1"]["slots_used"] == 1
    assert await workers.recent_crashes(60, database) == []


@pytest.mark.parametrize(("held", "crashes"), [([], 0), (["a"], 1)])
async def test_how_a_process_ends_after_it_signed_off_is_no_crash(
    database: Database, held: list[str], crashes: int
) -> None:
    """Its work was done and it said so; unless it held a job all the same."""
    await workers.write_beat("h:1:1", BEAT, database)
    await workers.sign_off("h:1:1", database)
    await workers.record_death("h:1:1", "died of SIGSEGV", held, "", database)
    assert len(await workers.recent_crashes(60, database)) == crashes


@pytest.mark.parametrize(("state", "loading"), [(WorkerStatus.LOADING, True), (WorkerStatus.READY, False)])
async def test_a_death(database: Database, state: WorkerStatus, loading: bool) -> None:
    """It is recorded with the jobs held and the last output, and the worker's leases are free at once."""
    await workers.write_beat("h:1:1", BEAT | {"state": state}, database)
    await database.leases.insert_one({"_id": "gpu:1", "owner": "h:1:1"})
    assert await workers.record_death("h:1:1", "died of SIGSEGV", ["a", "b"], "last words", database) is loading
    assert await database.leases.count_documents({}) == 0
    stored = await WorkerState.get("h:1:1")
    assert stored is not None
    assert (stored.state, stored.reason, stored.slots_used) == (WorkerStatus.DEAD, "died of SIGSEGV", 0)
    (crash,) = await workers.crashes_holding("a", ["h:1:1"], database)
    assert (crash.held, crash.stderr, crash.reason) == (["a", "b"], "last words", "died of SIGSEGV")
    assert [recent.worker for recent in await workers.recent_crashes(60, database)] == ["h:1:1"]
    assert await workers.crashes_holding("c", ["h:1:1"], database) == []


async def test_a_death_before_the_first_beat(database: Database) -> None:
    assert await workers.record_death("h:1:1", "died of SIGKILL", [], "", database) is False
    assert len(await workers.recent_crashes(60, database)) == 1
