"""A worker that was stopped, or had no MongoDB, for longer than its lease asks before it generates on."""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest
from pymongo.errors import AutoReconnect

from nightjar.config.errors import LeaseLostError
from nightjar.jobs import ownership
from nightjar.jobs.documents import Job
from nightjar.jobs.mongo import Database
from nightjar.workers.process.held_jobs import Hold
from nightjar.workers.process.tasks import watched
from tests.workbench import make_run


@pytest.mark.parametrize(
    ("good_until", "taken", "generates"),
    [
        (math.inf, False, True),
        (0.0, False, True),  # over, but nobody has taken the job: its turn is not wasted
        (0.0, True, False),
        (math.inf, True, True),  # not known here yet: the watch finds out, and the fence guards the commit
    ],
)
async def test_what_somebody_else_has_is_not_begun(
    database: Database, good_until: float, taken: bool, generates: bool
) -> None:
    run = await make_run("r", sequences=1)
    (job,) = await Job.find().to_list()
    (claimed,) = await ownership.claim({job.id: 0}, "w", "h", 30, database)
    if taken:
        assert await ownership.release(claimed, "as after a lapse", database)
        (free,) = await Job.find().to_list()
        assert await ownership.claim({job.id: free.fence}, "other", "h", 30, database)
    hold = Hold(job=claimed, run=run, good_until=good_until)
    named: list[list[str]] = []
    with nullcontext() if generates else pytest.raises(LeaseLostError, match="no longer held under fence"):
        async with watched(hold, database, "q"):
            named.append(list(hold.requests))
    assert named == ([["q"]] if generates else [])
    assert hold.requests == []


async def test_a_mongodb_that_is_away_is_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """No try is lost by it: the question is asked again."""
    await make_run("r", sequences=1)
    (job,) = await Job.find().to_list()
    (claimed,) = await ownership.claim({job.id: 0}, "w", "h", 30, database)
    lost, asked = ownership.lost, 0

    async def away_once(fences: dict[str, int], database: Database) -> set[str]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise AutoReconnect("connection closed")
        return await lost(fences, database)

    monkeypatch.setattr(ownership, "lost", away_once)
    await ownership.check_held(claimed, database)
    assert asked == 2
