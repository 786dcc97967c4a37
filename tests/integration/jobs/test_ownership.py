"""Ownership of jobs on a real MongoDB: claims, fences, leases, commits."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from nightjar.config.errors import LeaseLostError, UsageError
from nightjar.jobs import backlog, leases, ownership
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.records import AttemptEnd, TurnRecord
from nightjar.jobs.retry import Again, Dead
from nightjar.jobs.runs import control
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.workers.process.gpu_lease import GpuLease
from tests.documents import a_job, a_run, a_turn


def turn_of(job: Job, index: int, *, empty: str | None = None, chain: str = "") -> TurnRecord:
    """A turn under the job's fence. Its texts begin with a dollar: an update must not take them for fields."""
    chain = chain or f"c{index}-{job.fence}"
    return a_turn(index, prompt="$prompt", reply="$reply", empty=empty, chain=chain, fence=job.fence)


async def stored(job_id: str = "job1") -> Job:
    job = await Job.get(job_id)
    assert job is not None
    return job


async def claimed(database: Database, job_id: str = "job1", worker: str = "w", lease_s: float = 30) -> Job:
    [job] = await ownership.claim({job_id: (await stored(job_id)).fence}, worker, "host", lease_s, database)
    return job


@pytest.fixture
async def job(database: Database) -> Job:
    await a_run().insert()
    return await a_job().insert()


async def test_of_many_claims_one_wins(database: Database, job: Job) -> None:
    """Fifty workers ask at once; one gets the job, under a new fence, with an attempt and a lease."""
    answers = await asyncio.gather(*(ownership.claim({job.id: 0}, f"w{n}", "host", 30, database) for n in range(50)))
    winners = [won for answer in answers for won in answer]
    assert len(winners) == 1
    won = winners[0]
    assert (won.status, won.fence) == (JobStatus.RUNNING, 1)
    assert won.owner == won.attempts[0].worker
    assert won.lease_until is not None
    server = await database.now()
    assert timedelta(seconds=25) < won.lease_until - server < timedelta(seconds=31)


async def test_a_job_in_backoff_or_with_another_fence_is_not_claimed(database: Database, job: Job) -> None:
    """What the queue says may be old; MongoDB decides."""
    assert await ownership.claim({job.id: 7}, "w", "host", 30, database) == []
    await database.jobs.update_one({"_id": job.id}, {"$set": {"due_at": datetime.now(UTC) + timedelta(hours=1)}})
    assert await ownership.claim({job.id: 0}, "w", "host", 30, database) == []


async def test_turns_are_committed_in_order_and_the_last_ends_the_job(database: Database, job: Job) -> None:
    """Dollar signs in a reply stay text; counters, attempt and status follow."""
    held = await claimed(database)
    await ownership.commit_turn(held, turn_of(held, 0, empty="no text"), database, last=False)
    await ownership.commit_turn(held, turn_of(held, 1), database, last=True)
    done = await stored()
    assert (done.status, done.turns_committed, done.turns_empty) == (JobStatus.DONE, 2, 1)
    assert [t.draw.reply for t in done.turns] == ["$reply", "$reply"]
    assert done.attempts[0].end is AttemptEnd.DONE
    assert done.attempts[0].turns_committed == 2
    assert done.finished_at is not None
    assert done.lease_until is None


async def test_a_turn_committed_twice_is_there_once(database: Database, job: Job) -> None:
    """The answer to a commit may be lost; sending it again is no error and adds nothing."""
    held = await claimed(database)
    turn = turn_of(held, 0)
    await ownership.commit_turn(held, turn, database, last=False)
    await ownership.commit_turn(held, turn, database, last=False)
    assert (await stored()).turns_committed == 1


async def test_a_late_owner_can_change_nothing(database: Database, job: Job) -> None:
    """After its lease lapsed and another worker took the job, commit, release and fail have no effect."""
    late = await claimed(database, worker="late", lease_s=0)
    lapsed = await backlog.lapsed(10, database)
    assert [(entry.id, entry.owner) for entry in lapsed] == [(job.id, "late")]
    again = Again(delay_s=0, counted=("lapses",))
    query = {"_id": job.id, "fence": late.fence, "status": "RUNNING"}
    assert await ownership.apply_decision(query, again, AttemptEnd.LAPSED, "gone", database)
    now = await claimed(database, worker="now")
    assert now.lapses == 1
    with pytest.raises(LeaseLostError):
        await ownership.commit_turn(late, turn_of(late, 0), database, last=False)
    assert not await ownership.release(late, "late", database)
    assert not await ownership.fail(late, Dead(reason="late", counted=("tries",)), "late", database)
    assert await ownership.renew({job.id: late.fence}, "late", 30, database) == {job.id}
    assert await ownership.renew({job.id: now.fence}, "now", 30, database) == set()
    ends = [attempt.end for attempt in (await stored()).attempts]
    assert ends == [AttemptEnd.LAPSED, None]


async def test_a_commit_of_the_wrong_turn_is_refused(database: Database, job: Job) -> None:
    held = await claimed(database)
    with pytest.raises(LeaseLostError):
        await ownership.commit_turn(held, turn_of(held, 1), database, last=True)


