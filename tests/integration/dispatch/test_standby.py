"""Standby dispatchers on a real MongoDB and Redis: when they begin and stand back, and what they may close."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.closers import HOME_FIRST_S, Closer, Closers
from nightjar.jobs.documents import Run
from nightjar.jobs.leases import (
    DISPATCHER_LIVE_S,
    DISPATCHER_MARK,
    dispatcher_is_live,
    live_closers,
    live_dispatchers,
    mark_dispatcher,
)
from nightjar.jobs.migrations import SCHEMA_VERSION
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Delivery, DeliveryState, Schedule
from nightjar.jobs.queue import Doorbell
from nightjar.jobs.runs.left_to_close import left_to_close
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.jobs.status.overview import read_overview
from nightjar.jobs.status.views import ServiceState
from nightjar.pipeline.dispatch.dispatcher import Dispatcher
from nightjar.pipeline.nights.schedules import add_schedule, fire_due
from nightjar.pipeline.notify.deliveries import claim_delivery
from nightjar.pipeline.runs.producer import enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.runs.this_home import this_home
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from tests.workbench import MODEL, make_run, until

WELL = ServiceState(ok=True)
ELSEWHERE = Closers(home="other", where="b:/home", scorers=("nightjar 0", "tone 1"))


@pytest.fixture
async def doorbell(services: ServiceUrls) -> AsyncIterator[Doorbell]:
    doorbell = await Doorbell.connect(services.redis)
    await doorbell.redis.flushall()
    yield doorbell
    await doorbell.close()


@pytest.fixture
def here(settings: Settings) -> Closers:
    return this_home(settings)


@asynccontextmanager
async def standby(database: Database, doorbell: Doorbell, settings: Settings) -> AsyncIterator[Dispatcher]:
    """A standby that runs; it ends as it should."""
    dispatcher, stop = Dispatcher(database, doorbell, settings, standby=True), asyncio.Event()
    task = asyncio.create_task(dispatcher.run(stop))
    try:
        yield dispatcher
    finally:
        stop.set()
        await task


async def owner(database: Database) -> str | None:
    """Who has the dispatchers' mark."""
    if not await dispatcher_is_live(database):
        return None
    row = await database.leases.find_one({"_id": f"{DISPATCHER_MARK}@{SCHEMA_VERSION}"})
    return None if row is None else str(row["owner"])


async def status_of(run: str) -> RunStatus:
    found = await Run.get(run)
    assert found is not None
    return found.status


async def finished_run(run_id: str, closers: Closers | None, **changes: Any) -> Run:
    """A run whose jobs have ended, and that is still to be planned and closed."""
    run = await make_run(run_id, sequences=1, turns=1, closers=closers, **changes)
    await (
        Run.get_pymongo_collection().database["jobs"].update_many({"run": run_id}, {"$set": {"status": JobStatus.DONE}})
    )
    return run


async def test_it_begins_at_once_where_nobody_dispatches(
    database: Database, doorbell: Doorbell, settings: Settings
) -> None:
    """It rings for what is due; at its end the mark is gone, so that the next need not wait."""
    await make_run("r", sequences=2)
    async with standby(database, doorbell, settings):
        await until(lambda: doorbell.depth(MODEL), within_s=10)
        assert await dispatcher_is_live(database)
    assert not await dispatcher_is_live(database)
    assert await live_closers(database) == []


async def test_it_waits_until_anothers_mark_counts_no_more(
    database: Database, doorbell: Doorbell, settings: Settings
) -> None:
    """While a dispatcher lives nothing is rung; ten seconds after its last mark it is."""
    await make_run("r", sequences=2)
    await mark_dispatcher("killed", database)
    marked = asyncio.get_running_loop().time()
    async with standby(database, doorbell, settings):
        await asyncio.sleep(3)
        assert await doorbell.depth(MODEL) == 0
        await until(lambda: doorbell.depth(MODEL), within_s=30)
        assert asyncio.get_running_loop().time() - marked >= DISPATCHER_LIVE_S - 0.5


async def test_one_of_several_dispatches_and_the_next_follows(
    database: Database, doorbell: Doorbell, settings: Settings, tmp_path: Path
) -> None:
    """Two standbys share one mark; when its owner ends, the other one has it within seconds."""
    async with standby(database, doorbell, Settings(home=tmp_path / "second")):
        first = await until(lambda: owner(database))
        async with standby(database, doorbell, settings):
            await until(lambda: _standbys(database, 2))
            await asyncio.sleep(2.5)
            assert await owner(database) == first
            assert list(await live_dispatchers(database)) == [SCHEMA_VERSION], "a migration waits for standbys, too"
        assert await owner(database) == first
    async with standby(database, doorbell, settings):
        assert await until(lambda: owner(database), within_s=DISPATCHER_LIVE_S / 2) != first


async def _standbys(database: Database, count: int) -> bool:
    return len(await live_closers(database) or ()) == count


async def test_it_stands_back_when_a_dispatcher_comes(
    database: Database, doorbell: Doorbell, settings: Settings, here: Closers
) -> None:
    """It rings and closes no more: a dispatcher's reports are written where it runs."""
    async with standby(database, doorbell, settings):
        await until(lambda: owner(database))
        for _ in range(3):
            await mark_dispatcher("by hand", database)
            await asyncio.sleep(1)
        await finished_run("r", here)
        await make_run("s")
        await doorbell.redis.flushdb()
        await mark_dispatcher("by hand", database)
        await asyncio.sleep(2)
        assert await owner(database) == "by hand"
        assert await doorbell.depth(MODEL) == 0
        assert await status_of("r") is RunStatus.ACTIVE
        assert await live_closers(database) is None, "one lives that may close everything"


