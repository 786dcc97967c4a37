"""What was spent at endpoints, as pages add it up: by model, endpoint, run and day; what is left of budgets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from nightjar.jobs.money.spending import LEDGER_COUNTS
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.remote_models import usd_text
from nightjar.jobs.states import EVALUATIONS, JobKind, JobStatus

LIVE = "live requests"
"""What the runs of live requests are called together: each is its user's alone."""
GONE = "runs that were removed"
MOST_BUDGETS = 50


@dataclass(frozen=True, kw_only=True)
class LedgerSum:
    """Entries added up. `usd` is without those that have no price; `reserved_usd` is what of it is under way."""

    requests: int = 0
    usd: float = 0.0
    reserved_usd: float = 0.0
    unpriced: int = 0
    """Requests whose price is unknown."""
    estimated: int = 0
    """Requests whose use is estimated, lost ones among them."""
    open: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0

    def __add__(self, other: Self) -> LedgerSum:
        mine, theirs = vars(self), vars(other)
        return LedgerSum(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def text(self) -> str:
        """ "$0.0042", "at least $0.0042", "unknown"."""
        return usd_text(None if self.unpriced == self.requests else self.usd, unpriced=self.unpriced)


@dataclass(frozen=True, kw_only=True)
class LedgerCell:
    """The entries of one day (UTC), run, model, policy and endpoint."""

    day: str
    run: str
    model: str
    asked_as: str | None
    endpoint: str
    total: LedgerSum


@dataclass(frozen=True, kw_only=True)
class BudgetedRun:
    """A run that has a budget, with what its models have cost so far."""

    name: str
    status: str
    budget: float
    reached: str | None
    total: LedgerSum


@dataclass(frozen=True, kw_only=True)
class KnownCosts:
    """What conversations of a model cost whose price is known: how many, their mean and deviation, in US dollars."""

    conversations: int
    mean: float
    deviation: float | None
    """None for fewer than two."""


_TOTALS: Row = {
    **LEDGER_COUNTS,
    "reserved_usd": {"$sum": {"$cond": ["$settled", 0, {"$ifNull": ["$reserved_usd", 0]}]}},
    "prompt_tokens": {"$sum": {"$ifNull": ["$use.prompt", 0]}},
    "reply_tokens": {"$sum": {"$ifNull": ["$use.reply", 0]}},
}


async def read_ledger(since: datetime, database: Database) -> list[LedgerCell]:
    """All entries since then, each day's apart; runs by their names, those of live requests under one."""
    day = {"$dateToString": {"date": "$at", "format": "%Y-%m-%d"}}
    key = {"day": day, "run": "$run", "model": "$model", "asked_as": "$asked_as", "endpoint": "$endpoint"}
    steps: list[Row] = [{"$match": {"at": {"$gte": since}}}, {"$group": {"_id": key, **_TOTALS}}, {"$sort": {"_id": 1}}]
    rows = [(row.pop("_id"), LedgerSum(**row)) async for row in await database.raw["expenses"].aggregate(steps)]
    names = await _run_names({found["run"] for found, _ in rows}, database)
    return [
        LedgerCell(
            day=found["day"],
            run=names.get(found["run"], GONE),
            model=found["model"],
            asked_as=found.get("asked_as"),
            endpoint=found["endpoint"],
            total=total,
        )
        for found, total in rows
    ]


def sums_by(cells: Iterable[LedgerCell], key: Callable[[LedgerCell], str]) -> dict[str, LedgerSum]:
    """The cells added up under what `key` says of each, in order of first appearance."""
    sums: dict[str, LedgerSum] = {}
    for cell in cells:
        name = key(cell)
        sums[name] = sums.get(name, LedgerSum()) + cell.total
    return sums


async def endpoint_sums(since: datetime, database: Database) -> dict[str, LedgerSum]:
    """What was spent at each endpoint since then."""
    steps: list[Row] = [{"$match": {"at": {"$gte": since}}}, {"$group": {"_id": "$endpoint", **_TOTALS}}]
    return {row.pop("_id"): LedgerSum(**row) async for row in await database.raw["expenses"].aggregate(steps)}


async def job_sums(jobs: Iterable[str], database: Database) -> dict[str, LedgerSum]:
    """What was spent for each of the jobs; those for which no endpoint was asked are left out."""
    steps: list[Row] = [{"$match": {"job": {"$in": list(jobs)}}}, {"$group": {"_id": "$job", **_TOTALS}}]
    return {row.pop("_id"): LedgerSum(**row) async for row in await database.raw["expenses"].aggregate(steps)}


async def pauses(database: Database) -> dict[str, str]:
    """The endpoints that nothing is sent to now, with the reason."""
    rows = database.raw["endpoint_pauses"].find({"$expr": {"$gt": ["$until", "$$NOW"]}})
    return {row["_id"]: row["reason"] async for row in rows}


async def budgeted_runs(database: Database) -> list[BudgetedRun]:
    """The newest runs that have a budget."""
    fields = dict.fromkeys(("name", "status", "budget", "budget_reached"), 1)
    found = database.runs.find({"budget": {"$ne": None}, **EVALUATIONS}, fields)
    rows = [row async for row in found.sort("created_at", -1).limit(MOST_BUDGETS)]
    steps: list[Row] = [
        {"$match": {"run": {"$in": [row["_id"] for row in rows]}}},
        {"$group": {"_id": "$run", **_TOTALS}},
    ]
    sums = {row.pop("_id"): LedgerSum(**row) async for row in await database.raw["expenses"].aggregate(steps)}
    return [
        BudgetedRun(
            name=row["name"],
            status=row["status"],
            budget=row["budget"],
            reached=row.get("budget_reached"),
            total=sums.get(row["_id"], LedgerSum()),
        )
        for row in rows
    ]


async def routed_conversations(database: Database) -> dict[tuple[str, str, str], int]:
    """(policy's id, run's id, candidate) -> conversations of evaluations that are DONE."""
    with_policies: Row = {"models.policy.id": {"$exists": True}, **EVALUATIONS}
    runs = [row["_id"] async for row in database.runs.find(with_policies, {"_id": 1})]
    key = {"policy": "$routed.policy", "run": "$run", "model": "$model"}
    mine: Row = {"run": {"$in": runs}, "status": JobStatus.DONE, "routed": {"$ne": None}}
    steps: list[Row] = [{"$match": mine}, {"$group": {"_id": key, "jobs": {"$sum": 1}}}, {"$sort": {"_id": 1}}]
    found = {}
    async for row in await database.jobs.aggregate(steps):
        found[row["_id"]["policy"], row["_id"]["run"], row["_id"]["model"]] = row["jobs"]
    return found


async def paid_elsewhere(policy: str, runs: Sequence[str], default: str, database: Database) -> LedgerSum:
    """What a policy's candidates other than its default were paid in these runs. `policy`: its id."""
    jobs = database.jobs.find(
        {"run": {"$in": list(runs)}, "routed.policy": policy, "model": {"$ne": default}}, {"_id": 1}
    )
    ids = [row["_id"] async for row in jobs]
    steps: list[Row] = [
        {"$match": {"run": {"$in": list(runs)}, "job": {"$in": ids}}},
        {"$group": {"_id": None, **_TOTALS}},
    ]
    rows = await (await database.raw["expenses"].aggregate(steps)).to_list(1)
    return LedgerSum(**{name: value for name, value in rows[0].items() if name != "_id"}) if rows else LedgerSum()


async def known_costs(model: str, runs: Sequence[str], database: Database) -> KnownCosts | None:
    """What a conversation of the model cost in these runs; None where none is settled with a price."""
    settled: Row = {"settled": True, "kind": JobKind.REPLY, "usd": {"$ne": None}}
    steps: list[Row] = [
        {"$match": {"run": {"$in": list(runs)}, "model": model, **settled}},
        {"$group": {"_id": "$job", "usd": {"$sum": "$usd"}}},
        {
            "$group": {
                "_id": None,
                "count": {"$sum": 1},
                "mean": {"$avg": "$usd"},
                "deviation": {"$stdDevSamp": "$usd"},
            }
        },
    ]
    rows = await (await database.raw["expenses"].aggregate(steps)).to_list(1)
    if not rows:
        return None
    return KnownCosts(conversations=rows[0]["count"], mean=rows[0]["mean"], deviation=rows[0]["deviation"])


async def _run_names(runs: Iterable[str], database: Database) -> dict[str, str]:
    rows = database.runs.find({"_id": {"$in": sorted(runs)}}, {"name": 1, "kind": 1})
    return {row["_id"]: row["name"] if row.get("kind") != "live" else LIVE async for row in rows}
