"""Summaries that the workers of a run share: made once, by whoever needs it first and lives."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from nightjar.config.errors import EngineError
from nightjar.jobs.leases import acquire
from nightjar.jobs.mongo import Database
from nightjar.jobs.parameters import FinishReason
from nightjar.jobs.records import Timings
from nightjar.workers.engine.request import Generation
from nightjar.workers.process import stored_summaries
from nightjar.workers.process.stored_summaries import StoredSummaries
from tests.workbench import until


@dataclass
class Summariser:
    """A worker's model: each generation names the worker, and ends when it is let go."""

    name: str
    finish_reason: FinishReason = "stop"
    asked: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def make(self) -> Generation:
        self.asked += 1
        await self.ready.wait()
        return Generation(
            token_ids=(1, 2),
            text=f"as {self.name} says",
            finish_reason=self.finish_reason,
            prompt_tokens=9,
            reused_tokens=3,
            timings=Timings(queue_s=0.1, prefill_s=0.2, decode_s=0.3),
        )


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_summaries, "LOOK_S", 0.02)


async def test_a_second_worker_waits_for_the_first_ones(database: Database) -> None:
    """And a third one, later, has it at once: the same in every field. Another text is another summary."""
    one, two, three = Summariser("one"), Summariser("two"), Summariser("three")
    first, second, third = (StoredSummaries(database=database) for _ in range(3))
    made = asyncio.create_task(first.once("key", "run", one.make))
    await until(lambda: one.asked)
    waiting = asyncio.create_task(second.once("key", "run", two.make))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    one.ready.set()
    assert await made == await waiting == await third.once("key", "run", three.make)
    assert (two.asked, three.asked) == (0, 0)
    two.ready.set()
    assert (await second.once("other", "run", two.make)).text == "as two says"


async def test_a_worker_that_died_over_it_is_not_waited_for_longer_than_its_lease(database: Database) -> None:
    assert await acquire("summary:key", "a dead worker", 0.5, database)
    one = Summariser("one")
    one.ready.set()
    assert (await StoredSummaries(database=database).once("key", "run", one.make)).text == "as one says"


async def test_what_failed_or_was_called_off_is_made_again(database: Database) -> None:
    """By the next who needs it; the error is for whoever had it."""
    store = StoredSummaries(database=database)
    called_off, good = Summariser("one", finish_reason="cancelled"), Summariser("two")
    called_off.ready.set()
    good.ready.set()

    async def fail() -> Generation:
        raise EngineError("out of memory")

    with pytest.raises(EngineError):
        await store.once("key", "run", fail)
    assert (await store.once("key", "run", called_off.make)).finish_reason == "cancelled"
    assert (await StoredSummaries(database=database).once("key", "run", good.make)).text == "as two says"


async def test_what_a_newer_version_kept_costs_only_the_sharing(database: Database) -> None:
    await database.raw["run_summaries"].insert_one({"_id": "key", "run": "run", "generation": {"new": 1}})
    one = Summariser("one")
    one.ready.set()
    assert (await StoredSummaries(database=database).once("key", "run", one.make)).text == "as one says"