async def test_it_closes_what_its_home_enqueued_and_leaves_the_rest_ready(
    database: Database, doorbell: Doorbell, settings: Settings, here: Closers
) -> None:
    """Runs of another home with other scorers, and those of before it was recorded; status says who could."""
    for name, closers in (("own", here), ("foreign", ELSEWHERE), ("old", None)):
        await finished_run(name, closers)
    async with standby(database, doorbell, settings) as dispatcher:

        async def all_seen() -> bool:
            others = [await Run.get(name) for name in ("foreign", "old")]
            return await status_of("own") is RunStatus.DONE and all(run and run.judging.planned for run in others)

        await until(all_seen, within_s=60)
        assert list((settings.home / "reports").glob("*own*.html"))
        await asyncio.sleep(2.5)
        assert [await status_of(name) for name in ("foreign", "old")] == [RunStatus.JUDGING] * 2
        overview = await read_overview(database, WELL)
        waits = {run.name: run.wait for run in overview.runs}
        assert waits["own"] is None
        assert (waits["foreign"] or "").startswith(
            "ready to close: nightjar dispatcher does that, or a worker in b:/home"
        )
        assert (waits["old"] or "") == "ready to close: nightjar dispatcher does that"
        assert overview.stalled
        assert not await left_to_close(dispatcher.closer, database), "nothing is left that it may do"
        await mark_dispatcher("by hand", database)
        assert await left_to_close(dispatcher.closer, database), "a dispatcher has come that will"
        assert {run.wait for run in (await read_overview(database, WELL)).runs} == {None}


async def test_a_host_that_scores_alike_closes_what_the_home_does_not(
    database: Database, doorbell: Doorbell, settings: Settings, here: Closers
) -> None:
    """Some seconds later; meanwhile status does not call it stuck."""
    await finished_run("r", here.model_copy(update={"home": "other"}))
    began = asyncio.get_running_loop().time()
    async with standby(database, doorbell, settings) as dispatcher:

        async def planned() -> bool:
            run = await Run.get("r")
            return run is not None and run.judging.planned

        await until(planned)
        assert (await read_overview(database, WELL)).runs[0].wait is None
        assert await left_to_close(dispatcher.closer, database)

        async def done() -> bool:
            return await status_of("r") is RunStatus.DONE

        await until(done, within_s=60)
        assert asyncio.get_running_loop().time() - began >= HOME_FIRST_S


async def test_schedules_are_fired_by_those_who_may(database: Database, here: Closers) -> None:
    """The home at its tick; one that scores alike ten seconds later; others not at all. The run is its home's."""
    sequence = Sequence.model_validate({"id": "a", "turns": [{"prompt": "x"}]})
    await import_suite(SuiteContent(name="tales", sequences=(sequence,)), database)
    options = {"suite": "tales", "models": ("m",), "known_models": ("m",)}
    await add_schedule("nightly", "* * * * *", "UTC", options, database, closers=here)
    schedule = await Schedule.get("nightly")
    assert schedule is not None
    tick = schedule.last_tick.replace(second=0, microsecond=0) + timedelta(minutes=1)
    alike = Closer(here=here.model_copy(update={"home": "other"}), dispatcher=False)
    assert await fire_due(database, tick, closer=Closer(here=ELSEWHERE, dispatcher=False)) == []
    assert await fire_due(database, tick + timedelta(seconds=HOME_FIRST_S - 1), closer=alike) == []
    [run] = await fire_due(database, tick + timedelta(seconds=HOME_FIRST_S), closer=alike)
    assert run.closers == here
    await database.runs.update_many({}, {"$set": {"status": RunStatus.DONE}})
    [run] = await fire_due(database, tick + timedelta(minutes=1), closer=Closer(here=here, dispatcher=False))
    assert run.closers == here


async def test_calls_are_made_by_those_who_may(database: Database, settings: Settings, here: Closers) -> None:
    """The home at once; one that scores alike once the call has been due for ten seconds; others never."""
    now = await database.now()

    async def due(since_s: float) -> None:
        fields: dict[str, Any] = {"run": "r", "run_name": "r", "event": "done", "payload": {}, "created_at": now}
        fields |= {"hook": {"kind": "command", "target": "true"}, "closers": here.model_dump()}
        await Delivery.find_all().delete()
        await Delivery(id="d", due_at=now - timedelta(seconds=since_s), **fields).insert()

    async def takes(who: Closers) -> bool:
        query = Closer(here=who, dispatcher=False).query("due_at")
        taken = await claim_delivery(settings.night, "me", database, query)
        return taken is not None and taken.state is DeliveryState.CLAIMED

    alike = here.model_copy(update={"home": "other"})
    await due(HOME_FIRST_S / 2)
    assert [await takes(who) for who in (ELSEWHERE, alike, here)] == [False, False, True]
    await due(HOME_FIRST_S + 1)
    assert [await takes(who) for who in (ELSEWHERE, alike)] == [False, True]


async def test_a_run_of_old_is_closed_by_the_home_that_enqueues_it_again(database: Database, here: Closers) -> None:
    """Runs did not say who may close them once; one that does is not taken over."""
    sequence = Sequence.model_validate({"id": "a", "turns": [{"prompt": "x"}]})
    await import_suite(SuiteContent(name="tales", sequences=(sequence,)), database)
    request = make_request(suite="tales", models=("m",), known_models=("m",), name="night")

    assert (await enqueue(request, database)).run.closers is None
    for closers in (here, ELSEWHERE):
        await enqueue(request, database, closers=closers)

    run = await Run.find_one({"name": "night"})
    assert run is not None
    assert run.closers == here
