"""A conversation keeps its place from its first turn to its last reply; the last commit needs none."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nightjar.workers.process import tasks
from nightjar.workers.process.tasks import Desk, _converse


class Bench:
    """Jobs of one worker with a single place; commits wait until `written` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self.written = asyncio.Event()
        self.desk = cast(
            "Desk",
            SimpleNamespace(
                floor=asyncio.Semaphore(1),
                commits=self,
                runbook=self,
                plan=self.plan,
                conversation=lambda *_: None,
                tally=SimpleNamespace(turns_done=0, wasted_tokens=0),
            ),
        )
        monkeypatch.setattr(tasks, "_turn", self.turn)
        monkeypatch.setattr(tasks, "replay", lambda *_: None)

    async def sequence(self, _: Any) -> None: ...

    async def plan(self, work: Any) -> Any:
        return work()

    async def turn(self, hold: Any, desk: Any, conversation: Any, turn: int, *_: Any) -> tuple[None, Any]:
        self.events.append(f"{hold.job.name} generates {turn}")
        return None, SimpleNamespace(draws=[])

    async def commit(self, job: Any, record: Any, *, last: bool) -> None:
        self.events.append(f"{job.name} commits{' the last' if last else ''}")
        await self.written.wait()

    def start(self, name: str, turns: int) -> asyncio.Task[None]:
        job = SimpleNamespace(name=name, kind=None, turns=[], turns_total=turns, sequence_document=None)
        hold: Any = SimpleNamespace(job=job, run=None, stop_after_turn=False)
        return asyncio.create_task(_converse(hold, self.desk))


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_next_conversation_begins_while_the_last_turn_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    jobs = [bench.start("first", 1), bench.start("second", 1)]
    await settle()
    assert {"first commits the last", "second generates 0"} <= set(bench.events)
    assert not any(job.done() for job in jobs)  # a job ends with its commit
    bench.written.set()
    await asyncio.gather(*jobs)
    assert bench.desk.tally.turns_done == 2


async def test_between_two_turns_the_place_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another conversation would push out the cells that the next turn goes on from."""
    bench = Bench(monkeypatch)
    jobs = [bench.start("first", 2), bench.start("second", 1)]
    await settle()
    assert bench.events == ["first generates 0", "first commits"]
    bench.written.set()
    await asyncio.gather(*jobs)
    assert bench.events[2] == "first generates 1"
