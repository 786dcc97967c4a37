"""Writing and reading the nights that the trend of a suite is made of, as rows: their form is the reader's concern."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.jobs.mongo import Database, Row


async def write_night(night: Row, database: Database) -> None:
    """Stores a run's night (see `jobs.nights.documents.NightDocument`) in place of an older one."""
    await database.raw["nights"].replace_one({"_id": night["run"]}, {"_id": night["run"], **night}, upsert=True)


async def stored_nights(runs: Sequence[str], database: Database) -> dict[str, Row]:
    """The nights stored of these runs, by the run's id; a run whose night is not stored is left out."""
    rows = database.raw["nights"].find({"_id": {"$in": list(runs)}})
    return {row["_id"]: row async for row in rows}
