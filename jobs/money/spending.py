"""What requests to endpoints cost: each has an entry, made before it is sent and settled after its answer.

An entry is never changed once it is settled, but for one thing: where its worker vanished it counts as all that was
reserved, until that worker, if it lives, says better. So a request that was sent is counted whatever crashes when, and
every draw that is committed has a settled entry of the same use. Entries hold no texts, and outlive their runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from nightjar.jobs.answer_names import AnswerName, AnswersNamed
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.patience import patiently
from nightjar.jobs.remote_models import Price, Spending, TokenUse
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.jobs.stored import StoredDocument

LOST_AFTER_S = 10.0
"""A reservation is not looked at sooner: its claim may just be on the way."""
BATCH = 500
_KEPT_S = 400 * 86_400
"""A year of months, for the budgets of endpoints."""


def _count(condition: Row | list[Row] | str) -> Row:
    return {"$sum": {"$cond": [condition, 1, 0]}}


LEDGER_COUNTS: Row = {
    "requests": {"$sum": 1},
    "usd": {"$sum": {"$ifNull": ["$usd", {"$ifNull": ["$reserved_usd", 0]}]}},
    "unpriced": _count({"$eq": [{"$ifNull": ["$reserved_usd", None]}, None]}),
    "estimated": _count({"$eq": ["$use.estimated", True]}),
    "open": _count({"$eq": ["$settled", False]}),
}
"""Entries added up, as stages of MongoDB group them: the fields that `Spending` has."""


class Expense(StoredDocument):
    """One request to an endpoint; `_id` is "JOB.FENCE.TURN.DRAW.LEFT_OUT.TRY"."""

    id: str  # type: ignore[assignment]
    run: str
    job: str
    fence: int
    kind: JobKind
    model: str
    asked_as: str | None = None
    """The policy that it answered for; None: for itself."""
    endpoint: str
    price: Price | None
    reserved_usd: float | None
    """The most it can cost; None: the price is unknown."""
    reserved: TokenUse
    settled: bool = False
    lost: bool = False
    """Nobody knows what became of it: it counts as all that was reserved."""
    use: TokenUse | None = None
    usd: float | None = None
    at: datetime
    settled_at: datetime | None = None
    answer: AnswerName | None = None
    """How the answer named its model; None where there was none, and in entries from before that was kept."""

    class Settings:
        name = "expenses"
        indexes: ClassVar = [
            IndexModel([("run", ASCENDING), ("model", ASCENDING)]),
            IndexModel([("job", ASCENDING)]),
            IndexModel([("endpoint", ASCENDING), ("at", ASCENDING)]),
            IndexModel([("at", ASCENDING), ("endpoint", ASCENDING)], name="time"),  # by `at` alone there is one already
            IndexModel([("at", ASCENDING)], name="open", partialFilterExpression={"settled": False}),
            IndexModel([("settled_at", ASCENDING)], name="old", expireAfterSeconds=_KEPT_S),
        ]


class EndpointPause(StoredDocument):
    """An endpoint that nothing is sent to for a while; `_id` is its name."""

    id: str  # type: ignore[assignment]
    reason: str
    since: datetime
    until: datetime
    """Then one request is tried again."""
    by: str
    """The worker that met it."""

    class Settings:
        name = "endpoint_pauses"
        indexes: ClassVar = [IndexModel([("until", ASCENDING)], expireAfterSeconds=86_400)]


class BudgetSpentError(Exception):
    """The request would cost more than is left: nothing is reserved, nothing may be sent.

    `whose`: run or endpoint. `may_pass`: there may be room again once the requests under way are settled.
    """

    def __init__(self, whose: str, reason: str, *, may_pass: bool) -> None:
        super().__init__(reason)
        self.whose = whose
        self.may_pass = may_pass


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """What may be spent, in US dollars; None: no limit."""

    run: float | None = None
    endpoint_month: float | None = None


async def reserve(expense: Expense, budgets: Budgets, database: Database) -> None:
    """Writes the entry, or raises BudgetSpentError and leaves nothing.

    Written first and added up after: two that reserve at once may both be refused, but never both pass.
    """
    row = expense.model_dump(mode="python", exclude={"id"}) | {"_id": expense.id, "kind": str(expense.kind)}

    async def write() -> None:
        with suppress(DuplicateKeyError):  # the answer to the first try was lost
            await database.raw["expenses"].insert_one(dict(row))

    await patiently(write)
    cost = expense.reserved_usd
    if cost is None:
        return
    month = expense.at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    limits = (
        ("run", budgets.run, {"run": expense.run}),
        ("endpoint", budgets.endpoint_month, {"endpoint": expense.endpoint, "at": {"$gte": month}}),
    )
    for whose, budget, query in limits:
        if budget is None:
            continue
        total, open_usd = await patiently(lambda query=query: _total(query, database))  # type: ignore[misc]
        if total > budget:
            await give_back_reservation(expense.id, database)
            before = total - cost
            place = f" at {expense.endpoint} this month" if whose == "endpoint" else ""
            raise BudgetSpentError(
                whose,
                f"the budget of ${budget:.2f}{place} is used up: ${before:.4f} are spent or under way, and the next "
                f"request of {expense.model} may cost ${cost:.4f}",
                may_pass=total - open_usd + cost <= budget,
            )


async def _total(query: Row, database: Database) -> tuple[float, float]:
    """US dollars spent or reserved, and of these what is reserved."""
    amount = {"$ifNull": ["$usd", {"$ifNull": ["$reserved_usd", 0]}]}
    reserved = {"$cond": ["$settled", 0, {"$ifNull": ["$reserved_usd", 0]}]}
    groups = [{"$match": query}, {"$group": {"_id": None, "usd": {"$sum": amount}, "open": {"$sum": reserved}}}]
    rows = await (await database.raw["expenses"].aggregate(groups)).to_list()
    return (float(rows[0]["usd"]), float(rows[0]["open"])) if rows else (0.0, 0.0)


async def settle_expense(
    expense: Expense, use: TokenUse, database: Database, *, answer: AnswerName | None = None
) -> None:
    """Says what the request took, and who answered; saying it again changes nothing."""
    usd = None if expense.price is None else expense.price.cost(use)
    change: Row = {"settled": True, "lost": False, "use": use.model_dump(), "usd": usd}
    if answer is not None:
        change["answer"] = answer.model_dump()
    query: Row = {"_id": expense.id, "$or": [{"settled": False}, {"lost": True}]}
    update = {"$set": change, "$currentDate": {"settled_at": True}}
    await patiently(lambda: database.raw["expenses"].update_one(query, update))


async def give_back_reservation(identity: str, database: Database) -> None:
    """Of a request that was never sent, or that its server refused: it costs nothing, even if it was held for lost."""
    query: Row = {"_id": identity, "$or": [{"settled": False}, {"lost": True}]}
    await patiently(lambda: database.raw["expenses"].delete_one(query))


async def settle_lost(database: Database, *, after_s: float = LOST_AFTER_S) -> int:
    """Settles what vanished workers had reserved as if all of it was used; returns how many."""
    past = datetime.now(UTC) - timedelta(seconds=after_s)
    rows = await database.raw["expenses"].find({"settled": False, "at": {"$lt": past}}).limit(BATCH).to_list()
    jobs = sorted({row["job"] for row in rows})
    running: Row = {"_id": {"$in": jobs}, "status": JobStatus.RUNNING}
    fences = {row["_id"]: row["fence"] async for row in database.jobs.find(running, {"fence": 1})}
    gone = [row for row in rows if fences.get(row["job"]) != row["fence"]]
    for row in gone:
        use = row["reserved"] | {"estimated": True}
        change = {"settled": True, "lost": True, "use": use, "usd": row["reserved_usd"]}
        await database.raw["expenses"].update_one(
            {"_id": row["_id"], "settled": False}, {"$set": change, "$currentDate": {"settled_at": True}}
        )
    return len(gone)


async def spending(runs: Iterable[str], database: Database) -> dict[str, list[Spending]]:
    """What runs have cost so far, by run id, then model and kind; runs without remote models are left out.

    What was sent for a policy is the policy's, whichever of its candidates answered.
    """

    tokens = {f"{name}_tokens": {"$sum": {"$ifNull": [f"$use.{name}", 0]}} for name in ("prompt", "cached", "reply")}
    key = {"run": "$run", "model": {"$ifNull": ["$asked_as", "$model"]}, "kind": "$kind"}
    group = {"_id": key, **LEDGER_COUNTS, **tokens}
    stages: list[Row] = [{"$match": {"run": {"$in": list(runs)}}}, {"$group": group}, {"$sort": {"_id": 1}}]
    result: dict[str, list[Spending]] = {}
    async for row in await database.raw["expenses"].aggregate(stages):
        identity = row.pop("_id")
        if row["unpriced"] == row["requests"]:
            row["usd"] = None
        of_model = Spending(model=identity["model"], kind=JobKind(identity["kind"]), **row)
        result.setdefault(identity["run"], []).append(of_model)
    return result


async def answers_named(runs: Iterable[str], database: Database) -> dict[str, list[AnswersNamed]]:
    """Under which names the models of runs answered, by run id; runs of which nothing is known are left out."""
    key = {"run": "$run", "model": "$model", "answer": "$answer"}
    group = {"_id": key, "requests": {"$sum": 1}, "since": {"$min": "$at"}}
    named: Row = {"run": {"$in": list(runs)}, "answer": {"$type": "object"}}
    stages: list[Row] = [{"$match": named}, {"$group": group}, {"$sort": {"since": 1}}]
    result: dict[str, list[AnswersNamed]] = {}
    async for row in await database.raw["expenses"].aggregate(stages):
        answer = AnswerName.model_validate(row["_id"]["answer"])
        result.setdefault(row["_id"]["run"], []).append(
            AnswersNamed(
                model=row["_id"]["model"],
                asked=answer.asked,
                name=answer.model,
                fingerprint=answer.fingerprint,
                requests=row["requests"],
                since=row["since"],
            )
        )
    return result


async def spent_so_far(run: str, database: Database) -> float:
    """US dollars that the run's requests cost, or that are reserved for them; what has no price is not in it."""
    total, _ = await _total({"run": run}, database)
    return total


