"""The doorbell's two ends on a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from arq.constants import in_progress_key_prefix, job_key_prefix

from nightjar.config.embedded import ServiceUrls
from nightjar.jobs.queue import Doorbell, DueJob, listen, queue_name
from tests.workbench import until

MODEL = "m/1"


@pytest.fixture
async def doorbell(services: ServiceUrls) -> AsyncIterator[Doorbell]:
    doorbell = await Doorbell.connect(services.redis)
    await doorbell.redis.flushall()
    yield doorbell
    await doorbell.close()


class Ear:
    """A listener that claims nothing."""

    def __init__(self, services: ServiceUrls, *, room: int = 100) -> None:
        self.batches: list[list[DueJob]] = []
        self.room = room
        self._services = services

    @property
    def heard(self) -> list[DueJob]:
        return [rung for batch in self.batches for rung in batch]

    async def hear(self, rung: list[DueJob]) -> None:
        self.batches.append(rung)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        task = asyncio.create_task(
            listen(self._services.redis, MODEL, start=self.hear, free=lambda: self.room, most=100)
        )
        try:
            yield
        finally:
            while not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=0.5)


async def test_entries_come_in_order_many_at_a_time_and_go_away(doorbell: Doorbell, services: ServiceUrls) -> None:
    """Rung for twice, heard once; when all are answered nothing of them is left in Redis."""
    entries = [(f"j{n}", n % 3) for n in range(50)]
    for _ in range(2):
        await doorbell.ring(MODEL, "r", entries)
    ear = Ear(services)
    async with ear.listening():
        await until(lambda: len(ear.heard) == 50)

        async def empty() -> bool:
            return await doorbell.depth(MODEL) == 0 and not await doorbell.redis.keys("arq:*")

        await until(empty)
    assert ear.heard == [DueJob("r", job, fence) for job, fence in entries]
    assert len(ear.batches) == 1


async def test_a_listener_takes_no_more_than_it_has_room_for(doorbell: Doorbell, services: ServiceUrls) -> None:
    await doorbell.ring(MODEL, "r", [(f"j{n}", 0) for n in range(10)])
    ear = Ear(services, room=0)
    async with ear.listening():
        await asyncio.sleep(0.2)
        assert ear.heard == []
        ear.room = 4
        await until(lambda: len(ear.heard) == 10)
    assert max(map(len, ear.batches)) == 4


async def test_two_listeners_share_without_hearing_twice(doorbell: Doorbell, services: ServiceUrls) -> None:
    first, second = Ear(services, room=3), Ear(services, room=3)
    async with first.listening(), second.listening():
        await doorbell.ring(MODEL, "r", [(f"j{n}", 0) for n in range(60)])
        await until(lambda: len(first.heard) + len(second.heard) >= 60)
    assert len({*first.heard, *second.heard}) == 60
    assert first.heard
    assert second.heard


async def test_what_a_dead_worker_locked_is_passed_over_until_the_lock_lapses(
    doorbell: Doorbell, services: ServiceUrls
) -> None:
    await doorbell.ring(MODEL, "r", [("held", 0), ("free", 0)])
    await doorbell.redis.set(f"{in_progress_key_prefix}held.0", "1", px=700)
    ear = Ear(services)
    async with ear.listening():
        await until(lambda: ear.heard == [DueJob("r", "free", 0)])
        await until(lambda: ear.heard == [DueJob("r", "free", 0), DueJob("r", "held", 0)])


async def test_what_others_wrote_into_the_queue_is_thrown_away(doorbell: Doorbell, services: ServiceUrls) -> None:
    """No payload, no JSON, another shape, another id: none of it is handed over, or stops what is right."""
    await doorbell.redis.zadd(queue_name(MODEL), {"expired.0": 1, "rot.0": 2, "shape.0": 3, "id.0": 4})
    await doorbell.redis.set(f"{job_key_prefix}rot.0", b"\x80\x04")
    await doorbell.redis.set(f"{job_key_prefix}shape.0", b'{"t": 1, "f": "start", "a": ["r"], "k": {}, "et": 1}')
    other = b'{"t": null, "f": "start", "a": ["r", "j", 1], "k": {}, "et": 1}'
    await doorbell.redis.set(f"{job_key_prefix}id.0", other)
    await doorbell.ring(MODEL, "r", [("right", 0)])
    ear = Ear(services)
    async with ear.listening():
        await until(lambda: ear.heard)

        async def empty() -> bool:
            return await doorbell.depth(MODEL) == 0

        await until(empty)
    assert ear.heard == [DueJob("r", "right", 0)]


async def test_a_flushed_script_is_sent_again(doorbell: Doorbell, services: ServiceUrls) -> None:
    """A Redis that was restarted knows no scripts."""
    ear = Ear(services)
    async with ear.listening():
        await asyncio.sleep(0.2)
        await doorbell.redis.script_flush()
        await doorbell.ring(MODEL, "r", [("j", 0)])
        await until(lambda: ear.heard)
