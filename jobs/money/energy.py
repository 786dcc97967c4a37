"""What cards used for runs: joules of a contestant's jobs of one kind on one worker, while they were at work there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from pymongo import ASCENDING, IndexModel

from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.patience import patiently
from nightjar.jobs.remote_models import usd_text
from nightjar.jobs.states import JobKind
from nightjar.jobs.stored import StoredDocument

JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class EnergyKey:
    """Whose work it was."""

    run: str
    contestant: str
    kind: JobKind


class RunEnergy(StoredDocument):
    """One worker's part; `_id` is "RUN.KIND.WORKER.CONTESTANT". Writing it again with a later sum replaces it."""

    id: str  # type: ignore[assignment]
    run: str
    contestant: str
    kind: JobKind
    worker: str
    joules: float | None
    """None: its card does not tell, or did not all the time."""
    usd_per_kwh: float | None
    """As that worker's host had it set; None: it was not."""
    at: datetime

    class Settings:
        name = "run_energy"
        indexes: ClassVar = [IndexModel([("run", ASCENDING)])]


@dataclass(frozen=True, kw_only=True)
class EnergyUse:
    """Of all workers together. None where one of them does not know."""

    joules: float | None
    usd: float | None
    prices: tuple[float, ...] = ()
    """US dollars for a kilowatt-hour on the workers' hosts; empty: nobody asks what electricity costs."""

    @classmethod
    def of(cls, parts: Iterable[RunEnergy]) -> EnergyUse:
        """The sum. Nothing at all is unknown, too."""
        there = list(parts)
        joules = [part.joules for part in there if part.joules is not None]
        paid = [
            part.joules / JOULES_PER_KWH * part.usd_per_kwh
            for part in there
            if part.joules is not None and part.usd_per_kwh is not None
        ]
        return cls(
            joules=sum(joules) if there and len(joules) == len(there) else None,
            usd=sum(paid) if there and len(paid) == len(there) else None,
            prices=tuple(sorted({part.usd_per_kwh for part in there if part.usd_per_kwh is not None})),
        )


async def write_energy(
    worker: str, key: EnergyKey, joules: float | None, usd_per_kwh: float | None, database: Database
) -> None:
    """Says what the worker has used for it so far. Safe to repeat: it is a sum, not a step."""
    row: Row = {
        "run": key.run,
        "contestant": key.contestant,
        "kind": str(key.kind),
        "worker": worker,
        "joules": joules,
        "usd_per_kwh": usd_per_kwh,
    }
    identity: Row = {"_id": f"{key.run}.{key.kind}.{worker}.{key.contestant}"}
    change = {"$set": row, "$currentDate": {"at": True}}
    await patiently(lambda: database.raw["run_energy"].update_one(identity, change, upsert=True))


async def energy_of_run(run: str) -> list[RunEnergy]:
    """Each worker's part."""
    return await RunEnergy.find({"run": run}).to_list()


@dataclass(frozen=True, kw_only=True)
class Electricity:
    """What the cards of a run's workers used, in US dollars. `unknown`: workers that don't know theirs, once for each
    contestant and kind of job; it is not in `usd`.
    """

    usd: float
    unknown: int

    @property
    def text(self) -> str:
        """ "$0.0012 electricity", "at least $0.0012 electricity"."""
        return f"{usd_text(self.usd, unpriced=self.unknown)} electricity"


async def electricity_of(runs: Iterable[str], database: Database) -> dict[str, Electricity]:
    """By run id, up to now; runs of which nothing is known, or nobody asks what it costs, are left out."""
    known: Row = {"$and": [{"$gt": ["$joules", None]}, {"$gt": ["$usd_per_kwh", None]}]}
    usd: Row = {"$divide": [{"$multiply": ["$joules", "$usd_per_kwh"]}, JOULES_PER_KWH]}
    group: Row = {
        "_id": "$run",
        "usd": {"$sum": {"$cond": [known, usd, 0]}},
        "known": {"$sum": {"$cond": [known, 1, 0]}},
        "parts": {"$sum": 1},
    }
    stages: list[Row] = [{"$match": {"run": {"$in": list(runs)}}}, {"$group": group}, {"$match": {"known": {"$gt": 0}}}]
    rows = await database.raw["run_energy"].aggregate(stages)
    return {row["_id"]: Electricity(usd=row["usd"], unknown=row["parts"] - row["known"]) async for row in rows}
