"""Rates that all workers share, in Redis: the generic cell rate algorithm (ITU-T I.371), one key an endpoint and unit.

Redis' clock counts, so that hosts may disagree about the time. Without Redis nothing is held back here: the endpoint
itself says when it is too much.
"""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.config.errors import ServiceError
from nightjar.jobs.queue import Doorbell

MINUTE_MS = 60_000.0
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local tat = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local step, burst, amount = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local wait = tat - (burst - math.min(amount, burst)) * step - now
if wait > 0 then return tostring(wait) end
local after = tat + amount * step
redis.call('SET', KEYS[1], string.format('%.3f', after), 'PX', math.ceil(after - now) + 1000)
return '0'
"""


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


async def take_of_rate(rate: Rate, amount: int, doorbell: Doorbell) -> float:
    """Takes so many units, and returns 0; or takes nothing, and returns how many seconds to wait."""
    try:
        async with doorbell.reached() as redis:
            wait = await redis.eval(_TAKE, 1, f"nightjar:rate:{rate.key}", rate.step_ms, rate.burst, amount)
    except ServiceError:
        return 0.0
    return float(wait) / 1000
