"""Replies that are given again: with a worker on the scripted engine, real MongoDB and Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import CancelledReplyError, NotServedError
from nightjar.config.live_settings import LiveSettings
from nightjar.config.settings import Settings
from nightjar.jobs.accounts.access import remove_user
from nightjar.jobs.documents import Job
from nightjar.jobs.live.cached_replies import CachedReply, drop_oldest_replies
from nightjar.jobs.live.reply_cache import CacheUse, FollowedReply, ReplyCache
from nightjar.jobs.live.reply_key import CacheMode
from nightjar.jobs.live.requests import LiveRequests
from nightjar.jobs.live.state import LiveEnd
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.models import ModelKind
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import publish_model
from nightjar.jobs.states import JobStatus
from nightjar.workers.engine.fake import ScriptedEngine, scripted_facts
from tests.workbench import Bench, opened_bench, until

HELLO = [{"role": "user", "content": "Hello"}]
USUAL = CacheMode.DETERMINISTIC


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(database, services, Settings(home=tmp_path / "home", lease_s=15, drain_s=5)) as bench:
        yield bench


@asynccontextmanager
async def caching(bench: Bench, **settings: Any) -> AsyncIterator[ReplyCache]:
    facts = scripted_facts("scripted", context=4096, kind=ModelKind.CHAT, digest="0" * 64)
    await publish_model(bench.database, facts, "t")
    live = LiveSettings(**settings)
    async with LiveRequests(bench.database, bench.doorbell, live) as requests:
        yield ReplyCache(requests, live)


def numbered(token_delay_s: float = 0.0) -> ScriptedEngine:
    """Each reply that is computed has a number of its own, so that one given again is known."""
    numbers = count(1)
    return ScriptedEngine(lambda prompt, seed: f"reply {next(numbers)}", slots=2, token_delay_s=token_delay_s)


def ask(*, user: str = "ada", seed: int | None = 7, **more: Any) -> LiveAsk:
    return LiveAsk(**{"user": user, "model": "scripted", "messages": HELLO, "seed": seed, **more})


async def replied(reply: FollowedReply) -> LiveEnd:
    text = "".join([piece.text async for piece in reply])
    await reply.cancel()
    assert reply.end is not None
    assert text == reply.end.reply
    return reply.end


async def answer(cache: ReplyCache, asked: LiveAsk, mode: CacheMode = USUAL, nth: int = 0) -> tuple[str, CacheUse]:
    reply, use = await cache.submit(asked, mode, nth)
    return (await replied(reply)).reply, use


async def test_the_same_request_is_given_the_same_reply_and_no_job(bench: Bench) -> None:
    async with caching(bench) as cache, bench.worker(numbered()):
        assert await answer(cache, ask()) == ("reply 1", CacheUse.MISS)
        reply, use = await cache.submit(ask(), USUAL)
        end = await replied(reply)
        assert (use, end.reply, end.cached, end.seed, end.decode_s) == (CacheUse.HIT, "reply 1", True, 7, 0.0)
        assert await Job.find_all().count() == 1
        assert await answer(cache, ask(), CacheMode.OFF) == ("reply 2", CacheUse.OFF)
        # Another user's, and a second choice of the same request, are no copies.
        assert await answer(cache, ask(user="bob")) == ("reply 3", CacheUse.MISS)
        assert await answer(cache, ask(), nth=1) == ("reply 4", CacheUse.MISS)
        # Without a seed only where the caller says so.
        assert await answer(cache, ask(seed=None)) == ("reply 5", CacheUse.OFF)
        assert await answer(cache, ask(seed=None), CacheMode.ALL) == ("reply 6", CacheUse.MISS)
        assert await answer(cache, ask(seed=None), CacheMode.ALL) == ("reply 6", CacheUse.HIT)
        # What is not to be stored is neither kept nor looked up.
        assert await answer(cache, ask(store=False)) == ("reply 7", CacheUse.OFF)


async def test_requests_at_the_same_time_share_one_job(bench: Bench) -> None:
    """The first leaves: the others get the whole reply all the same, and one of them carries what it cost."""
    async with caching(bench) as cache, bench.worker(numbered(token_delay_s=0.05)):
        begun = await asyncio.gather(*(cache.submit(ask(), USUAL) for _ in range(3)))
        (first, *uses), (second, _), (third, _) = sorted(begun, key=lambda pair: pair[1] is CacheUse.SHARED)
        assert uses == [CacheUse.MISS]
        await first.cancel()
        ends = await asyncio.gather(replied(second), replied(third))
        assert {end.reply for end in ends} == {"reply 1"}
        assert await Job.find_all().count() == 1
        assert await answer(cache, ask()) == ("reply 1", CacheUse.HIT)


async def test_when_all_have_left_the_job_is_cancelled(bench: Bench) -> None:
    async with caching(bench) as cache, bench.worker(numbered(token_delay_s=0.05)):
        (first, _), (second, _) = await asyncio.gather(*(cache.submit(ask(), USUAL) for _ in range(2)))
        await first.cancel()
        await first.cancel()  # leaves once
        job = await Job.get(first.job.id)
        assert job is not None
        assert job.status is not JobStatus.CANCELLED
        await second.cancel()

        async def cancelled() -> bool:
            found = await Job.get(first.job.id)
            return found is not None and found.status is JobStatus.CANCELLED

        await until(cancelled, within_s=10)
        with pytest.raises(CancelledReplyError):
            async for _ in second:
                pass
        assert (await cache.submit(ask(), USUAL))[1] is CacheUse.MISS  # nobody joins what has ended


async def test_no_error_is_kept(bench: Bench) -> None:
    async with caching(bench, wait_s=1) as cache:
        reply, _ = await cache.submit(ask(), USUAL)
        with pytest.raises(NotServedError):
            await replied(reply)
        await reply.cancel()
        async with bench.worker(numbered()):
            assert await answer(cache, ask()) == ("reply 1", CacheUse.MISS)


async def test_replies_go_with_their_time_their_user_and_the_oldest_first(bench: Bench) -> None:
    async with caching(bench) as cache, bench.worker(numbered()):
        for seed in (1, 2):
            await answer(cache, ask(seed=seed))
        [older, newer] = await CachedReply.find_all().sort("+created_at").to_list()
        assert await drop_oldest_replies(newer.size / 2**20, bench.database) == 1
        assert [kept.id for kept in await CachedReply.find_all().to_list()] == [newer.id]
        assert older.id != newer.id
        # MongoDB removes what is over its time within a minute or so; until then it does not count.
        await bench.database.raw["cached_replies"].update_one({}, [{"$set": {"expires_at": "$created_at"}}])
        assert (await answer(cache, ask(seed=2)))[1] is CacheUse.MISS
    async with caching(bench, cache_s=0) as cache, bench.worker(numbered()):
        assert (await answer(cache, ask(seed=2)))[1] is CacheUse.OFF


async def test_a_removed_user_leaves_no_reply(bench: Bench) -> None:
    from nightjar.jobs.accounts.access import add_user
    from nightjar.jobs.accounts.documents import Role

    await add_user("root", Role.ADMIN, "x", bench.database)
    await add_user("ada", Role.VIEWER, "x", bench.database)
    async with caching(bench) as cache, bench.worker(numbered()):
        await answer(cache, ask())
        assert await CachedReply.find_all().count() == 1
        await remove_user("ada", bench.database)
        assert await CachedReply.find_all().count() == 0
