"""How many jobs a worker holds beyond its slots."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from nightjar.workers.engine.request import EngineStats
from nightjar.workers.process import held_jobs
from nightjar.workers.process.held_jobs import LOOK_AHEAD, HeldJobs, Hold


@pytest.mark.parametrize(
    ("length_s", "ended", "ahead"),
    [
        (0.01, 0, LOOK_AHEAD),  # nothing has ended yet
        (0.01, 3, LOOK_AHEAD + 3),  # as many as end while a claim is answered
        (0.01, 50, LOOK_AHEAD + 8),  # never more than there are slots
        (5.0, 8, LOOK_AHEAD),  # long ones that end together: others may have the next
    ],
)
async def test_short_jobs_are_claimed_further_ahead(
    monkeypatch: pytest.MonkeyPatch, length_s: float, ended: int, ahead: int
) -> None:
    now = 100.0
    monkeypatch.setattr(held_jobs, "monotonic", lambda: now)

    async def work(hold: Any) -> None:
        await asyncio.sleep(0)

    given: Any = None
    jobs = HeldJobs(
        work=work, run_cache=given, stats=EngineStats, worker="w", host="h", lease_s=30, slots=8, database=given
    )
    for number in range(ended):
        job: Any = SimpleNamespace(id=f"j{number}")
        hold = jobs._start(Hold(job=job, run=given, since=now - length_s))
        assert hold.task is not None
        await hold.task
    assert jobs.free == 8 + ahead
    assert jobs.free <= jobs.most
    now += 10
    assert jobs.free == 8 + LOOK_AHEAD


@pytest.mark.parametrize(
    ("kept", "evaluations", "live", "free", "free_live"),
    [
        (0, 0, 0, 4 + LOOK_AHEAD, 4),
        (0, 6, 0, 0, 1),  # one may be the next in line
        (0, 6, 1, 0, 0),
        (1, 5, 0, 0, 1),  # a slot is kept free
        (1, 5, 1, 0, 0),
        (2, 1, 0, 1 + LOOK_AHEAD, 3),  # live jobs may have what evaluations leave
        (2, 0, 4, 2 + LOOK_AHEAD, 0),  # and take nothing of their number
    ],
)
async def test_live_jobs_count_apart(kept: int, evaluations: int, live: int, free: int, free_live: int) -> None:
    async def work(hold: Any) -> None:
        await asyncio.sleep(60)

    given: Any = None
    jobs = HeldJobs(
        work=work,
        run_cache=given,
        stats=EngineStats,
        worker="w",
        host="h",
        lease_s=30,
        slots=4,
        database=given,
        live_slots=kept,
    )
    for number in range(evaluations + live):
        job: Any = SimpleNamespace(id=f"j{number}", run="r")
        jobs._start(Hold(job=job, run=given, live=number >= evaluations))
    assert (jobs.free, jobs.free_live) == (free, free_live)
    await asyncio.sleep(0)  # they begin
    assert [jobs.cancelled(f"j{number}") for number in range(evaluations + live + 1)] == [
        *([True] * (evaluations + live)),
        False,
    ]
    await jobs.wait_idle()
