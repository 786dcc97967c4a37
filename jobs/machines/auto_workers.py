"""The processes of `nightjar worker --model auto`: that they live, and which models that wait they cannot serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nightjar.jobs.mongo import Database, Row

AUTO_LIVE_S = 15.0
"""How long a mark counts; one is left every few seconds."""
_PREFIX = "auto:"


@dataclass(frozen=True, kw_only=True)
class AutoWorker:
    """One that lives."""

    id: str
    only: str | None
    """The one model that it serves; None: any."""
    cannot: Mapping[str, str]
    """Model -> why none of its places can serve it."""
    preempts_in_s: float | None = None
    """When one of its places may next be taken from its work for a live request; None: never."""


async def mark_auto(
    worker: str,
    only: str | None,
    cannot: Mapping[str, str],
    database: Database,
    *,
    preempts_in_s: float | None = None,
) -> None:
    """Leaves its sign of life. Models' names are no keys: they may hold dots."""
    said: Row = {"owner": worker, "only": only, "cannot": [list(item) for item in cannot.items()]}
    said["preempts_in_s"] = preempts_in_s
    values: Row = {key: {"$literal": value} for key, value in said.items()}
    values["until"] = {"$add": ["$$NOW", round(AUTO_LIVE_S * 1000)]}
    await database.leases.update_one({"_id": f"{_PREFIX}{worker}"}, [{"$set": values}], upsert=True)


async def end_auto(worker: str, database: Database) -> None:
    """Takes the mark down."""
    await database.leases.delete_one({"_id": f"{_PREFIX}{worker}"})


async def live_autos(database: Database) -> list[AutoWorker]:
    """Those that left a mark lately."""
    query: Row = {"_id": {"$regex": f"^{_PREFIX}"}, "$expr": {"$gte": ["$until", "$$NOW"]}}
    rows = database.leases.find(query).sort("_id", 1)
    return [
        AutoWorker(
            id=row["owner"], only=row["only"], cannot=dict(row["cannot"]), preempts_in_s=row.get("preempts_in_s")
        )
        async for row in rows
    ]
