"""Whether anything is left that a standby brings to its end by itself: what a command waits for before it goes."""

from __future__ import annotations

from nightjar.jobs import backlog, leases
from nightjar.jobs.closers import Closer, Right
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.nights.documents import DeliveryState
from nightjar.jobs.states import RunStatus


async def left_to_close(closer: Closer, database: Database, *, run: str | None = None) -> bool:
    """True while a run (or the one with that id) has no open job and is about to be planned or closed, or while calls
    about its end are due. What only others may close does not count, unless a dispatcher that lives does.
    """
    dispatched = await leases.live_closers(database) is None
    for at_work in await backlog.runs_in_work(database):
        if run not in (None, at_work.id) or await backlog.has_open_jobs(at_work.id, database):
            continue
        moves = at_work.status is RunStatus.ACTIVE or not at_work.planned
        if moves or dispatched or closer.right(at_work.closers) is not Right.NONE:
            return True
    return not dispatched and await _untold(closer, database, run)


async def closing_now(database: Database) -> bool:
    """Whether somebody is closing a run: scoring may take long."""
    return await leases.is_held(f"^{leases.closing_lease('')}", database)


async def _untold(closer: Closer, database: Database, run: str | None) -> bool:
    mine = closer.query()
    ended: Row = {"outcome.untold": True, "status": {"$in": [RunStatus.DONE, RunStatus.STOPPED]}, **mine}
    if await database.runs.find_one(ended | ({} if run is None else {"_id": run}), {"_id": 1}) is not None:
        return True
    due: Row = {"state": DeliveryState.WAITING, "$expr": {"$lte": ["$due_at", "$$NOW"]}}
    in_hand: Row = {"state": {"$in": [DeliveryState.CLAIMED, DeliveryState.CALLING]}}
    calls: Row = {"$and": [{"$or": [due, in_hand]}, mine]} | ({} if run is None else {"run": run})
    return await database.raw["deliveries"].find_one(calls, {"_id": 1}) is not None
