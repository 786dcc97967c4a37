"""Every move of a job's status that some act makes, on a real MongoDB, against the table of legal moves."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from nightjar.config.errors import LeaseLostError
from nightjar.jobs import ownership
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.judgings import Judging, RunJudging
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.records import AttemptEnd
from nightjar.jobs.retry import Again, Dead
from nightjar.jobs.runs import control
from nightjar.jobs.states import JOB_MOVES, JobStatus, RunStatus
from nightjar.jobs.unreadable_jobs import check_jobs
from nightjar.pipeline.dispatch.lapsed_leases import take_back_lapsed
from nightjar.pipeline.judging.write_jobs import asked_still
from tests.documents import a_job, a_run, a_turn

Act = Callable[[Run, Job, Database], Awaitable[object]]


async def commit(run: Run, job: Job, database: Database) -> None:
    """The job's last turn."""
    await database.jobs.bulk_write([ownership.commit_of(job, a_turn(0, fence=job.fence), last=True)])


async def take_back(run: Run, job: Job, database: Database) -> None:
    """After its lease has lapsed."""
    lapsed = [{"$set": {"lease_until": "$created_at"}}]
    await database.jobs.update_one({"_id": job.id, "lease_until": {"$ne": None}}, lapsed)
    await take_back_lapsed(database)


async def ask_again(run: Run, job: Job, database: Database) -> None:
    """A later judging wants the job."""
    judging = Judging(number=1, judges=["m"], begun_at=utc_now())
    run = run.model_copy(update={"judging": RunJudging(passes=[judging])})
    await database.runs.update_one({"_id": run.id}, {"$set": {"judging": run.judging.model_dump()}})
    await database.jobs.update_one({"_id": job.id, "status": "CANCELLED"}, {"$set": {"finished_at": job.created_at}})
    await asked_still(run, judging, [job.id], [], database)


async def find_it_damaged(run: Run, job: Job, database: Database) -> None:
    await database.jobs.update_one({"_id": job.id}, {"$set": {"tries": "many"}})
    await check_jobs([job.id], database)


ACTS: dict[str, Act] = {
    "claim": lambda run, job, db: ownership.claim({job.id: job.fence}, "w", "host", 30, db),
    "renew": lambda run, job, db: ownership.renew({job.id: job.fence}, "w", 30, db),
    "commit the last turn": commit,
    "commit a result": lambda run, job, db: ownership.commit_result(job, {"found": 1}, db),
    "release": lambda run, job, db: ownership.release(job, "drained", db),
    "fail, try again": lambda run, job, db: ownership.fail(job, Again(delay_s=0, counted=("tries",)), "x", db),
    "fail for good": lambda run, job, db: ownership.fail(job, Dead(reason="x", counted=("tries",)), "x", db),
    "crash": lambda run, job, db: ownership.apply_decision(
        {"_id": job.id, "fence": job.fence, "status": JobStatus.RUNNING},
        Again(delay_s=0, counted=("crashes",), suspect=True),
        AttemptEnd.CRASHED,
        "x",
        db,
    ),
    "take back a lapsed lease": take_back,
    "find it damaged": find_it_damaged,
    "pause the run": lambda run, job, db: control.pause(run, db),
    "stop the run": lambda run, job, db: control.stop(run, "too many failures", db),
    "cancel the run": lambda run, job, db: control.cancel(run, db),
    "give up its model": lambda run, job, db: control.give_up_model(run, job.model, "it does not load", db),
    "ask after all for what a cancelled judging left": ask_again,
    "retry dead jobs": lambda run, job, db: control.retry(run, db),
}


async def moved(act: Act, before: JobStatus, database: Database) -> JobStatus:
    """The status after the act; it is tried as the holder of the job's newest fence would."""
    for collection in (database.jobs, database.runs):
        await collection.delete_many({})
    run = await a_run(status=RunStatus.ACTIVE).insert()
    job = await a_job(turns_total=1, payload={}).insert()
    if before is not JobStatus.PENDING:
        [job] = await ownership.claim({job.id: 0}, "w", "host", 30, database)
    await database.jobs.update_one({"_id": job.id}, {"$set": {"status": before}})
    with contextlib.suppress(LeaseLostError):
        await act(run, job, database)
    row = await database.jobs.find_one({"_id": job.id}, {"status": 1})
    assert row is not None
    return JobStatus(row["status"])


async def test_the_acts_make_the_legal_moves_and_no_others(database: Database) -> None:
    """Each act in each status: what it changes is in the table, and every move of the table is made by some act."""
    made: dict[JobStatus, set[JobStatus]] = {status: set() for status in JobStatus}
    for act in ACTS.values():
        for before in JobStatus:
            after = await moved(act, before, database)
            if after is not before:
                made[before].add(after)
    assert made == {status: set(targets) for status, targets in JOB_MOVES.items()}
