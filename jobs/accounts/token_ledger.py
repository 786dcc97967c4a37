"""What requests with API tokens take: each that becomes a job has an entry, made before the job and settled after it.

Until then it counts as the most that it can take, afterwards as what its job's record says, and at an endpoint as what
the ledger says (`jobs.money.spending`). It is settled once, by whoever comes first: the server that followed the reply,
or a dispatcher where that server vanished. A reply from the cache has no entry. Entries hold no texts. Soon after they
are settled they become part of a day's sums (`jobs.accounts.token_days`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from nightjar.config.errors import TokenBudgetError
from nightjar.jobs.accounts.documents import NO_LIMITS, TokenLimits
from nightjar.jobs.accounts.token_days import KEPT_S, TokenDay, day_of, read_with_days
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.patience import patiently
from nightjar.jobs.records import TurnRecord
from nightjar.jobs.remote_models import TokenUse, usd_text
from nightjar.jobs.states import TERMINAL_JOBS, JobStatus
from nightjar.jobs.stored import StoredDocument

LEFT_AFTER_S = 15.0
"""A dispatcher looks at an entry no sooner: its own server is nearly always first."""
UNKNOWN_AFTER_S = 60.0
"""An entry without a job so long after it was made will never have one: it was removed, or never written."""
PASSING_S = 5.0
"""When to ask again where only what is under way is in the way."""
PATIENCE_S = 5.0
BATCH = 500
_BYTES_PER_TOKEN = 4
"""Of ordinary text, roughly; only for a reply that was left before its end, whose tokens nobody counted."""
_JOB: Row = dict.fromkeys(
    "status turns live.refused attempts.started_at payload.result.tokens payload.result.prompt_tokens "
    "payload.result.reply_tokens".split(),
    1,
)


@dataclass(frozen=True, kw_only=True)
class TokenPayer:
    """The API token that a request came with, and what its requests may come to."""

    token: str
    limits: TokenLimits = NO_LIMITS


class ApiRequest(StoredDocument):
    """One request with an API token that became a job; `_id` is the job's."""

    id: str  # type: ignore[assignment]
    token: str
    user: str
    model: str
    endpoint: str | None
    """None: a local model, which nobody is paid for."""
    request: str
    """Its id, as the log has it."""
    at: datetime
    reserved: TokenUse
    tokens: int
    """What it counts as: all that is reserved, until it is settled."""
    usd: float | None
    """The same in US dollars at an endpoint; None for a local model, and where the price is unknown."""
    settled: bool = False
    lost: bool = False
    """Nobody knows what became of it: it counts as all that was reserved."""
    use: TokenUse | None = None
    settled_at: datetime | None = None

    class Settings:
        name = "api_requests"
        indexes: ClassVar = [
            # All that a budget is checked by: no document is read for it.
            IndexModel([(key, ASCENDING) for key in ("token", "at", "settled", "tokens", "usd")], name="budget"),
            IndexModel([("at", ASCENDING)], name="open", partialFilterExpression={"settled": False}),
            IndexModel([("settled_at", ASCENDING)], name="old", expireAfterSeconds=KEPT_S),
        ]


@dataclass(frozen=True, kw_only=True)
class TokenUsage:
    """What one token's requests to one model came to in this month, and of that today (UTC)."""

    token: str
    model: str
    requests: int
    prompt_tokens: int
    reply_tokens: int
    usd: float | None
    """Paid at endpoints; None for a local model, and where no price is known."""
    unpriced: int
    """Requests to endpoints whose price is unknown; `usd` is without them."""
    open: int
    """Requests under way: they count as all that is reserved, in `tokens_*` and `usd*` alone."""
    tokens_month: int
    tokens_day: int
    usd_day: float | None


