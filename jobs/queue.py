"""The doorbell: one arq queue a model in Redis, telling workers which jobs are due. Losing it costs latency only.

The only file that knows arq. The dispatcher rings with `Doorbell`, a worker listens with `listen`, which hands every
entry to the worker's own tasks and has done with it: nothing that generates is ever arq's to cancel.

An entry is (job id, fence), its arq id `{job}.{fence}`: a lock that a dead worker left behind never meets the job's
next attempt. Payloads are JSON. The dispatcher rings for the same jobs again and again, so that an entry lost with
Redis, or with a connection, comes back by itself; ringing twice is harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable, Iterable
from time import time
from typing import Any, Self
from urllib.parse import quote

import structlog
from arq.connections import ArqRedis
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from arq.worker import Worker, func
from pydantic import SecretStr
from pymongo.errors import PyMongoError
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from config.errors import NightjarError, ServiceError, SettingsError
from config.redact import redact_text
from jobs.database import address

FUNCTION = "start"
"""Name of the one arq function: `start(run, job_id, fence)`."""
SOCKET_TIMEOUT_S = 4
ENTRY_LIFE_MS = 3_600_000
"""An entry nobody took within an hour is forgotten; the dispatcher writes it anew."""
PRIORITY_STEP_MS = 86_400_000
"""One step of priority puts an entry a day ahead in its queue."""
POLL_S = 0.1
HANDOVER_S = 5
"""How long arq's lock on an entry outlives a worker that died with it in hand."""
CLAIM_LIMIT_S = 60
READ_LIMIT = 1_000
"""Entries a worker looks at; beyond what all workers of a model can have in hand at one moment."""
LONGEST_PAUSE_S = 5.0
_log = structlog.get_logger()


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

    async def ring(self, model: str, run: str, entries: Iterable[tuple[str, int]], *, priority: int = 0) -> None:
        """Puts jobs (id, fence) of a run into a model's queue, in order; those already there stay where they are."""
        entries = list(entries)
        if not entries:
            return
        now_ms = int(time() * 1000)
        first = now_ms - max(-1000, min(1000, priority)) * PRIORITY_STEP_MS - PRIORITY_STEP_MS * 1001
        try:
            async with self.redis.pipeline(transaction=False) as pipe:
                for position, (job_id, fence) in enumerate(entries):
                    arq_id = f"{job_id}.{fence}"
                    payload = serialize_job(FUNCTION, (run, job_id, fence), {}, None, now_ms, serializer=dump)
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


Start = Callable[[str, str, int], Awaitable[object]]


async def listen(url: SecretStr, model: str, *, start: Start, free: Callable[[], int], most: int) -> None:
    """Hands the entries of a model's queue to `start(run, job_id, fence)` until cancelled, never more than `free()`.

    When Redis goes away this comes back to it with backoff; what was started runs on.
    """
    pause_s = 0.0
    while True:
        began = time()
        redis = open_redis(url)
        worker = _PacedWorker(redis, model, start=start, free=free, most=most)
        try:
            await worker.main()
        except (RedisError, OSError, TimeoutError) as error:
            pause_s = 0.25 if time() - began > LONGEST_PAUSE_S * 2 else min(LONGEST_PAUSE_S, max(0.25, pause_s * 2))
            _log.warning("redis_away", error=f"{type(error).__name__}: {error}", again_in_s=pause_s)
        finally:
            await worker.abandon()
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await redis.aclose(close_connection_pool=True)
        await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311


class _PacedWorker(Worker):  # type: ignore[misc]  # arq is not checked
    """arq's worker, taking no more entries than there is room for. It runs nothing itself but the handing over."""

    def __init__(self, redis: ArqRedis, model: str, *, start: Start, free: Callable[[], int], most: int) -> None:
        self._start = start
        self._free = free
        self._most = most
        self._handed: set[asyncio.Task[None]] = set()
        self._broken: Exception | None = None
        super().__init__(
            functions=[func(self._hand_over, name=FUNCTION)],
            redis_pool=redis,
            queue_name=queue_name(model),
            max_jobs=most,
            handle_signals=False,
            keep_result=0,
            poll_delay=POLL_S,
            job_timeout=CLAIM_LIMIT_S,
            max_tries=1_000_000,
            queue_read_limit=READ_LIMIT,
            job_serializer=dump,
            job_deserializer=load,
            log_results=False,
        )
        self.in_progress_timeout_s = HANDOVER_S

    async def _poll_iteration(self) -> None:
        if self._broken is not None:
            raise self._broken
        self.max_jobs = min(self._most, self._free())
        await super()._poll_iteration()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Passes over what is being handed over already, although arq's lock on it has run out."""
        await super().start_jobs([job_id for job_id in job_ids if job_id.decode() not in self.tasks])

    async def _hand_over(self, _context: dict[str, Any], run: str, job_id: str, fence: int) -> None:
        """A task of the process: arq may be cancelled between the claim and its answer, the claim may not."""
        task = asyncio.create_task(self._claim(run, job_id, fence))
        self._handed.add(task)
        task.add_done_callback(self._handed.discard)
        await asyncio.shield(task)

    async def _claim(self, run: str, job_id: str, fence: int) -> None:
        try:
            await self._start(run, job_id, fence)
        except (NightjarError, PyMongoError) as error:
            _log.warning("claim_failed", job=job_id, error=str(error))
        except Exception as error:
            self._broken = error  # a fault of the program's: arq would log it and go on for ever

    async def abandon(self) -> None:
        """Ends arq's own tasks; what they handed over goes on."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


def open_redis(url: SecretStr) -> ArqRedis:
    """An unconnected client with time limits on every call and JSON in place of pickle.

    No health checks: redis-py 5.3 makes one while it connects, and recurses without end where that one fails.
    """
    try:
        pool = ConnectionPool.from_url(
            url.get_secret_value(),
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=SOCKET_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        pool.make_connection()  # type: ignore[no-untyped-call]  # does no I/O, but looks at the options
    except (ValueError, TypeError, RedisError) as error:
        raise SettingsError(
            f"NIGHTJAR_REDIS_URL, for {address(url)}, has an option that is not valid: {redact_text(str(error))}."
        ) from None
    return ArqRedis(pool, job_serializer=dump, job_deserializer=load)


def queue_name(model: str) -> str:
    """Redis key of a model's queue."""
    return f"nightjar:queue:{quote(model, safe='')}"


def dump(value: Any) -> bytes:
    """arq's serializer: JSON. What is not JSON, such as an exception, becomes its text."""
    return json.dumps(value, default=str).encode()


def load(data: bytes) -> Any:
    return json.loads(data)