async def test_release_counts_nothing_and_failures_count_tries(database: Database, job: Job) -> None:
    held = await claimed(database)
    assert await ownership.release(held, "drained", database)
    freed = await stored()
    assert (freed.status, freed.tries, freed.lapses, freed.owner) == (JobStatus.PENDING, 0, 0, None)
    held = await claimed(database)
    assert await ownership.fail(held, Again(delay_s=60, counted=("tries",)), "ValueError: $x", database)
    failed = await stored()
    assert (failed.status, failed.tries) == (JobStatus.PENDING, 1)
    assert failed.due_at > await database.now() + timedelta(seconds=50)
    assert [(a.end, a.error) for a in failed.attempts] == [
        (AttemptEnd.RELEASED, "drained"),
        (AttemptEnd.ERROR, "ValueError: $x"),
    ]


async def test_at_most_twenty_attempts_are_kept(database: Database, job: Job) -> None:
    for _ in range(23):
        assert await ownership.release(await claimed(database), "again", database)
    attempts = (await stored()).attempts
    assert (len(attempts), attempts[-1].fence) == (20, 23)


async def test_pause_takes_running_jobs_back_and_cancel_ends_them(database: Database, job: Job) -> None:
    """Both bump the fence, so the worker's commit is refused; a cancelled run cannot be resumed."""
    await a_job("job2", order=1).insert()
    held = await claimed(database)
    run = await Run.get("run1")
    assert run is not None
    run = await control.pause(run, database)
    with pytest.raises(LeaseLostError):
        await ownership.commit_turn(held, turn_of(held, 0), database, last=False)
    paused = await stored()
    assert (paused.status, paused.tries, paused.fence) == (JobStatus.PENDING, 0, held.fence + 1)
    run = await control.resume(run, database)
    assert run.status is RunStatus.ACTIVE
    await claimed(database)
    run = await control.cancel(run, database)
    assert {j.status for j in await Job.find_all().to_list()} == {JobStatus.CANCELLED}
    with pytest.raises(UsageError, match="CANCELLED"):
        await control.resume(run, database)


async def test_retry_gives_dead_jobs_a_fresh_start(database: Database, job: Job) -> None:
    """Only those of the reason asked for; the committed turns stay; a DONE run works again."""
    held = await claimed(database)
    await ownership.commit_turn(held, turn_of(held, 0), database, last=False)
    await ownership.fail(held, Dead(reason="ContextError: $ too long", counted=("tries",)), "too long", database)
    await a_job("job2", order=1, status=JobStatus.DEAD, reason="SIGSEGV").insert()
    run = await Run.get("run1")
    assert run is not None
    run = await control.move(run, RunStatus.JUDGING, database)
    run = await control.move(run, RunStatus.DONE, database)
    assert await control.retry(run, database, reason="ContextError: $") == 1
    fresh = await stored()
    assert (fresh.status, fresh.tries, fresh.turns_committed, fresh.reason) == (JobStatus.PENDING, 0, 1, None)
    run = await Run.get("run1")
    assert run is not None
    assert (run.status, run.judging.planned, run.outcome.finished_at) == (RunStatus.ACTIVE, False, None)


async def test_a_named_lease_has_one_holder_until_it_lapses(database: Database) -> None:
    assert await leases.acquire("gpu:1", "a", 30, database)
    assert await leases.acquire("gpu:1", "a", 30, database)
    assert not await leases.acquire("gpu:1", "b", 30, database)
    assert await leases.holder("gpu:1", database) == "a"
    assert await leases.acquire("gpu:1", "a", 0, database)
    await asyncio.sleep(0.01)
    assert await leases.acquire("gpu:1", "b", 30, database)


async def test_the_backlog_is_answered_from_indexes(database: Database, job: Job) -> None:
    """Due and lapsed jobs are found without a collection scan or a sort, on the server's clock."""
    lapsed = {"status": "RUNNING", "$expr": {"$lt": ["$lease_until", "$$NOW"]}}
    owned = {"status": "RUNNING", "lease_until": {"$type": "date"}, "owner": "w"}
    for query in (lapsed, owned):
        plan = str((await database.jobs.find(query).explain())["queryPlanner"]["winningPlan"])
        assert "'indexName': 'leases'" in plan, plan
    due = {"model": "m", "status": "PENDING", "run": "run1", "$expr": {"$lte": ["$due_at", "$$NOW"]}}
    found = database.jobs.find(due).hint("due").sort([("due_at", 1), ("order", 1)])
    assert "'SORT'" not in str(await found.explain())
    assert await backlog.due("m", "run1", 5, database) == [(job.id, 0)]


async def test_two_workers_never_share_a_card(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one waits for a dead holder's lease to lapse, and is refused where the holder lives."""
    monkeypatch.setattr("nightjar.workers.process.gpu_lease.LEASE_S", 0.3)
    monkeypatch.setattr("nightjar.workers.process.gpu_lease.RETRY_S", 0.1)
    first, second = (GpuLease("GPU-1", name, database) for name in ("first", "second"))
    await first.take()
    await second.take()  # nobody renewed: the first one is dead
    with pytest.raises(UsageError, match="belongs to worker second"):
        await first.renew()
    async with second.kept():
        with pytest.raises(UsageError, match="belongs to worker second"):
            await first.take()
    await GpuLease("none", "third", database).take()