def limit_words(limits: TokenLimits) -> str | None:
    """ "$5.0000 a month, 100,000 tokens a day"; None where there is no limit."""
    said = [
        f"{usd_text(amount)} a {period}"
        for period, amount in (("month", limits.usd_month), ("day", limits.usd_day))
        if amount is not None
    ]
    said += [
        f"{count:,} tokens a {period}"
        for period, count in (("month", limits.tokens_month), ("day", limits.tokens_day))
        if count is not None
    ]
    return ", ".join(said) or None


def month_of(at: datetime) -> datetime:
    """When the calendar month (UTC) began."""
    return at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


async def reserve_request(entry: ApiRequest, limits: TokenLimits, database: Database) -> None:
    """Writes the entry, or raises TokenBudgetError and leaves nothing.

    Written first and added up after: two that reserve at once may both be refused, but never both pass.
    """
    if entry.endpoint is not None and entry.usd is None and limits.in_money:
        raise TokenBudgetError(
            f"Nobody knows the price of {entry.model!r}, so that the budget of token {entry.token!r} cannot be kept. "
            "Give the endpoint a `price` in models.toml, or ask another model.",
            money=True,
        )
    row = entry.model_dump(mode="python", exclude={"id"}) | {"_id": entry.id}

    async def write() -> None:
        with suppress(DuplicateKeyError):  # the answer to the first try was lost
            await database.raw["api_requests"].insert_one(dict(row))

    await patiently(write, patience_s=PATIENCE_S)
    if limits == NO_LIMITS:
        return
    refusal = _refusal(entry, limits, await _totals(entry, database))
    if refusal is not None:
        await give_back_request(entry.id, database)
        raise refusal


async def give_back_request(job: str, database: Database) -> None:
    """Of a request that never became a job."""
    await patiently(
        lambda: database.raw["api_requests"].delete_one({"_id": job, "settled": False}), patience_s=PATIENCE_S
    )


async def _totals(entry: ApiRequest, database: Database) -> Row:
    """`tokens`, `usd`, and of these what is reserved (`open_`), each of the day and the month; with this entry."""
    sums: Row = {}
    for name, since in (("day", day_of(entry.at)), ("month", month_of(entry.at))):
        for field in ("tokens", "usd"):
            amount: Row = {"$cond": [{"$gte": ["$at", since]}, {"$ifNull": [f"${field}", 0]}, 0]}
            sums[f"{field}_{name}"] = {"$sum": amount}
            sums[f"open_{field}_{name}"] = {"$sum": {"$cond": ["$settled", 0, amount]}}
    mine: Row = {"token": entry.token, "at": {"$gte": month_of(entry.at)}}
    needed: Row = {"_id": 0, "at": 1, "settled": 1, "tokens": 1, "usd": 1}
    group: Row = {"$group": {"_id": None, **sums}}

    async def read(but_for: Row) -> Row:
        stages = [{"$match": {**mine, **but_for}}, {"$project": needed}, group]
        [row] = await (await database.raw["api_requests"].aggregate(stages)).to_list()
        return row

    row, days = await patiently(
        lambda: read_with_days(month_of(entry.at), database, read, token=entry.token), patience_s=PATIENCE_S
    )
    for field in ("tokens", "usd"):
        row[f"{field}_month"] += sum(day.total(field) for day in days)
        row[f"{field}_day"] += sum(day.total(field) for day in days if day.day == day_of(entry.at))
    return row


def _refusal(entry: ApiRequest, limits: TokenLimits, totals: Row) -> TokenBudgetError | None:
    """Of the budget that is passed; of several, of the one that has no room for longest."""
    next_month = month_of(month_of(entry.at) + timedelta(days=32))
    ends = {"month": next_month, "day": day_of(entry.at) + timedelta(days=1)}
    for period in ("month", "day"):
        for field in ("usd", "tokens"):
            limit, total = getattr(limits, f"{field}_{period}"), totals[f"{field}_{period}"]
            if limit is None or total <= limit or not getattr(entry, field):
                continue
            passing = total - totals[f"open_{field}_{period}"] + getattr(entry, field) <= limit
            seconds = PASSING_S if passing else (ends[period] - entry.at).total_seconds()
            return TokenBudgetError(
                _words(entry, field, period, limit, total), money=field == "usd", retry_after_s=seconds, passing=passing
            )
    return None


