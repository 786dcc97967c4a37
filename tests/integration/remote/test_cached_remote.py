"""A reply from the cache: its endpoint is sent nothing, no worker is asked, and nothing is paid."""

from __future__ import annotations

import asyncio
from typing import Any

from nightjar.jobs.documents import Job
from nightjar.jobs.live.reply_cache import CacheUse, ReplyCache
from nightjar.jobs.live.reply_key import CacheMode
from nightjar.jobs.live.requests import LiveRequests
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.money.spending import Expense
from nightjar.jobs.published import publish_model
from nightjar.jobs.queue import Doorbell
from nightjar.workers.library.find import find_model
from nightjar.workers.library.inspect import entry_facts
from tests.fake_endpoint import FakeEndpoint
from tests.integration.remote.conftest import register, serve_cloud
from tests.workbench import Bench

ASK = LiveAsk(user="ada", model="cloud", messages=[{"role": "user", "content": "Hello"}], parameters={"temperature": 0})


async def replied(cache: ReplyCache) -> tuple[str, CacheUse]:
    reply, use = await cache.submit(ASK, CacheMode.DETERMINISTIC)
    text = "".join([piece.text async for piece in reply])
    await reply.cancel()
    return text, use


async def left_behind(bench: Bench, fake: FakeEndpoint) -> dict[str, Any]:
    """What a request leaves where it goes."""
    counts = {
        "sent": len(fake.bodies),
        "jobs": await Job.find_all().count(),
        "paid": await Expense.find_all().count(),
        "wanted": await bench.database.raw["wanted_models"].count_documents({}),
    }
    return counts | {"redis": sorted(await bench.doorbell.redis.keys("*"))}


async def test_a_hit_asks_nobody(bench: Bench, fake: FakeEndpoint) -> None:
    """Not even whether somebody is there: the worker has gone, and Redis too, and the reply comes all the same."""
    register(bench, fake)
    await publish_model(bench.database, entry_facts(find_model("cloud", bench.settings)), by="test")
    async with LiveRequests(bench.database, bench.doorbell, bench.settings.live) as requests:
        cache = ReplyCache(requests, bench.settings.live)
        serving = asyncio.create_task(serve_cloud(bench, burst=False))
        try:
            text, use = await replied(cache)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        assert (text, use) == ("Reply to: Hello", CacheUse.MISS)
        before = await left_behind(bench, fake)
        assert (before["sent"], before["paid"]) == (1, 1)
        assert [await replied(cache) for _ in range(3)] == [(text, CacheUse.HIT)] * 3
        after = await left_behind(bench, fake)
        assert after | {"redis": []} == before | {"redis": []}
        assert set(after["redis"]) <= set(before["redis"]), "nobody was called"
    away = Doorbell.unconnected(bench.services.redis)
    await away.close()
    async with LiveRequests(bench.database, away, bench.settings.live) as requests:
        assert await replied(ReplyCache(requests, bench.settings.live)) == (text, CacheUse.HIT)
