"""Redis for live requests: jobs are pushed to workers, texts and cancellations published, what is watched is marked.

All of it is liveness only. What is lost with Redis is found in MongoDB: workers look there every second, and so does
whoever waits for a reply.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import quote

import structlog
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

from nightjar.config.errors import NightjarError, ServiceError
from nightjar.jobs.mongo import DatabaseError
from nightjar.jobs.queue import Doorbell, DueJob, LatestAddress, Start, open_redis, whereabouts

TEXT = "nightjar:text:"
CALLS = "nightjar:calls"
"""What is called out to all workers: a word and a job."""
CANCEL, AGAIN = "cancel", "again"
WATCH_S = 10
"""A watcher that has not said for so long that it is there has gone."""
RENEW_S = 3.0
ENTRY_LIFE_S = 3600
POP_S = 1
"""How long one blocking pop waits. Below the socket's time limit."""
NO_ROOM_S = 0.01
AWAY_S = 0.5
_log = structlog.get_logger()


def live_key(model: str) -> str:
    """Redis key of the list that live jobs of a model are pushed to."""
    return f"nightjar:live:{quote(model, safe='')}"


def watch_key(job: str) -> str:
    return f"nightjar:watch:{job}"


async def push_live(doorbell: Doorbell, model: str, due: DueJob) -> None:
    """Hands a live job to whichever worker of the model is free first. Raises ServiceError."""
    async with doorbell.reached() as redis, redis.pipeline(transaction=False) as pipe:
        pipe.rpush(live_key(model), json.dumps([*due]))
        pipe.expire(live_key(model), ENTRY_LIFE_S)
        await pipe.execute()


async def mark_watched(doorbell: Doorbell, jobs: Iterable[str]) -> None:
    """Says that somebody watches these jobs; again before WATCH_S are over. Raises ServiceError."""
    async with doorbell.reached() as redis, redis.pipeline(transaction=False) as pipe:
        for job in jobs:
            pipe.set(watch_key(job), "1", ex=WATCH_S)
        await pipe.execute()


async def which_are_watched(doorbell: Doorbell, jobs: Iterable[str]) -> set[str]:
    """Those of the jobs that somebody watches. Raises ServiceError."""
    jobs = list(jobs)
    if not jobs:
        return set()
    async with doorbell.reached() as redis:
        values = await redis.mget([watch_key(job) for job in jobs])
    return {job for job, value in zip(jobs, values, strict=True) if value is not None}


async def stop_watching(doorbell: Doorbell, job: str) -> None:
    """Raises ServiceError."""
    async with doorbell.reached() as redis:
        await redis.delete(watch_key(job))


async def publish_text(doorbell: Doorbell, texts: Iterable[tuple[str, bytes]]) -> None:
    """Publishes messages (job, data), in order and in one round trip. Raises ServiceError."""
    async with doorbell.reached() as redis, redis.pipeline(transaction=False) as pipe:
        for job, data in texts:
            pipe.publish(TEXT + job, data)
        await pipe.execute()


async def call_out(doorbell: Doorbell, word: str, job: str) -> None:
    """Tells the worker that holds the job, whichever it is: CANCEL, after MongoDB says so; AGAIN, to hear its text from
    the beginning. Raises ServiceError.
    """
    async with doorbell.reached() as redis:
        await redis.publish(CALLS, f"{word} {job}")


async def listen_live(
    url: SecretStr, model: str, *, start: Start, free: Callable[[], int], latest: LatestAddress | None = None
) -> None:
    """Hands live jobs that are pushed for the model to `start`, one by one as there is room, until cancelled."""

    async def pops(redis: Redis) -> None:
        while True:
            if free() <= 0:
                await asyncio.sleep(NO_ROOM_S)
                continue
            popped = await redis.blpop([live_key(model)], timeout=POP_S)  # type: ignore[misc]  # typed for both clients
            if popped is not None and (due := _entry(popped[1])) is not None:
                await _handed_over(start, due)

    await _with_redis(url, pops, latest)


async def listen_calls(
    url: SecretStr, called: Callable[[str, str], None], *, latest: LatestAddress | None = None
) -> None:
    """Calls `called` with each word and job that is called out, until cancelled."""

    async def hears(redis: Redis) -> None:
        async with redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(CALLS)
            while True:
                message = await pubsub.get_message(timeout=POP_S)
                if message is not None and isinstance(message.get("data"), bytes):
                    word, _, job = message["data"].decode("utf-8", "replace").partition(" ")
                    called(word, job)

    await _with_redis(url, hears, latest)


async def _with_redis(url: SecretStr, work: Callable[[Redis], Awaitable[None]], latest: LatestAddress | None) -> None:
    """Does again and again what needs Redis, wherever that is by now. While it is away this only waits."""
    while True:
        with contextlib.suppress(ServiceError):
            url = await whereabouts(url, latest)
        redis = open_redis(url, latest)
        try:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await work(redis)
        finally:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await redis.aclose(close_connection_pool=True)
        await asyncio.sleep(AWAY_S * random.uniform(0.5, 1))  # noqa: S311


async def _handed_over(start: Start, due: DueJob) -> None:
    try:
        await start([due])
    except (NightjarError, DatabaseError) as error:
        _log.warning("claim_failed", jobs=[due.job], error=str(error))
    except Exception:  # a defect: it costs this entry, which MongoDB has, too
        _log.exception("claim_failed", jobs=[due.job])


def _entry(data: bytes) -> DueJob | None:
    try:
        run, job, fence, *_ = json.loads(data)
    except (ValueError, TypeError):
        return None
    return DueJob(str(run), str(job), int(fence)) if isinstance(fence, int) else None