def _words(entry: ApiRequest, field: str, period: str, limit: float, total: float) -> str:
    mine = getattr(entry, field)
    shown = usd_text if field == "usd" else lambda count: f"{count:,}"
    when = "this month" if period == "month" else "today"
    unit = "" if field == "usd" else " tokens"
    remedy = "" if field == "usd" else " A smaller max_tokens asks for less."
    return (
        f"The budget of token {entry.token!r}, {shown(limit)}{unit} {when} (UTC), has no room for this request: "
        f"{shown(total - mine)}{unit} are used or under way, and it may take {shown(mine)}{unit}.{remedy}"
    )


async def settle_request(job: str, database: Database, *, heard_bytes: int | None = None) -> bool:
    """Settles the entry of a job that has ended, where there is one and it is open; False where it stays as it is.

    `heard_bytes`: how much text of a reply without an end was handed out; None: nobody knows, and all that was reserved
    counts.
    """
    entries = database.raw["api_requests"]
    row = await entries.find_one({"_id": job, "settled": False})
    if row is None:
        return False
    entry = ApiRequest.model_validate(row)
    found = await database.jobs.find_one({"_id": job}, _JOB)
    if found is None and (datetime.now(UTC) - entry.at).total_seconds() < UNKNOWN_AFTER_S:
        return False
    if found is not None and JobStatus(found["status"]) not in TERMINAL_JOBS:
        return False
    settled = await _paid(entry, database) if entry.endpoint is not None else _counted(entry, found, heard_bytes)
    if settled is None:
        return False
    done = await entries.update_one(
        {"_id": job, "settled": False}, {"$set": {"settled": True, **settled}, "$currentDate": {"settled_at": True}}
    )
    return done.modified_count == 1


async def _paid(entry: ApiRequest, database: Database) -> Row | None:
    """By the ledger of endpoints; None while a request of the job is not settled there."""
    expenses = await database.raw["expenses"].find({"job": entry.id}).to_list()
    if not all(expense["settled"] for expense in expenses):
        return None
    uses = [TokenUse.model_validate(expense["use"]) for expense in expenses]
    unknown = any(expense["usd"] is None for expense in expenses) or (not expenses and entry.usd is None)
    return _as_settled(
        TokenUse(
            prompt=sum(use.prompt for use in uses),
            cached=sum(use.cached for use in uses),
            reply=sum(use.reply for use in uses),
            reasoning=sum(use.reasoning for use in uses),
            estimated=any(use.estimated for use in uses),
        ),
        usd=None if unknown else sum(expense["usd"] for expense in expenses),
        lost=any(expense["lost"] for expense in expenses),
    )


