"""The doorbell: one arq queue a model in Redis, telling workers which jobs are due. Losing it costs latency only.

The only file that knows arq. The dispatcher rings with `Doorbell`, a worker listens with `listen`, which hands every
entry to the worker's own tasks and is done with it: nothing that generates is ever arq's to cancel.

An entry is (run, job id, fence), its arq id `{job}.{fence}`. Payloads are JSON. The dispatcher rings for the same jobs
again and again, so that an entry lost with Redis, or with a connection, comes back by itself; ringing twice is
harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from time import time
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import structlog
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix
from arq.jobs import SerializationError, deserialize_job_raw, serialize_job
from arq.worker import Worker, func
from pydantic import SecretStr
from pymongo.errors import PyMongoError
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from nightjar.config.errors import NightjarError, ServiceError, SettingsError
from nightjar.config.redact import redact_text
from nightjar.config.urls import address

ID_KEY = "nightjar:id"
"""Holds what tells this Redis from others."""
DATABASES_KEY = "nightjar:databases"
"""Holds by id the databases whose processes use this Redis: "SECONDS WHERE", by this Redis's own clock."""
FUNCTION = "start"
"""Name of the one arq function; an entry's arguments are (run, job id, fence)."""
SOCKET_TIMEOUT_S = 4
ENTRY_LIFE_MS = 3_600_000
"""An entry that nobody took within an hour is forgotten; the dispatcher writes it again."""
PRIORITY_STEP_MS = 86_400_000
"""One step of priority puts an entry a day ahead in its queue."""
POLL_S = 0.1
"""Between two looks into a queue that was empty."""
HANDOVER_S = 5
"""How long arq's lock on an entry outlives a worker that died with it in hand."""
BREATH_S = 0.01
"""Between two looks into a queue that was not empty, or while there is no room."""
READ_LIMIT = 1_000
"""Entries a worker looks at; beyond what all workers of a model can have in hand at one moment."""
LONGEST_PAUSE_S = 5.0
_log = structlog.get_logger()


Latest = Callable[[SecretStr], SecretStr]
"""Where Redis is by now, from where it was known to be: an embedded server may come back at another address.

Raises ServiceError while it is not up; it is asked before a password is sent.
"""


class Doorbell:
    """A connection to Redis. Every call raises ServiceError, within seconds, when Redis does not answer."""

    def __init__(self, redis: ArqRedis, url: SecretStr, latest: Latest | None = None) -> None:
        self.redis = redis
        self._url = url
        self._latest = latest

    @classmethod
    def unconnected(cls, url: SecretStr, latest: Latest | None = None) -> Self:
        """For those who can wait for a Redis that is away."""
        return cls(open_redis(url, latest), url, latest)

    @classmethod
    async def connect(cls, url: SecretStr, latest: Latest | None = None) -> Self:
        """Connects and pings."""
        doorbell = cls.unconnected(url, latest)
        try:
            await doorbell.ping()
        except ServiceError:
            await doorbell.close()
            raise
        return doorbell

    async def ping(self) -> None:
        """Returns when Redis has answered."""
        async with self.reached() as redis:
            await redis.ping()

    @property
    def where(self) -> str:
        """Its address, with this host's name where it is one of this host."""
        known = address(self._url)
        local = known.startswith("/") or known.partition(":")[0] in ("localhost", "127.0.0.1", "[")
        return f"{known} on {socket.gethostname()}" if local else known

    async def read_id(self) -> str | None:
        """The id that this Redis holds; one that lost everything has none."""
        async with self.reached() as redis:
            value: bytes | None = await redis.get(ID_KEY)
        return None if value is None else value.decode()

    async def take_id(self, identity: str) -> str:
        """Gives it this id where it has none; the one that it has then."""
        async with self.reached() as redis:
            await redis.set(ID_KEY, identity, nx=True)
        return await self.read_id() or identity

    async def note_database(self, identity: str, where: str) -> None:
        """Says that processes of this database use this Redis now."""
        async with self.reached() as redis:
            now, _ = await redis.time()
            await redis.hset(DATABASES_KEY, identity, f"{now} {where}")

    async def databases(self, within_s: float) -> dict[str, str]:
        """Id -> address of the databases whose processes have used this Redis within that time; older ones go."""
        async with self.reached() as redis:
            now, _ = await redis.time()
            rows: dict[bytes, bytes] = await redis.hgetall(DATABASES_KEY)
            noted = {identity: row.decode(errors="replace").partition(" ") for identity, row in rows.items()}
            ages = {identity: now - int(at) if at.isdecimal() else math.inf for identity, (at, _, _) in noted.items()}
            if gone := [identity for identity, age in ages.items() if age > within_s]:
                await redis.hdel(DATABASES_KEY, *gone)
        return {identity.decode(): where for identity, (_, _, where) in noted.items() if ages[identity] <= within_s}

    async def ring(self, model: str, run: str, entries: Iterable[tuple[str, int]], *, priority: int = 0) -> None:
        """Puts jobs (id, fence) of a run into a model's queue, in order; those already there stay where they are."""
        entries = list(entries)
        if not entries:
            return
        now_ms = int(time() * 1000)
        first = now_ms - max(-1000, min(1000, priority)) * PRIORITY_STEP_MS - PRIORITY_STEP_MS * 1001
        async with self.reached() as redis, redis.pipeline(transaction=False) as pipe:
            for position, (job_id, fence) in enumerate(entries):
                arq_id = arq_id_of(DueJob(run, job_id, fence))
                payload = serialize_job(FUNCTION, (run, job_id, fence), {}, None, now_ms, serializer=dump)
                pipe.set(job_key_prefix + arq_id, payload, px=ENTRY_LIFE_MS, nx=True)
                pipe.zadd(queue_name(model), {arq_id: first + position}, nx=True)
            await pipe.execute()

    async def depth(self, model: str) -> int:
        """Entries waiting in a model's queue."""
        async with self.reached() as redis:
            return int(await redis.zcard(queue_name(model)))

    async def close(self) -> None:
        await self.redis.aclose(close_connection_pool=True)

    @contextlib.asynccontextmanager
    async def reached(self) -> AsyncIterator[ArqRedis]:
        """Redis, for one call. After one that failed, the next goes to where the server is by then."""
        try:
            yield self.redis
        except (RedisError, OSError) as error:
            failure = ServiceError(
                f"Redis at {address(self._url)} cannot be used: {type(error).__name__}: {error}. Check "
                "NIGHTJAR_REDIS_URL and that the server runs; without that setting Nightjar starts a server of its own."
            )
            await self._follow()
            raise failure from None

    async def _follow(self) -> None:
        with contextlib.suppress(ServiceError):
            url = await whereabouts(self._url, self._latest)
            if url != self._url:
                former, self.redis, self._url = self.redis, open_redis(url, self._latest), url
                with contextlib.suppress(RedisError, OSError):
                    await former.aclose(close_connection_pool=True)


