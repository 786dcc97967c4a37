"""Which models the places should hold, apart from what waits for them: pinned ones, and those wanted live.

A place is a device with its loaded model. What a place of `nightjar worker --model auto` holds is decided by
`choose_model`: pinned before what live requests ask for now, before live within its idle time, before backlog.
"""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.mongo import Database, Row, quick

COLLECTION = "wanted_models"
ASKING_S = 8.0
"""A request that waits or is replied to says every few seconds that it wants its model."""


@dataclass(frozen=True, kw_only=True)
class ModelWanted:
    """Why a place should hold a model though no job of a run waits for it."""

    pinned: bool
    live: bool
    """A live request asked for it within its idle time."""
    asking: bool
    """A live request asks for it now."""


async def want_model(model: str, database: Database, *, for_s: float) -> None:
    """A live request asks for the model, now or until a moment ago; it is wanted for so long."""
    until = {"$add": ["$$NOW", round(for_s * 1000)]}
    later: Row = {"live_until": {"$max": ["$live_until", until]}, "asked_at": "$$NOW"}
    await quick(database.raw[COLLECTION]).update_one({"_id": model}, [{"$set": later}], upsert=True)


async def pin_model(model: str, pinned: bool, database: Database) -> None:
    """A pinned model is kept in its place, and gets one before all others."""
    await database.raw[COLLECTION].update_one({"_id": model}, {"$set": {"pinned": pinned}}, upsert=True)
    database.events.say(Moved(kind=EventKind.MODEL, model=model))


async def let_go(model: str, database: Database) -> None:
    """Nobody wants the model but jobs that wait for it: its place takes another when it is asked for one."""
    change: Row = {"$set": {"pinned": False}, "$unset": {"live_until": "", "asked_at": ""}}
    await database.raw[COLLECTION].update_one({"_id": model}, change)
    database.events.say(Moved(kind=EventKind.MODEL, model=model))


async def wanted_models(database: Database) -> dict[str, ModelWanted]:
    """The models that are wanted now, by name."""
    lately = {"$subtract": ["$$NOW", round(ASKING_S * 1000)]}
    now = {"live": {"$gt": ["$live_until", "$$NOW"]}, "asking": {"$gt": ["$asked_at", lately]}, "pinned": 1}
    names = ("pinned", "live", "asking")
    rows = database.raw[COLLECTION].find({}, now)
    wanted = {row["_id"]: ModelWanted(**{name: bool(row.get(name)) for name in names}) async for row in rows}
    return {model: why for model, why in wanted.items() if why.pinned or why.live}
