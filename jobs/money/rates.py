"""Rates that all processes of a home share, in Redis: of endpoints the generic cell rate algorithm (ITU-T I.371), of
API tokens the requests in a minute.

Redis' clock counts, so that hosts may disagree about the time. While Redis is away each process keeps its own share:
the limit divided by how many had asked under that key within a minute when Redis last answered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic

import structlog

from nightjar.config.errors import ServiceError
from nightjar.jobs.queue import Doorbell

MINUTE_MS = 60_000.0
MINUTE_S = 60.0
REMEMBERED = 10_000
"""Most keys of which a process keeps account by itself; more of them push out the oldest."""
AGAIN_S = 5.0
"""Redis is not asked sooner after it did not answer: its silence takes seconds."""
_SHARERS = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 60000)
redis.call('PEXPIRE', KEYS[2], 61000)
local sharers = redis.call('ZCARD', KEYS[2])
"""
_TAKE = (
    _SHARERS
    + """
local tat = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local step, burst, amount = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local wait = tat - (burst - math.min(amount, burst)) * step - now
if wait > 0 then return {tostring(wait), sharers} end
local after = tat + amount * step
redis.call('SET', KEYS[1], string.format('%.3f', after), 'PX', math.ceil(after - now) + 1000)
return {'0', sharers}
"""
)
_COUNT = (
    _SHARERS
    + """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], 60000) end
if count > tonumber(ARGV[2]) then return {tostring(redis.call('PTTL', KEYS[1])), sharers} end
return {'0', sharers}
"""
)
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Rate:
    """At most `per_minute` units in any minute, a tenth of them at once."""

    key: str
    per_minute: int

    @property
    def burst(self) -> int:
        return max(1, self.per_minute // 10)

    @property
    def step_ms(self) -> float:
        """Between two units: with the burst at its beginning, a minute still holds no more than `per_minute`."""
        return MINUTE_MS / (self.per_minute - self.burst + 1)

    def share(self, sharers: int) -> Rate:
        """What one of so many may take by itself: a unit at least."""
        return replace(self, per_minute=max(1, self.per_minute // sharers))

    def taken(self, amount: int, tat_ms: float, now_ms: float) -> tuple[float, float]:
        """(milliseconds to wait, the theoretical arrival time after it): `_TAKE`, for one process."""
        tat_ms = max(now_ms, tat_ms)
        wait_ms = tat_ms - (self.burst - min(amount, self.burst)) * self.step_ms - now_ms
        return (wait_ms, tat_ms) if wait_ms > 0 else (0.0, tat_ms + amount * self.step_ms)


@dataclass(kw_only=True)
class MinuteCounts:
    """Requests under each key within a minute that begins with its first, as one process counts them."""

    _windows: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)

    def wait_s(self, key: str, per_minute: int, now: float) -> float:
        """Counts a request; how long until it would be taken, 0 where it is."""
        begun, count = self._windows.pop(key, (now, 0))
        if now - begun >= MINUTE_S:
            begun, count = now, 0
        wait = begun + MINUTE_S - now if count >= per_minute else 0.0
        self._windows[key] = (begun, count if wait else count + 1)
        while len(self._windows) > REMEMBERED:
            self._windows.popitem(last=False)
        return wait


class SharedRates:
    """The rates as one process sees them. `member`: its name among those that share them; `now`: a clock in seconds."""

    def __init__(self, doorbell: Doorbell, member: str, now: Callable[[], float] = monotonic) -> None:
        self._doorbell = doorbell
        self._member = member
        self._now = now
        self._sharers: dict[str, int] = {}
        self._arrivals: dict[str, float] = {}
        self._counts = MinuteCounts()
        self._away_until: float | None = None

    async def take(self, rate: Rate, amount: int) -> float:
        """Takes so many units, and returns 0; or takes nothing, and returns how many seconds to wait."""
        key = f"endpoint:{rate.key}"
        wait_ms = await self._ask(_TAKE, key, rate.step_ms, rate.burst, amount)
        if wait_ms is None:
            own, arrival = rate.share(self._sharers.get(key, 1)), self._arrivals.get(key, 0.0)
            wait_ms, self._arrivals[key] = own.taken(amount, arrival, self._now() * 1000)
        return wait_ms / 1000

    async def count(self, token: str, per_minute: int | None) -> float:
        """Counts a request of an API token; how many seconds until it would be taken, 0 where it is."""
        if per_minute is None:
            return 0.0
        key = f"token:{token}"
        wait_ms = await self._ask(_COUNT, key, per_minute)
        if wait_ms is None:
            return self._counts.wait_s(key, max(1, per_minute // self._sharers.get(key, 1)), self._now())
        return wait_ms / 1000

    async def _ask(self, script: str, key: str, *numbers: float) -> float | None:
        """What the script says of a key, in milliseconds; None while Redis is away."""
        if self._away_until is not None and self._now() < self._away_until:
            return None
        keys = (f"nightjar:rate:{key}", f"nightjar:sharers:{key}")
        try:
            async with self._doorbell.reached() as redis:
                wait_ms, self._sharers[key] = await redis.eval(script, 2, *keys, self._member, *numbers)
        except ServiceError as error:
            if self._away_until is None:
                _log.warning("rates_not_shared", error=str(error), kept="this process' share of each limit")
            self._away_until = self._now() + AGAIN_S
            return None
        if self._away_until is not None:
            self._away_until = None
            _log.info("rates_shared_again")
        return float(wait_ms)