class DueJob(NamedTuple):
    """What an entry of a queue says: this job of this run is due, and was at this fence."""

    run: str
    job: str
    fence: int


Start = Callable[[list[DueJob]], Awaitable[object]]


async def listen(
    url: SecretStr, model: str, *, start: Start, free: Callable[[], int], most: int, latest: Latest | None = None
) -> None:
    """Hands the entries of a model's queue to `start` until cancelled, never more than `free()` at once.

    When Redis goes away this comes back to it with backoff, wherever it is by then; what was started runs on.
    """
    pause_s = 0.0
    while True:
        began = time()
        with contextlib.suppress(ServiceError):
            url = await whereabouts(url, latest)
        redis = open_redis(url, latest)
        worker = _PacedWorker(redis, model, start=start, free=free, most=most)
        try:
            await worker.main()
        except (RedisError, OSError, TimeoutError) as error:
            pause_s = 0.25 if time() - began > LONGEST_PAUSE_S * 2 else min(LONGEST_PAUSE_S, max(0.25, pause_s * 2))
            _log.warning("redis_away", error=f"{type(error).__name__}: {error}", again_in_s=pause_s)
        finally:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await redis.aclose(close_connection_pool=True)
        await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311


class _PacedWorker(Worker):  # type: ignore[misc]  # arq is not checked
    """arq's worker, taking entries many at a time and no more than there is room for.

    arq's own way takes four round trips an entry, which was a quarter of what a worker had to do for a job. The keys
    are arq's: an entry is locked while its job is claimed, and goes away when that is answered.
    """

    def __init__(self, redis: ArqRedis, model: str, *, start: Start, free: Callable[[], int], most: int) -> None:
        self._start = start
        self._free = free
        self._handing: set[asyncio.Task[None]] = set()
        self._in_hand: set[str] = set()
        self._answered: list[str] = []
        super().__init__(
            functions=[func(self._hand_over, name=FUNCTION)],
            redis_pool=redis,
            queue_name=queue_name(model),
            max_jobs=most,
            handle_signals=False,
            keep_result=0,
            poll_delay=BREATH_S,
            queue_read_limit=READ_LIMIT,
            job_serializer=dump,
            job_deserializer=read_payload,
        )
        self._take_script = redis.register_script(_TAKE)

    async def _poll_iteration(self) -> None:
        """One look for as many entries as there is room for; arq looks again after a breath."""
        room = max(0, min(self.max_jobs, self._free()))
        taken = await self._take(room) if room or self._answered else []
        if taken:
            task = asyncio.create_task(self.functions[FUNCTION].coroutine({}, taken))
            self._handing.add(task)  # a task of the process: arq may be cancelled before a claim is answered
            task.add_done_callback(self._handing.discard)
        elif room:
            await asyncio.sleep(POLL_S)
        await self.heart_beat()

    async def _take(self, room: int) -> list[DueJob]:
        """Locks entries and reads them, and takes away those that were answered, in one round trip."""
        answered, self._answered = self._answered, []
        arguments = [room, self.queue_read_limit, HANDOVER_S * 1000, *answered]
        taken: list[bytes] = await self._take_script(keys=[self.queue_name], args=arguments)
        rung = []
        for arq_id, payload in zip(taken[::2], taken[1::2], strict=True):
            entry = _read(payload)
            if entry is None or arq_id_of(entry) != arq_id.decode():
                self._answered.append(arq_id.decode())  # not of our making
            elif arq_id.decode() not in self._in_hand:
                rung.append(entry)
        self._in_hand.update(map(arq_id_of, rung))
        return rung

    async def _hand_over(self, _context: dict[str, Any], rung: list[DueJob]) -> None:
        try:
            await self._start(rung)
        except (NightjarError, PyMongoError) as error:
            _log.warning("claim_failed", jobs=[entry.job for entry in rung], error=str(error))
        except Exception:  # a defect: it costs these entries, for which the dispatcher rings again
            _log.exception("claim_failed", jobs=[entry.job for entry in rung])
        finally:
            ids = list(map(arq_id_of, rung))
            self._in_hand.difference_update(ids)
            self._answered += ids


