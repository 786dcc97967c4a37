"""Events on a real Redis: who says them, what a reader hears, and that a gap is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs import event_stream
from nightjar.jobs.documents import Run
from nightjar.jobs.event_stream import FIRST, STREAM, EventReader, RedisEvents
from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.mongo import Database
from nightjar.jobs.queue import Doorbell
from nightjar.jobs.runs import control
from nightjar.jobs.states import RunStatus
from nightjar.scripts.views import pull_events
from nightjar.scripts.views.pull_events import told_pull
from nightjar.workers.engine.fake import ScriptedEngine
from tests.workbench import Bench, make_run, opened_bench, until


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(database, services, Settings(home=tmp_path / "home", drain_s=5)) as bench:
        database.events = events = RedisEvents(lambda: Doorbell.unconnected(services.redis))
        yield bench
        await events.close()


async def test_a_run_is_told_by_worker_and_dispatcher(bench: Bench) -> None:
    """From claims to the run's end, and nothing of prompts and replies."""
    await make_run("r", sequences=2, turns=2)
    async with bench.dispatching(), bench.worker(ScriptedEngine(slots=2)):
        await until(lambda: Run.find_one({"_id": "r", "status": RunStatus.DONE}), within_s=60)
    reader = EventReader(bench.doorbell)
    await until(lambda: _heard(reader, EventKind.RUN, 2))
    batch = await reader.replay(FIRST)
    kinds = [seen.event.kind for seen in batch.events]
    assert kinds.count(EventKind.TURN) == 2
    assert kinds.count(EventKind.JOB) == 4
    assert {EventKind.WORKER, EventKind.MODEL, EventKind.RUN} <= set(kinds)
    claims = [seen.event for seen in batch.events if seen.event.kind is EventKind.JOB]
    assert {(event.run, event.worker, event.model) for event in claims} == {("r", "host:1:1", "scripted")}
    assert [seen.seq for seen in batch.events] == list(range(1, len(batch.events) + 1))
    raw = str(await bench.doorbell.redis.xrange(STREAM))
    assert "You wrote" not in raw
    assert "Turn" not in raw
    later = await reader.replay(batch.events[2].id)
    assert later.events == batch.events[3:]
    assert not later.gap


async def _heard(reader: EventReader, kind: EventKind, least: int) -> bool:
    return sum(seen.event.kind is kind for seen in (await reader.replay(FIRST)).events) >= least


async def test_control_is_told_and_followed(bench: Bench) -> None:
    run = await make_run("r")
    reader = EventReader(bench.doorbell)
    following = reader.follow(await reader.last())
    heard = asyncio.create_task(_next_events(following))
    await control.pause(run, bench.database)
    assert [seen.event for seen in await asyncio.wait_for(heard, 30)] == [Moved(kind=EventKind.RUN, run="r")]
    await bench.doorbell.redis.delete(STREAM)  # as if Redis had lost everything
    await following.aclose()  # type: ignore[attr-defined]


async def _next_events(following: AsyncIterator[event_stream.EventBatch]) -> tuple[event_stream.SeenEvent, ...]:
    while not (batch := await anext(following)).events:
        pass
    return batch.events


async def test_a_gap_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trimmed away, flushed, or an id that cannot be: whoever reads begins anew."""
    monkeypatch.setattr(event_stream, "MOST_KEPT", 2)
    reader = EventReader(bench.doorbell)
    bench.database.events.say(Moved(kind=EventKind.RUN, run="0"))
    await until(lambda: _heard(reader, EventKind.RUN, 1))
    first = (await reader.replay(FIRST)).last
    for number in range(1, 400):  # more than fit into one node of the stream, which is what trimming drops
        bench.database.events.say(Moved(kind=EventKind.RUN, run=str(number)))
    await until(lambda: _newest_is(reader, "399"))
    gap = await reader.replay(first)
    assert gap.gap
    assert gap.events == ()
    assert await reader.replay(gap.last) == event_stream.EventBatch(events=(), last=gap.last)
    assert (await reader.replay("nonsense")).gap
    await bench.doorbell.redis.delete(STREAM)
    assert (await reader.replay(gap.last)).gap
    following = reader.follow(gap.last)
    assert (await anext(following)).gap
    await following.aclose()  # type: ignore[attr-defined]


async def _newest_is(reader: EventReader, run: str) -> bool:
    events = (await reader.replay(FIRST)).events
    return bool(events) and events[-1].event.run == run


async def test_a_redis_that_is_away_holds_nothing_up(bench: Bench) -> None:
    events = RedisEvents(lambda: Doorbell.unconnected(SecretStr("redis://127.0.0.1:1")))
    for _ in range(5000):
        events.say(Moved(kind=EventKind.RUN, run="r"))
    await asyncio.wait_for(events.close(), 10)


async def test_what_is_said_last_is_told_at_the_end(bench: Bench, services: ServiceUrls) -> None:
    events = RedisEvents(lambda: Doorbell.unconnected(services.redis))
    events.say(Moved(kind=EventKind.RUN, run="the last"))
    await events.close()
    doorbell = Doorbell.unconnected(services.redis)
    assert await _newest_is(EventReader(doorbell), "the last")
    await doorbell.close()


async def test_a_pull_is_told(
    bench: Bench, services: ServiceUrls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a thread of its own, while the bytes come; without a Redis in reach nothing is started for it."""
    monkeypatch.setattr(event_stream, "FLUSH_S", 60)  # else what is left at the end may be dropped
    monkeypatch.setattr(pull_events, "CLOSE_S", 60)

    class Counted:
        bytes = 0

        def start(self, label: str, total_bytes: int) -> None:
            """The bar."""

        def advance(self, count: int) -> None:
            self.bytes += count

    def pull(settings: Settings) -> int:
        shown = Counted()
        with told_pull(shown, "fox", settings) as progress:
            progress.start("fox", 2)
            progress.advance(2)
        return shown.bytes

    assert await asyncio.to_thread(pull, Settings(home=tmp_path / "nobody")) == 2
    assert not (tmp_path / "nobody").exists()
    assert await asyncio.to_thread(pull, Settings(home=tmp_path / "h", redis_url=services.redis)) == 2
    told = (await EventReader(bench.doorbell).replay(FIRST)).events
    assert {seen.event for seen in told} == {Moved(kind=EventKind.PULL, model="fox")}
