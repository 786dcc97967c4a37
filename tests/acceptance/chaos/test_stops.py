"""Workers stopped for longer than their lease, and clocks that disagree: the fence and MongoDB's clock decide."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from nightjar.jobs.documents import Job
from tests.acceptance.chaos import skew
from tests.acceptance.chaos.faults import ENDS, endure, wait_for_turns
from tests.acceptance.chaos.house import LEASE_S, RUN, House, inhabited, status
from tests.acceptance.chaos.scripted_worker import MODEL
from tests.acceptance.chaos.verdict import judge
from tests.workbench import make_run, until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("kind", ENDS)
async def test_workers_stopped_past_their_lease_write_nothing_late(tmp_path: Path, kind: str) -> None:
    """Stopped for twice the lease, twenty times, then continued or ended. Issue 4, check 6."""
    house = House(folder=tmp_path, workers=2, knobs={"slots": 6, "token_delay_s": 0.002})
    async with inhabited(house) as database:
        await endure(house, database, sequences=150, turns=4, faults=20, seed=1, limit_s=900, kinds=(kind,))
        verdict = await judge(house, turns=4)
        changed_hands = await database.jobs.count_documents({"run": RUN, "lapses": {"$gt": 0}})
    print(
        f"{kind}: {verdict.late} late commits; {verdict.generated} generations for {verdict.turns} turns; "
        f"{changed_hands} jobs changed hands"
    )
    assert (verdict.done, verdict.wrong, verdict.after_commit, verdict.late) == (150, [], 0, 0)
    assert changed_hands > 0, "no worker ever lost a job: the check proves nothing"


@pytest.mark.skipif(skew.compiler() is None, reason="needs a C compiler, to shift a process's clock")
async def test_clocks_that_are_minutes_apart(tmp_path: Path) -> None:
    """Worker, worker, dispatcher and command line disagree by up to twenty minutes: nobody loses a lease by it."""
    library = skew.build(tmp_path)
    off = {"worker0": 300, "worker1": -300, "dispatcher": 600}
    own = {name: skew.off_by(seconds, library) for name, seconds in off.items()}
    house = House(folder=tmp_path, workers=2, knobs={"slots": 4, "token_delay_s": 0.001}, own=own)
    async with inhabited(house) as database:
        await make_run(RUN, sequences=150, turns=4, model=MODEL)
        await until(lambda: Job.find({"run": RUN, "status": "DONE"}).count(), within_s=60)
        vanished = house.processes["worker0"]
        for child in psutil.Process(vanished.pid).children():
            child.kill()
        vanished.kill()  # as with its host: only the lease, on MongoDB's clock, tells of it
        house.processes["dispatcher"].kill()
        told, _, _ = await status(house)
        await wait_for_turns(database, 600, time.monotonic() + 300)
        verdict = await judge(house, turns=4)
        jobs = await Job.find({"run": RUN}).to_list()
        stamps = [turn.committed_at.timestamp() - time.time() for job in jobs for turn in job.turns]
        lapses = sum(job.lapses for job in jobs)
    print(f"stamps of turns {min(stamps):+.0f} to {max(stamps):+.0f} s from now; {lapses} leases lapsed")
    assert (min(stamps) < -290, max(stamps) > 200) == (True, True), "the clocks did agree: the check proves nothing"
    assert (verdict.done, verdict.wrong) == (150, [])
    assert verdict.generated <= verdict.turns + 8, "a lease was taken from somebody alive"
    assert {worker["state"] for worker in told["workers"]} <= {"ready", "loading", "dead"}
    assert all(abs(worker["beat_age_s"]) < 10 * LEASE_S for worker in told["workers"])
