"""Jobs that grow towards the 16 MB of a MongoDB document: they end with that reason, once, and hinder no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import TranscriptError
from nightjar.config.settings import Settings
from nightjar.jobs import ownership
from nightjar.jobs.documents import Job
from nightjar.jobs.mongo import Database
from nightjar.jobs.retry import Again, Dead, Decision
from nightjar.jobs.states import JobStatus
from tests.documents import a_job, a_run, a_turn
from tests.scripted_replier import ScriptedReplier
from tests.workbench import Bench, make_run, opened_bench, statuses

MB = 1_000_000


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(
        database, services, Settings(home=tmp_path / "home", lease_s=3, beat_s=0.2, drain_s=5)
    ) as bench:
        yield bench


async def test_a_transcript_that_grows_too_large_ends_its_job_once(bench: Bench) -> None:
    """The turn that has no room is generated once; the turns before it stay; other jobs go on."""
    replier = ScriptedReplier(["x" * 3 * MB] * 40)  # stored twice, as the reply and as the raw text
    await make_run("large", sequences=1, turns=4, model=replier.name)
    await make_run("small", sequences=2, turns=1, model=replier.name)
    async with bench.dispatching(), bench.worker(replier, burst=True) as worker:
        assert await asyncio.wait_for(worker.task, 120) == 0
    assert 40 - len(replier.answers) == 3 + 2, "no turn was generated twice"
    assert await statuses("small") == {JobStatus.DONE: 2}
    [job] = await Job.find({"run": "large"}).to_list()
    assert (job.status, job.turns_committed, job.lapses, job.tries) == (JobStatus.DEAD, 2, 0, 1)
    assert job.reason is not None
    assert "transcript too large" in job.reason
    assert len(job.reason) < 1000


@pytest.fixture
async def held(database: Database) -> Job:
    await a_run().insert()
    job = await a_job().insert()
    [claimed] = await ownership.claim({job.id: 0}, "w", "host", 30, database)
    return claimed


@pytest.mark.parametrize(
    "decision", [Dead(reason="r" * 20 * MB, counted=("tries",)), Again(delay_s=1, counted=("tries",))]
)
async def test_errors_are_cut_before_they_are_stored(database: Database, held: Job, decision: Decision) -> None:
    """Beginning and end stay; what could not be stored would never end."""
    assert await ownership.fail(held, decision, "begin" + "e" * 20 * MB + "end", database)
    job = await Job.get(held.id)
    assert job is not None
    assert job.status is (JobStatus.DEAD if isinstance(decision, Dead) else JobStatus.PENDING)
    error = job.attempts[0].error
    assert error is not None
    assert error.startswith("begin")
    assert error.endswith("end")
    assert len(error) < 3000
    assert len(job.reason or "") < 3000


@pytest.mark.parametrize("size", [9 * MB, 4 * MB])
async def test_what_mongodb_says_of_the_size_is_a_permanent_error_that_quotes_nothing(
    database: Database, held: Job, size: int
) -> None:
    """A turn that is too large by itself, and one for which the document has no room left."""
    await database.jobs.update_one({"_id": held.id}, {"$set": {"payload": {"text": "p" * 10 * MB}}})
    with pytest.raises(TranscriptError) as raised:
        await ownership.commit_turn(held, a_turn(0, reply="x" * size, fence=held.fence), database, last=False)
    assert len(str(raised.value)) < 1000
    assert not raised.value.transient