def _read(payload: bytes) -> DueJob | None:
    try:
        _, (run, job, fence), *_ = deserialize_job_raw(payload, deserializer=read_payload)
    except (SerializationError, ValueError, TypeError):
        return None
    return DueJob(run, job, fence)


def arq_id_of(rung: DueJob) -> str:
    """A new id with every fence: a lock that a dead worker left behind never meets the job's next attempt."""
    return f"{rung.job}.{rung.fence}"


_TAKE = f"""
for index = 4, #ARGV do
  redis.call('ZREM', KEYS[1], ARGV[index])
  redis.call('DEL', '{job_key_prefix}' .. ARGV[index], '{in_progress_key_prefix}' .. ARGV[index])
end
local taken = {{}}
if ARGV[1] == '0' then return taken end
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[2] - 1)) do
  local payload = redis.call('GET', '{job_key_prefix}' .. id)
  if not payload then
    redis.call('ZREM', KEYS[1], id)
  elseif redis.call('SET', '{in_progress_key_prefix}' .. id, '1', 'NX', 'PX', ARGV[3]) then
    taken[#taken + 1] = id
    taken[#taken + 1] = payload
    if #taken >= 2 * ARGV[1] then break end
  end
end
return taken
"""
"""KEYS: queue. ARGV: places free, entries to look at, milliseconds that a lock lasts, ids that were answered."""


async def whereabouts(url: SecretStr, latest: Latest | None) -> SecretStr:
    """Where Redis is by now. Raises ServiceError while it is not up."""
    return url if latest is None else await asyncio.to_thread(latest, url)


def open_redis(url: SecretStr, latest: Latest | None = None) -> ArqRedis:
    """An unconnected client with time limits on every call and JSON in place of pickle.

    With `latest`, every new connection first makes sure who answers. No health checks: redis-py 5.3 makes one while it
    connects, and recurses without end where that one fails.
    """

    async def greet(connection: AbstractConnection) -> None:
        try:
            moved = await whereabouts(url, latest) != url
        except ServiceError as error:
            raise RedisConnectionError(str(error)) from None
        if moved:
            raise RedisConnectionError("the server is at another address by now")
        await connection.on_connect()

    try:
        pool = ConnectionPool.from_url(
            url.get_secret_value(),
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=SOCKET_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
            **({} if latest is None else {"redis_connect_func": greet}),
        )
        pool.make_connection()  # type: ignore[no-untyped-call]  # does no I/O, but looks at the options
    except (ValueError, TypeError, RedisError) as error:
        raise SettingsError(
            f"NIGHTJAR_REDIS_URL, for {address(url)}, has an option that is not valid: {redact_text(str(error))}."
        ) from None
    return ArqRedis(pool, job_serializer=dump, job_deserializer=read_payload)


def queue_name(model: str) -> str:
    """Redis key of a model's queue."""
    return f"nightjar:queue:{quote(model, safe='')}"


def dump(value: Any) -> bytes:
    """arq's serializer: JSON. What is not JSON, such as an exception, becomes its text."""
    return json.dumps(value, default=str).encode()


def read_payload(data: bytes) -> Any:
    """arq's deserializer, the inverse of `dump`."""
    return json.loads(data)
