"""What a token of a model took of the card, as an earlier run measured it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nightjar.jobs.money.energy import EnergyUse, RunEnergy, energy_of_run
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.routing.routed import asked_query
from nightjar.jobs.states import EVALUATIONS, JobKind
from nightjar.jobs.status.forecast import FEWEST_TURNS
from nightjar.jobs.variants import contestant_name

_RUNS_READ = 5
_GENERATED: Row = {"$ifNull": ["$$draw.reported_tokens", {"$size": {"$ifNull": ["$$draw.reply_ids", []]}}]}
_OF_TURN: Row = {"$sum": {"$map": {"input": "$turns.draws", "as": "draw", "in": _GENERATED}}}


@dataclass(frozen=True, kw_only=True)
class EnergyRate:
    """`usd_per_kwh`: as the run's newest account had it; None: nobody had set it."""

    run: str
    """Its name."""
    joules_per_token: float
    """Of a reply; what its prompt took is in it."""
    usd_per_kwh: float | None


async def energy_rate(model: str, digest: str, suite: str, database: Database) -> EnergyRate | None:
    """By the newest run of the suite that tells, else of any: of this file under this name, with an account of every
    worker that replied. None where no run tells.
    """
    for run in await _runs_with(model, digest, suite, database):
        names = {contestant_name(model, each["name"]) for each in run.get("variants") or ()} or {model}
        parts = [
            part for part in await energy_of_run(run["_id"]) if part.kind is JobKind.REPLY and part.contestant in names
        ]
        rate = await _rate(run, model, parts, database) if parts else None
        if rate is not None:
            return rate
    return None


async def _runs_with(model: str, digest: str, suite: str, database: Database) -> list[Row]:
    """Those of the suite first, newer ones first."""
    mine: Row = {"models": {"$elemMatch": {"name": model, "digest": digest}}, **EVALUATIONS}
    fields = {"name": 1, "variants.name": 1}
    found: list[Row] = []
    for of_suite in (suite, {"$ne": suite}):
        rows = database.runs.find({**mine, "suite_name": of_suite}, fields).sort("created_at", -1).limit(_RUNS_READ)
        found += [row async for row in rows]
    return found


async def _rate(run: Row, model: str, parts: Sequence[RunEnergy], database: Database) -> EnergyRate | None:
    joules = EnergyUse.of(parts).joules
    if joules is None:
        return None
    steps: list[Row] = [
        {"$match": {"run": run["_id"], "kind": JobKind.REPLY, **asked_query(model)}},
        {"$unwind": "$turns"},
        {"$group": {"_id": "$turns.worker", "turns": {"$sum": 1}, "tokens": {"$sum": _OF_TURN}}},
    ]
    rows = await (await database.jobs.aggregate(steps)).to_list()
    tokens, turns = sum(row["tokens"] for row in rows), sum(row["turns"] for row in rows)
    if turns < FEWEST_TURNS or not tokens or not {row["_id"] for row in rows} <= {part.worker for part in parts}:
        return None
    newest = max(parts, key=lambda part: part.at)
    return EnergyRate(run=run["name"], joules_per_token=joules / tokens, usd_per_kwh=newest.usd_per_kwh)
