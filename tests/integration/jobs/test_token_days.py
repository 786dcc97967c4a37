"""Settled requests become part of their day's sums: whoever dies where and whoever reads meanwhile, nothing changes."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nightjar.config.errors import TokenBudgetError
from nightjar.jobs.accounts import token_days
from nightjar.jobs.accounts.documents import TokenLimits
from nightjar.jobs.accounts.token_days import fold_settled
from nightjar.jobs.accounts.token_ledger import ApiRequest, TokenUsage, reserve_request, usage_of_tokens
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.remote_models import TokenUse
from tests.integration.jobs.test_token_ledger import entry

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
YESTERDAY = NOW - timedelta(days=1)


def settled(token: str = "ci", *, use: TokenUse, **changes: Any) -> ApiRequest:
    fields = {"settled": True, "settled_at": NOW, "use": use, "tokens": use.prompt + use.reply}
    return entry(token, **{"at": NOW, **fields, **changes})


async def some_entries() -> None:
    """Of two tokens, models and days: local ones, paid ones, one at an unknown price; and three that are open."""
    chance = random.Random(5)
    rows = [
        settled(
            chance.choice(("ci", "other")),
            use=TokenUse(prompt=chance.randrange(100), reply=chance.randrange(50)),
            at=chance.choice((NOW, YESTERDAY)),
            **chance.choice(
                (
                    {"model": "m"},
                    {"model": "large", "endpoint": "cloud", "usd": 0.25},
                    {"model": "large", "endpoint": "cloud", "usd": None},
                )
            ),
        )
        for _ in range(60)
    ]
    await ApiRequest.insert_many([*rows, *(entry("ci", at=NOW) for _ in range(3))])


async def usage(database: Database) -> list[TokenUsage]:
    return await usage_of_tokens(database, NOW)


async def test_folding_changes_no_sum_and_leaves_what_is_open(database: Database) -> None:
    await some_entries()
    before = await usage(database)
    assert await fold_settled(database) == 60
    assert await usage(database) == before
    assert await ApiRequest.find_all().count() == 3
    assert await fold_settled(database) == 0
    await ApiRequest.insert_many([settled(use=TokenUse(prompt=1, reply=2)) for _ in range(4)])
    before = await usage(database)
    assert await fold_settled(database) == 4, "a day that was summed up goes on"
    assert await usage(database) == before


async def test_what_was_settled_just_now_stands_by_itself(database: Database) -> None:
    await settled(use=TokenUse(prompt=1, reply=2), settled_at=await database.now()).insert()
    assert await fold_settled(database) == 0
    assert await fold_settled(database, after_s=-1) == 1


@pytest.mark.parametrize("deleted", [False, True])  # it dies before, or after, the entries are gone
async def test_a_process_that_dies_in_the_middle(
    deleted: bool, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_entries()
    before = await usage(database)

    async def dies(day: Row, database: Database) -> None:
        if deleted:
            await database.raw["api_requests"].delete_many({"_id": {"$in": day["folding"]["entries"]}})
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(token_days, "_finish", dies)
        with pytest.raises(RuntimeError, match="killed"):
            await fold_settled(database)
    assert await usage(database) == before
    await fold_settled(database)
    assert await usage(database) == before
    assert await database.raw["token_days"].count_documents({"folding": {"$ne": None}}) == 0
    assert await ApiRequest.find_all().count() == 3


async def test_several_fold_at_once_while_others_read(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_days, "BATCH", 7)
    await some_entries()
    before = await usage(database)
    seen: list[list[TokenUsage]] = []

    async def fold() -> None:
        while await ApiRequest.find({"settled": True}).count():
            await fold_settled(database)

    async def read() -> None:
        for _ in range(20):
            seen.append(await usage(database))

    await asyncio.gather(*(fold() for _ in range(3)), *(read() for _ in range(2)))
    assert [each for each in seen if each != before] == []
    assert len(seen) == 40
    assert await usage(database) == before


async def test_a_budget_counts_what_was_folded(database: Database) -> None:
    """Of yesterday for the month alone; of last month not at all."""
    hundred = TokenUse(prompt=60, reply=40)
    last_month = NOW - timedelta(days=31)
    await ApiRequest.insert_many([settled(use=hundred, at=at) for at in (NOW, NOW, YESTERDAY, last_month)])
    assert await fold_settled(database) == 4
    limits = TokenLimits(tokens_day=400, tokens_month=400)
    await reserve_request(entry(at=NOW), limits, database)
    with pytest.raises(TokenBudgetError, match=r"400 tokens this month .* 400 tokens are used or under way"):
        await reserve_request(entry(at=NOW), limits, database)
    await reserve_request(entry(at=NOW), TokenLimits(tokens_day=400), database)
    with pytest.raises(TokenBudgetError, match=r"400 tokens today"):
        await reserve_request(entry(at=NOW), TokenLimits(tokens_day=400), database)