def _counted(entry: ApiRequest, job: Row | None, heard_bytes: int | None) -> Row:
    """Of a local model, by the job's record; what was never begun, or refused for its length, took nothing."""
    everything = _as_settled(entry.reserved, lost=True)
    if job is None:
        return everything
    if job["status"] == JobStatus.DONE:
        result = (job.get("payload") or {}).get("result")
        if result:
            prompt = result.get("prompt_tokens", result.get("tokens", 0))
            return _as_settled(TokenUse(prompt=prompt, reply=result.get("reply_tokens", 0)))
        if not job.get("turns"):
            return everything  # its texts were dropped before anybody counted them
        turn = TurnRecord.model_validate(job["turns"][0])
        reply = sum(draw.reply_tokens for draw in turn.draws)
        reasoning = sum(draw.reasoning_tokens for draw in turn.draws)
        return _as_settled(
            TokenUse(prompt=turn.prompt_tokens, cached=turn.reused_tokens, reply=reply, reasoning=reasoning)
        )
    if not job.get("attempts") or (job.get("live") or {}).get("refused"):
        return _as_settled(TokenUse(prompt=0, reply=0))
    if heard_bytes is None:
        return everything
    reply = min(entry.reserved.reply, -(-heard_bytes // _BYTES_PER_TOKEN))
    return _as_settled(TokenUse(prompt=entry.reserved.prompt, reply=reply, estimated=True))


def _as_settled(use: TokenUse, *, usd: float | None = None, lost: bool = False) -> Row:
    counts = use.model_copy(update={"estimated": True}) if lost else use
    return {"use": counts.model_dump(), "tokens": use.prompt + use.reply, "usd": usd, "lost": lost}


async def settle_left_requests(database: Database, *, after_s: float = LEFT_AFTER_S) -> int:
    """Settles what no server settled: it vanished, or the ledger of the endpoint was not complete. Returns how many."""
    past = datetime.now(UTC) - timedelta(seconds=after_s)
    query: Row = {"settled": False, "at": {"$lt": past}}
    rows = await database.raw["api_requests"].find(query, {"_id": 1}).sort("at", 1).limit(BATCH).to_list()
    return sum([await settle_request(row["_id"], database) for row in rows])


_OF_DAYS = ("requests", "prompt_tokens", "reply_tokens", "usd", "priced", "unpriced")
_ADDED = (*_OF_DAYS, "open", "tokens_month", "tokens_day", "usd_day")


async def usage_of_tokens(database: Database, now: datetime) -> list[TokenUsage]:
    """Of every token that asked for something in this month, by token and then model."""
    today: Row = {"$gte": ["$at", day_of(now)]}

    def of_today(amount: Any) -> Row:
        return {"$sum": {"$cond": [today, amount, 0]}}

    usd: Row = {"$ifNull": ["$usd", 0]}
    remote: Row = {"$ne": ["$endpoint", None]}
    unpriced: Row = {"$and": [remote, {"$eq": ["$usd", None]}]}
    group: Row = {
        "_id": {"token": "$token", "model": "$model"},
        "requests": {"$sum": 1},
        "prompt_tokens": {"$sum": {"$ifNull": ["$use.prompt", 0]}},
        "reply_tokens": {"$sum": {"$ifNull": ["$use.reply", 0]}},
        "usd": {"$sum": usd},
        "priced": {"$sum": {"$cond": [{"$ne": ["$usd", None]}, 1, 0]}},
        "unpriced": {"$sum": {"$cond": [unpriced, 1, 0]}},
        "open": {"$sum": {"$cond": ["$settled", 0, 1]}},
        "tokens_month": {"$sum": "$tokens"},
        "tokens_day": of_today("$tokens"),
        "usd_day": of_today(usd),
    }
    month: Row = {"at": {"$gte": month_of(now)}}

    async def read(but_for: Row) -> list[Row]:
        stages: list[Row] = [{"$match": {**month, **but_for}}, {"$group": group}]
        return await (await database.raw["api_requests"].aggregate(stages)).to_list()

    rows, days = await read_with_days(month_of(now), database, read)
    found = {(row["_id"]["token"], row["_id"]["model"]): row for row in rows}
    for day in days:
        _add_day(found.setdefault((day.token, day.model), dict.fromkeys(_ADDED, 0)), day, today=day_of(now))
    return [_usage(token, model, found[token, model]) for token, model in sorted(found)]


def _add_day(row: Row, day: TokenDay, *, today: datetime) -> None:
    for field in _OF_DAYS:
        row[field] += day.total(field)
    row["tokens_month"] += day.total("tokens")
    if day.day == today:
        row["tokens_day"] += day.total("tokens")
        row["usd_day"] += day.total("usd")


def _usage(token: str, model: str, row: Row) -> TokenUsage:
    counts = {field: row[field] for field in _ADDED if field != "priced"}
    if not row["priced"]:
        counts |= {"usd": None, "usd_day": None}
    return TokenUsage(token=token, model=model, **counts)
