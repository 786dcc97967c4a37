"""What becomes of a run after a look at its waves: one compare-and-set, so that two dispatchers make one look."""

from __future__ import annotations

from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.states import RunStatus
from nightjar.jobs.waves import Look


async def record_look(run: Run, look: Look, *, more_jobs: int, database: Database) -> bool:
    """Stores the look. Where it leaves something undecided, the next wave is opened and the run is EXPANDING.

    `more_jobs`: how many jobs that wave has. False where somebody else was quicker, or the run was changed meanwhile.
    """
    waves = run.waves
    assert waves is not None
    seen: Row = {"_id": run.id, "status": RunStatus.JUDGING, "judging.planned": True, "jobs_total": run.jobs_total}
    seen |= {"waves.looks": {"$size": len(waves.looks)}, "waves.opened": waves.opened, "waves.over": False}
    change: Row = {"$push": {"waves.looks": look.model_dump(mode="python")}}
    if look.decided or waves.opened == waves.plan.count:
        change["$set"] = {"waves.over": True}
    else:
        opened: Row = {"waves.opened": waves.opened + 1, "jobs_total": run.jobs_total + more_jobs}
        change["$set"] = {"status": RunStatus.EXPANDING, "judging.planned": False, **opened}
        change["$currentDate"] = {"expanded_at": True}
    done = await database.runs.update_one(seen, change)
    return done.matched_count == 1
