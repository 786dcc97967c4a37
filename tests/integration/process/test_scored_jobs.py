"""Jobs whose given texts are scored, when their worker loses them half-way: with a real MongoDB and Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from _pytest.logging import LogCaptureFixture

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.documents import Job, SequenceDocument
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.sequences import Choices
from nightjar.jobs.states import JobStatus
from nightjar.jobs.withheld import WITHHELD, without_texts
from nightjar.workers.engine.fake import ScriptedEngine
from nightjar.workers.engine.request import ScoreRequest, ScoreResult
from tests.workbench import Bench, make_run, opened_bench, until

TURNS = 4
CHOICES = Choices(texts=("Paris", "Lyon", "Nice"), right=(0,), delimiter=" ")


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(
        database, services, Settings(home=tmp_path / "home", lease_s=15, beat_s=0.2, drain_s=5)
    ) as bench:
        yield bench


class Counting(ScriptedEngine):
    """Counts what it was asked to score; from the `stuck_at`-th on it hands nothing out until it is let go, be it still
    wanted or not."""

    def __init__(self, stuck_at: int | None = None) -> None:
        super().__init__(slots=1)
        self.asked = 0
        self.stuck, self.let_go = asyncio.Event(), asyncio.Event()
        self._stuck_at = stuck_at

    async def score(self, request: ScoreRequest) -> ScoreResult:
        self.asked += 1
        result = await super().score(request)
        if self._stuck_at is not None and self.asked >= self._stuck_at:
            self.stuck.set()
            while not self.let_go.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await self.let_go.wait()
        return result


async def the_job(run: str) -> Job:
    [job] = await Job.find({"run": run}).to_list()
    return job


async def lapse(database: Database, run: str) -> bool:
    """Its worker has not renewed the lease for too long; true once the job is taken back."""
    past = utc_now() - timedelta(seconds=1)
    await database.jobs.update_many({"run": run, "lapses": 0, "owner": "one:1:1"}, {"$set": {"lease_until": past}})
    return (await the_job(run)).lapses > 0


async def test_a_scored_job_that_is_taken_from_its_worker_commits_each_turn_once(bench: Bench) -> None:
    """The next worker begins at the turn that was lost and finds what an undisturbed one finds; the first one's late
    scores are committed by nobody."""
    first, second = Counting(stuck_at=3), Counting()
    await make_run("whole", sequences=1, turns=TURNS, choices=CHOICES)
    async with bench.dispatching():
        async with bench.worker(Counting(), burst=True, name="zero:1:1") as undisturbed:
            assert await asyncio.wait_for(undisturbed.task, 120) == 0
        await make_run("lost", sequences=1, turns=TURNS, choices=CHOICES)
        async with bench.worker(first, name="one:1:1"):
            try:
                await asyncio.wait_for(first.stuck.wait(), 60)
                await until(lambda: lapse(bench.database, "lost"))
                async with bench.worker(second, burst=True, name="two:1:1") as other:
                    assert await asyncio.wait_for(other.task, 120) == 0
            finally:
                first.let_go.set()
        whole, job = await the_job("whole"), await the_job("lost")

    assert (job.status, job.lapses, job.turns_committed) == (JobStatus.DONE, 1, TURNS)
    assert [(turn.index, turn.worker) for turn in job.turns] == [
        (0, "one:1:1"),
        (1, "one:1:1"),
        (2, "two:1:1"),
        (3, "two:1:1"),
    ]
    assert second.asked == TURNS - 2
    assert [turn.likelihoods for turn in job.turns] == [turn.likelihoods for turn in whole.turns]
    assert {turn.draw.reply for turn in whole.turns} <= set(CHOICES.texts)


async def withhold(database: Database) -> None:
    """The sequences of the runs are withheld from now on, as an import stores them."""
    for document in await SequenceDocument.find_all().to_list():
        whole = document.sequence.model_copy(update={"withheld": True})
        bare = without_texts(whole)
        stored = {"sequence": bare.model_dump(mode="json"), "kept_back": whole.model_dump(mode="json")}
        await database.raw["sequences"].update_one({"_id": document.id}, {"$set": stored})


class Quoting(ScriptedEngine):
    """Fails with an error that nobody foresaw and that quotes what it was given."""

    async def score(self, request: ScoreRequest) -> ScoreResult:
        raise ValueError("sequence 0, turn 0")


async def test_what_is_committed_of_a_withheld_job_has_none_of_its_texts(
    bench: Bench, caplog: LogCaptureFixture
) -> None:
    """Neither where it is scored, with the numbers that an open one has, nor where an error quotes it."""
    await make_run("open", sequences=1, turns=2, choices=CHOICES)
    async with bench.dispatching():
        async with bench.worker(ScriptedEngine(slots=1), burst=True, name="a:1:1") as worker:
            assert await asyncio.wait_for(worker.task, 120) == 0
        await make_run("closed", sequences=1, turns=2, choices=CHOICES)
        await withhold(bench.database)
        async with bench.worker(ScriptedEngine(slots=1), burst=True, name="b:1:1") as worker:
            assert await asyncio.wait_for(worker.task, 120) == 0
        await make_run("broken", sequences=1, turns=2, choices=CHOICES, max_tries=1)
        await withhold(bench.database)
        async with bench.worker(Quoting(slots=1), burst=True, name="c:1:1") as worker:
            assert await asyncio.wait_for(worker.task, 120) == 0
    shown, closed, broken = [await the_job(run) for run in ("open", "closed", "broken")]

    best = [CHOICES.texts.index(turn.draw.reply) for turn in shown.turns]
    assert [turn.draw.reply for turn in closed.turns] == ["ABC"[at] for at in best]
    assert [turn.prompt for turn in closed.turns] == [WITHHELD] * 2
    assert [turn.likelihoods for turn in closed.turns] == [turn.likelihoods for turn in shown.turns]
    assert (broken.status, broken.reason) == (
        JobStatus.DEAD,
        "RuntimeError: ValueError: what it says is withheld, as the question is",
    )
    assert "turn 0" not in str([closed.model_dump(), broken.model_dump()]) + caplog.text
