"""The doorbell: one arq queue a model in Redis, telling workers which jobs are due. Losing it costs latency only.

An entry is (job id, fence), its arq id `{job}.{fence}`: a lock that a dead worker left behind never meets the job's
next attempt. Payloads are JSON. The dispatcher rings for the same jobs again and again, so that an entry lost with
Redis, or with a connection, comes back by itself; ringing twice is harmless.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from time import time
from typing import Any, Self
from urllib.parse import quote

from arq.connections import ArqRedis
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from pydantic import SecretStr
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from config.errors import ServiceError
from jobs.database import address

FUNCTION = "start"
"""Name of the one arq function: `start(job_id, fence)`."""
SOCKET_TIMEOUT_S = 5
ENTRY_LIFE_MS = 3_600_000
"""An entry nobody took within an hour is forgotten; the dispatcher writes it anew."""
PRIORITY_STEP_MS = 86_400_000
"""One step of priority puts an entry a day ahead in its queue."""


class Doorbell:
    """A connection to Redis. Every call raises ServiceError, within seconds, when Redis does not answer."""

    def __init__(self, redis: ArqRedis, url: SecretStr) -> None:
        self.redis = redis
        self._url = url

    @classmethod
    async def connect(cls, url: SecretStr) -> Self:
        """Connects and pings."""
        doorbell = cls(open_redis(url), url)
        try:
            await doorbell.ping()
        except ServiceError:
            await doorbell.close()
            raise
        return doorbell

    async def ping(self) -> None:
        try:
            await self.redis.ping()
        except (RedisError, OSError) as error:
            raise self._failure(error) from None

    async def ring(self, model: str, entries: Iterable[tuple[str, int]], *, priority: int = 0) -> None:
        """Puts jobs (id, fence) into a model's queue, in order; those already there stay where they are."""
        now_ms = int(time() * 1000)
        first = now_ms - max(-1000, min(1000, priority)) * PRIORITY_STEP_MS - PRIORITY_STEP_MS * 1001
        try:
            async with self.redis.pipeline(transaction=False) as pipe:
                for position, (job_id, fence) in enumerate(entries):
                    arq_id = f"{job_id}.{fence}"
                    payload = serialize_job(FUNCTION, (job_id, fence), {}, None, now_ms, serializer=dump)
                    pipe.set(job_key_prefix + arq_id, payload, px=ENTRY_LIFE_MS, nx=True)
                    pipe.zadd(queue_name(model), {arq_id: first + position}, nx=True)
                await pipe.execute()
        except (RedisError, OSError) as error:
            raise self._failure(error) from None

    async def depth(self, model: str) -> int:
        """Entries waiting in a model's queue."""
        try:
            return int(await self.redis.zcard(queue_name(model)))
        except (RedisError, OSError) as error:
            raise self._failure(error) from None

    async def close(self) -> None:
        await self.redis.aclose(close_connection_pool=True)

    def _failure(self, error: Exception) -> ServiceError:
        return ServiceError(
            f"Redis at {address(self._url)} cannot be used: {type(error).__name__}: {error}. Check NIGHTJAR_REDIS_URL "
            "and that the server runs; without that setting Nightjar starts a server of its own."
        )


def open_redis(url: SecretStr) -> ArqRedis:
    """An unconnected client with time limits on every call and JSON in place of pickle."""
    pool = ConnectionPool.from_url(
        url.get_secret_value(),
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        health_check_interval=30,
        retry=Retry(NoBackoff(), 1),
    )
    return ArqRedis(pool, job_serializer=dump, job_deserializer=load)


def queue_name(model: str) -> str:
    """Redis key of a model's queue."""
    return f"nightjar:queue:{quote(model, safe='')}"


def dump(value: Any) -> bytes:
    """arq's serializer: JSON. What is not JSON, such as an exception, becomes its text."""
    return json.dumps(value, default=str).encode()


def load(data: bytes) -> Any:
    return json.loads(data)
