"""What requests with API tokens take: reserved before, settled once, refused where a budget has no room."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.contextvars import get_contextvars

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import TokenBudgetError, UsageError
from nightjar.config.live_settings import LiveSettings
from nightjar.config.settings import Settings
from nightjar.jobs.accounts.documents import NO_LIMITS, TokenLimits
from nightjar.jobs.accounts.token_ledger import (
    ApiRequest,
    TokenPayer,
    limit_words,
    reserve_request,
    settle_left_requests,
    settle_request,
    usage_of_tokens,
)
from nightjar.jobs.live.reply_cache import CacheUse, ReplyCache
from nightjar.jobs.live.reply_key import CacheMode
from nightjar.jobs.live.requests import LiveRequests
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.models import ModelKind
from nightjar.jobs.money.spending import Budgets, Expense, reserve, settle_expense, settle_lost
from nightjar.jobs.mongo import Database
from nightjar.jobs.parameters import Parameters
from nightjar.jobs.published import publish_model
from nightjar.jobs.remote_models import Price, TokenUse
from nightjar.jobs.states import JobKind, JobStatus, WorkerStatus
from nightjar.workers.engine.fake import ScriptedEngine, scripted_facts
from tests.scripted_replier import ScriptedReplier
from tests.workbench import Bench, opened_bench, until

HELLO = [{"role": "user", "content": "Hello"}]
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
PRICE = Price(input=1.0, output=2.0)
USED = TokenUse(prompt=120, reply=40)


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(database, services, Settings(home=tmp_path / "home", lease_s=15, drain_s=5)) as bench:
        yield bench


@asynccontextmanager
async def asking(bench: Bench) -> AsyncIterator[LiveRequests]:
    facts = scripted_facts("scripted", context=4096, kind=ModelKind.CHAT, digest="0" * 64)
    await publish_model(bench.database, facts, "t")
    async with LiveRequests(bench.database, bench.doorbell, LiveSettings()) as requests:
        yield requests


def ask(token: str = "ci", limits: TokenLimits = NO_LIMITS, *, most: int = 50, **more: Any) -> LiveAsk:
    fields: dict[str, Any] = {
        "user": "ada",
        "model": "scripted",
        "messages": HELLO,
        "parameters": {"max_tokens": most},
        "seed": 7,
    }
    return LiveAsk(**fields | {"payer": TokenPayer(token=token, limits=limits), "request": "r1", **more})


def entry(token: str = "ci", *, at: datetime = NOON, **changes: Any) -> ApiRequest:
    fields: dict[str, Any] = {"id": uuid.uuid4().hex, "token": token, "user": "ada", "model": "m", "request": "r"}
    fields |= {"endpoint": None, "at": at, "reserved": TokenUse(prompt=60, reply=40), "tokens": 100, "usd": None}
    return ApiRequest(**fields | changes)


async def entries() -> list[ApiRequest]:
    return await ApiRequest.find_all().sort("+at").to_list()


async def test_a_reply_counts_what_it_took_and_the_cache_takes_nothing(bench: Bench) -> None:
    engine = ScriptedEngine(lambda prompt, seed: "word " * 4, slots=2)
    async with asking(bench) as requests, bench.worker(engine):
        cache = ReplyCache(requests, LiveSettings())
        uses = []
        for token in ("ci", "ci", "other"):
            reply, use = await cache.submit(ask(token), CacheMode.DETERMINISTIC)
            async for _ in reply:
                pass
            uses.append(use)
        assert reply.end is not None
        assert uses == [CacheUse.MISS, CacheUse.HIT, CacheUse.HIT]
        [only] = await entries()
        assert (only.settled, only.lost, only.request, only.token) == (True, False, "r1", "ci")
        assert only.use is not None
        assert (only.use.prompt, only.use.reply) == (reply.end.prompt_tokens, reply.end.reply_tokens)
        assert only.tokens == only.use.prompt + only.use.reply
        [usage] = await usage_of_tokens(bench.database, datetime.now(UTC))
        assert (usage.requests, usage.usd, usage.unpriced, usage.open) == (1, None, 0, 0), "a local model has no price"
        assert usage.tokens_day == usage.tokens_month == only.tokens


async def test_what_a_worker_logs_of_a_live_job_names_its_request(bench: Bench) -> None:
    named: list[object] = []

    class Noting(ScriptedReplier):
        async def answer(self, request: str, parameters: Parameters) -> str:
            named.append(get_contextvars().get("request"))
            return "ok"

    async with asking(bench) as requests, bench.worker(Noting([], name="scripted")) as worker:
        await until(lambda: worker.beat.state is WorkerStatus.READY)
        await (await requests.submit(ask())).result()
    assert named == ["r1"]


async def test_a_reply_that_was_left_counts_what_was_handed_out(bench: Bench) -> None:
    """What waited in vain took nothing, and what cannot be asked leaves nothing."""
    engine = ScriptedEngine(lambda prompt, seed: "word " * 100, slots=1, token_delay_s=0.005)
    async with asking(bench) as requests:
        waiting = await requests.submit(ask(seed=1))
        await waiting.cancel()
        with pytest.raises(UsageError):
            await requests.submit(ask(messages=[{"role": "user", "content": ""}]))
        async with bench.worker(engine):
            left = await requests.submit(ask(most=400, seed=2))
            async with aclosing(aiter(left)) as pieces:  # type: ignore[type-var]
                text = (await asyncio.wait_for(anext(pieces), 30)).text
                await left.cancel()
        first, second = await entries()
        assert (first.settled, first.tokens) == (True, 0)
        assert second.settled
        assert second.use is not None
        assert second.use.estimated
        assert len(text) // 4 <= second.use.reply < second.reserved.reply


@pytest.mark.parametrize(
    ("limits", "most", "says"),
    [
        (TokenLimits(tokens_day=1000), 40, None),
        (TokenLimits(tokens_day=1000), 1000, "1,000 tokens today"),
        (TokenLimits(tokens_month=1000), 1000, "1,000 tokens this month"),
        (TokenLimits(usd_month=0.5), 4000, None),  # a local model costs no money
    ],
)
async def test_a_request_that_could_pass_the_budget_is_refused(
    bench: Bench, limits: TokenLimits, most: int, says: str | None
) -> None:
    async with asking(bench) as requests:
        if says is None:
            await requests.submit(ask(limits=limits, most=most))
        else:
            with pytest.raises(TokenBudgetError, match=says):
                await requests.submit(ask(limits=limits, most=most))
        assert len(await entries()) == await bench.database.jobs.count_documents({}) == (says is None)


@pytest.mark.parametrize(
    ("before", "limits", "mine", "refused"),
    [
        # (moment, tokens, dollars, settled) of what there is; then money?, seconds until there is room, passing?
        ([(NOON, 900, None, True)], TokenLimits(tokens_day=1000), {}, None),
        ([(NOON, 901, None, True)], TokenLimits(tokens_day=1000), {}, (False, 12 * 3600, False)),
        ([(NOON, 901, None, False)], TokenLimits(tokens_day=1000), {}, (False, 5, True)),
        ([(NOON - timedelta(hours=13), 901, None, True)], TokenLimits(tokens_day=1000), {}, None),  # yesterday's
        ([(NOON - timedelta(days=20), 901, None, True)], TokenLimits(tokens_month=1000), {}, (False, 43_200, False)),
        ([(NOON - timedelta(days=31), 901, None, True)], TokenLimits(tokens_month=1000), {}, None),  # last month's
        ([(NOON, 9, 0.9, True)], TokenLimits(usd_month=1), {"endpoint": "e", "usd": 0.2}, (True, 43_200, False)),
        ([(NOON, 9, 0.9, True)], TokenLimits(usd_day=1.2), {"endpoint": "e", "usd": 0.2}, None),
        ([(NOON, 9, 2.0, True)], TokenLimits(usd_month=1), {}, None),  # a local model may go on
        ([], TokenLimits(usd_month=1), {"endpoint": "e", "usd": None}, (True, None, False)),  # nobody knows its price
        ([], TokenLimits(tokens_day=1000), {"endpoint": "e", "usd": None}, None),
    ],
)
async def test_what_a_budget_lets_through(
    database: Database, before: list[Any], limits: TokenLimits, mine: dict[str, Any], refused: Any
) -> None:
    for at, tokens, usd, settled in before:
        await entry(at=at, tokens=tokens, usd=usd, settled=settled, endpoint="e" if usd else None).insert()
    await entry("other", tokens=10**9, usd=10**9, endpoint="e").insert()
    asked = entry(**mine)
    if refused is None:
        await reserve_request(asked, limits, database)
        assert await ApiRequest.get(asked.id) is not None
        return
    with pytest.raises(TokenBudgetError) as refusal:
        await reserve_request(asked, limits, database)
    error = refusal.value
    assert (error.money, error.retry_after_s, error.passing) == refused
    assert await ApiRequest.get(asked.id) is None


async def test_of_many_at_once_none_pass_the_budget_together(database: Database) -> None:
    limits = TokenLimits(tokens_day=450)
    tries = [reserve_request(entry(), limits, database) for _ in range(12)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    passed = [error for error in done if error is None]
    assert all(error is None or isinstance(error, TokenBudgetError) for error in done)
    assert len(passed) <= 4
    assert sum(each.tokens for each in await entries()) == 100 * len(passed)


DEATHS = ("done", "server gone", "worker lost", "cancelled before", "cancelled", "removed", "refused by the endpoint")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ends=st.lists(st.sampled_from(DEATHS), min_size=1, max_size=6), twice=st.booleans())
async def test_each_request_is_settled_once_by_what_endpoints_were_paid(
    database: Database, ends: list[str], twice: bool
) -> None:
    """Whoever settles it, in whatever order; a request of the job that is not settled there holds its entry open."""
    token, paid = uuid.uuid4().hex, 0.0
    for how in ends:
        mine = entry(token, endpoint="fake", usd=0.5, at=datetime.now(UTC) - timedelta(minutes=5))
        await reserve_request(mine, TokenLimits(), database)
        claimed = how != "cancelled before"
        attempts = [{"started_at": NOON}] if claimed else []
        await database.jobs.insert_one({"_id": mine.id, "status": "RUNNING", "fence": 1, "attempts": attempts})
        assert not await settle_request(mine.id, database), "its job has not ended"
        if claimed and how != "refused by the endpoint":
            expense = Expense(
                id=f"{mine.id}.1.0.0.0.1",
                run="live",
                job=mine.id,
                fence=1,
                kind=JobKind.REPLY,
                model="m",
                endpoint="fake",
                price=PRICE,
                reserved_usd=0.25,
                reserved=mine.reserved,
                at=datetime.now(UTC),
            )
            await reserve(expense, Budgets(), database)
            if how == "worker lost":
                await database.jobs.update_one({"_id": mine.id}, {"$set": {"status": JobStatus.DEAD, "fence": 2}})
                assert not await settle_request(mine.id, database), "nobody knows yet what it was paid"
                await settle_lost(database, after_s=0)
                paid += 0.25
            else:
                await settle_expense(expense, USED, database)
                paid += PRICE.cost(USED)
        status = JobStatus.DONE if how in ("done", "server gone") else JobStatus.CANCELLED
        await database.jobs.update_one({"_id": mine.id}, {"$set": {"status": status}})
        if how == "removed":
            await database.jobs.delete_one({"_id": mine.id})
        if how != "server gone":
            await asyncio.gather(*[settle_request(mine.id, database, heard_bytes=8) for _ in range(1 + twice)])
    await settle_left_requests(database, after_s=0)
    assert await settle_left_requests(database, after_s=0) == 0
    found = await ApiRequest.find({"token": token}).to_list()
    assert len(found) == len(ends)
    assert all(each.settled for each in found)
    [usage] = [each for each in await usage_of_tokens(database, datetime.now(UTC)) if each.token == token]
    assert usage.usd == pytest.approx(paid)
    assert usage.usd_day == pytest.approx(paid)


@pytest.mark.parametrize(
    ("job", "tokens", "lost"),
    [
        (None, 100, True),  # removed, or never written
        ({"status": "DEAD", "attempts": [{"started_at": NOON}]}, 100, True),
        ({"status": "DEAD", "attempts": [{"started_at": NOON}], "live": {"refused": {"tokens": 9}}}, 0, False),
        ({"status": "CANCELLED", "attempts": []}, 0, False),  # nobody took it
        ({"status": "DONE", "turns": [], "payload": None}, 100, True),  # its texts went before anybody counted them
        ({"status": "DONE", "payload": {"result": {"tokens": 12, "vectors": []}}}, 12, False),  # embeddings
        ({"status": "DONE", "payload": {"result": {"prompt_tokens": 5, "reply_tokens": 2, "text": "x"}}}, 7, False),
    ],
)
async def test_a_local_request_whose_server_vanished(
    database: Database, job: dict[str, Any] | None, tokens: int, lost: bool
) -> None:
    mine = entry(at=datetime.now(UTC) - timedelta(minutes=5))
    await reserve_request(mine, TokenLimits(), database)
    if job is not None:
        await database.jobs.insert_one({"_id": mine.id, **job})
    assert await settle_left_requests(database) == 1
    [settled] = await entries()
    assert (settled.settled, settled.tokens, settled.lost) == (True, tokens, lost)
    assert settled.use is not None
    assert settled.use.estimated is lost


def test_limits_in_words() -> None:
    assert limit_words(TokenLimits()) is None
    said = limit_words(TokenLimits(usd_month=20, usd_day=0.5, tokens_day=100_000))
    assert said == "$20.00 a month, $0.5000 a day, 100,000 tokens a day"
