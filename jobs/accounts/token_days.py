"""What settled requests of API tokens came to, by day and model: so the ledger of requests does not grow with them.

An entry is folded into its day a minute after it was settled, and is gone then. The day names the entries first, with
their sums (`folding`); then they are deleted; then the sums count. Each step is a compare-and-set on the day, so that a
process may die anywhere and several may fold at once: whoever finds `folding` goes on with it.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel
from pymongo import ASCENDING, IndexModel

from nightjar.jobs.mongo import Database, ReturnDocument, Row
from nightjar.jobs.stored import StoredDocument

FOLD_AFTER_S = 60.0
"""How long a settled entry stands by itself, with its request's id."""
BATCH = 500
KEPT_S = 400 * 86_400
READ_TRIES = 20
PAUSE_S = 0.01
"""More after each try, so that those who fold get on with it."""
T = TypeVar("T")


class DaySums(BaseModel):
    """Sums over settled requests. `usd`: of those that were paid for and whose price is known, which are `priced`."""

    requests: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0
    tokens: int = 0
    usd: float = 0.0
    priced: int = 0
    unpriced: int = 0


class Folding(BaseModel):
    """Entries on their way into the sums."""

    entries: list[str]
    sums: DaySums


class TokenDay(StoredDocument):
    """What a token's settled requests of a day (UTC) to one model came to."""

    id: str  # type: ignore[assignment]
    token: str
    model: str
    endpoint: str | None
    day: datetime
    steps: int = 0
    """How often it was changed: what a reader or a folder saw has not moved where this has not."""
    sums: DaySums = DaySums()
    folding: Folding | None = None

    def total(self, field: str) -> float:
        """A sum, with what is on its way into it."""
        total: float = getattr(self.sums, field)  # counts stay whole numbers
        return total if self.folding is None else total + getattr(self.folding.sums, field)

    class Settings:
        name = "token_days"
        indexes: ClassVar = [
            IndexModel([("token", ASCENDING), ("day", ASCENDING)], name="token"),
            IndexModel([("day", ASCENDING)], name="old", expireAfterSeconds=KEPT_S),
        ]


def day_of(at: datetime) -> datetime:
    """When the day (UTC) began."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def read_with_days(
    since: datetime, database: Database, entries: Callable[[Row], Awaitable[T]], *, token: str | None = None
) -> tuple[T, list[TokenDay]]:
    """What `entries` reads of the ledger, with a query that leaves out entries that are being folded, and the days.

    The two fit each other: read again where something was folded meanwhile. A reader that is always overtaken may see
    entries twice, never not at all.
    """
    for tried in range(READ_TRIES):
        await asyncio.sleep(tried * PAUSE_S)
        before = await _read_days(since, token, database)
        folding = [entry for day in before for entry in (day.folding.entries if day.folding else ())]
        found = await entries({"_id": {"$nin": folding}} if folding else {})
        after = await _read_days(since, token, database)
        if [(day.id, day.steps) for day in before] == [(day.id, day.steps) for day in after]:
            break
    return found, after


async def _read_days(since: datetime, token: str | None, database: Database) -> list[TokenDay]:
    query: Row = {"day": {"$gte": day_of(since)}, **({} if token is None else {"token": token})}
    rows = await database.raw["token_days"].find(query).sort("_id", 1).to_list()
    return [TokenDay.model_validate(row) for row in rows]


async def fold_settled(database: Database, *, after_s: float = FOLD_AFTER_S) -> int:
    """Folds entries that were settled so long ago, and what was left half folded. Returns how many entries went."""
    async for row in database.raw["token_days"].find({"folding": {"$ne": None}}):
        await _finish(row, database)
    past = await database.now() - timedelta(seconds=after_s)
    query: Row = {"settled": True, "settled_at": {"$lt": past}}
    rows = await database.raw["api_requests"].find(query).sort("settled_at", 1).limit(BATCH).to_list()
    of_day: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        of_day[_day_id(row)].append(row)
    return sum([await _fold(name, of_day[name], database) for name in sorted(of_day)])


async def _fold(name: str, rows: Sequence[Row], database: Database) -> int:
    days, first = database.raw["token_days"], rows[0]
    identity: Row = {field: first[field] for field in ("token", "model", "endpoint")}
    fresh = {**identity, "day": day_of(first["at"]), "steps": 0, "sums": DaySums().model_dump(), "folding": None}
    day = await days.find_one_and_update(
        {"_id": name}, {"$setOnInsert": fresh}, upsert=True, return_document=ReturnDocument.AFTER
    )
    if day is None or day["folding"] is not None:
        return 0
    # Read again: what another folded meanwhile is gone, and from now on the day would have moved.
    there = await database.raw["api_requests"].find({"_id": {"$in": [row["_id"] for row in rows]}}).to_list()
    if not there:
        return 0
    folding = Folding(entries=[row["_id"] for row in there], sums=_sums(there))
    begun = await days.find_one_and_update(
        {"_id": name, "steps": day["steps"]},
        {"$set": {"folding": folding.model_dump()}, "$inc": {"steps": 1}},
        return_document=ReturnDocument.AFTER,
    )
    if begun is None:
        return 0
    await _finish(begun, database)
    return len(there)


async def _finish(day: Row, database: Database) -> None:
    folding = day["folding"]
    await database.raw["api_requests"].delete_many({"_id": {"$in": folding["entries"]}})
    more = {f"sums.{field}": value for field, value in folding["sums"].items()}
    await database.raw["token_days"].update_one(
        {"_id": day["_id"], "steps": day["steps"]}, {"$inc": {**more, "steps": 1}, "$set": {"folding": None}}
    )


def _day_id(row: Mapping[str, Any]) -> str:
    return json.dumps([row["token"], row["model"], row["endpoint"], f"{day_of(row['at']):%Y-%m-%d}"])


def _sums(rows: Sequence[Row]) -> DaySums:
    uses = [row["use"] or {} for row in rows]
    known = [row["usd"] for row in rows if row["usd"] is not None]
    return DaySums(
        requests=len(rows),
        prompt_tokens=sum(use.get("prompt", 0) for use in uses),
        reply_tokens=sum(use.get("reply", 0) for use in uses),
        tokens=sum(row["tokens"] for row in rows),
        usd=sum(known),
        priced=len(known),
        unpriced=sum(row["endpoint"] is not None and row["usd"] is None for row in rows),
    )
