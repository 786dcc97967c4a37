"""A conversation keeps its slot from its first turn to its last reply; the last commit needs none."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from nightjar.jobs.records import TurnRecord
from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.jobs.states import JobKind
from nightjar.workers.process.heartbeat import Tally
from nightjar.workers.process.held_jobs import Hold
from nightjar.workers.process.tasks import JobContext, run_job
from tests.scripted_replier import ScriptedReplier


class Bench:
    """Jobs of one worker with a single slot; commits wait until `written` is set."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.written = asyncio.Event()
        nothing: Any = None
        self.context = JobContext(
            model=Listed(self.events),
            run_cache=cast("Any", self),
            worker="w",
            tally=Tally(),
            database=nothing,
            commits=cast("Any", self),
            slots=asyncio.Semaphore(1),
        )

    async def sequence(self, _: Any) -> Sequence:
        return Sequence(id="s", turns=(TurnSpec(prompt="a"), TurnSpec(prompt="b")))

    async def commit(self, job: Any, record: TurnRecord, *, last: bool) -> None:
        self.events.append(f"{job.id} commits{' the last' if last else ''}")
        await self.written.wait()

    def start(self, name: str, turns: int) -> asyncio.Task[None]:
        job: Any = SimpleNamespace(
            id=name,
            kind=JobKind.REPLY,
            turns=[],
            turns_total=turns,
            sequence_document="",
            fence=1,
            repeat=0,
            sequence_digest="",
            payload=None,
            live=None,
            variant=None,
            routed=None,
        )
        run: Any = SimpleNamespace(name="r", seed=1, set_parameters={}, set_model_parameters={}, variant=lambda _: None)
        return asyncio.create_task(run_job(Hold(job=job, run=run), self.context))


class Listed(ScriptedReplier):
    """Records which jobs are replied to."""

    def __init__(self, events: list[str]) -> None:
        super().__init__(["reply"] * 9)
        self.events = events

    async def answer(self, request: str, parameters: Any) -> str:
        name, _, turn = request.split(".")
        self.events.append(f"{name} generates {turn}")
        return await super().answer(request, parameters)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_next_conversation_begins_while_the_last_turn_is_written() -> None:
    bench = Bench()
    jobs = [bench.start("first", 1), bench.start("second", 1)]
    await settle()
    assert {"first commits the last", "second generates 0"} <= set(bench.events)
    assert not any(job.done() for job in jobs)  # a job ends with its commit
    bench.written.set()
    await asyncio.gather(*jobs)
    assert bench.context.tally.turns_done == 2


async def test_between_two_turns_the_slot_is_kept() -> None:
    """Another conversation would push out the cells that the next turn goes on from."""
    bench = Bench()
    jobs = [bench.start("first", 2), bench.start("second", 1)]
    await settle()
    assert bench.events == ["first generates 0", "first commits"]
    bench.written.set()
    await asyncio.gather(*jobs)
    assert bench.events[2] == "first generates 1"