async def set_budget(run: str, budget: float, database: Database) -> None:
    """The run may cost so much; one that had used up a smaller budget goes on."""
    await database.runs.update_one({"_id": run}, {"$set": {"budget": budget, "budget_reached": None}})


async def reach_budget(run: str, reason: str, database: Database) -> None:
    """Nothing more of the run is sent to endpoints; its dispatcher stops it when nothing else is left to do."""
    open_run: Row = {"_id": run, "budget_reached": None}
    await patiently(lambda: database.runs.update_one(open_run, {"$set": {"budget_reached": reason}}))


async def pause_endpoint(name: str, reason: str, by: str, seconds: float, database: Database) -> bool:
    """Nothing is sent to the endpoint for so long, by any worker; whether that is news."""
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    new: Row = {"$setOnInsert": {"since": datetime.now(UTC)}, "$set": {"reason": reason, "until": until, "by": by}}
    done = await patiently(lambda: database.raw["endpoint_pauses"].update_one({"_id": name}, new, upsert=True))
    return done.upserted_id is not None


async def resume_endpoint(name: str, database: Database) -> None:
    """The endpoint answers again."""
    await patiently(lambda: database.raw["endpoint_pauses"].delete_one({"_id": name}))


async def paused_endpoint(name: str, database: Database) -> EndpointPause | None:
    """Why nothing is sent to the endpoint now; None where it is not paused."""
    row = await patiently(lambda: database.raw["endpoint_pauses"].find_one({"_id": name}))
    pause = None if row is None else EndpointPause.model_validate(row)
    return pause if pause is not None and pause.until > datetime.now(UTC) else None
