"""Rates that processes share, on a real Redis; and what each keeps by itself while Redis is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from arq.connections import ArqRedis
from pydantic import SecretStr
from structlog.testing import capture_logs

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import ServiceError
from nightjar.jobs.money.rates import AGAIN_S, Rate, SharedRates
from nightjar.jobs.queue import Doorbell

RATE = Rate(key="cloud:requests", per_minute=60)
"""Six at once."""


class Cut(Doorbell):
    """A connection that a test cuts."""

    is_away = False

    @asynccontextmanager
    async def reached(self) -> AsyncIterator[ArqRedis]:
        if self.is_away:
            raise ServiceError("Redis is away.")
        async with super().reached() as redis:
            yield redis


@dataclass
class Client:
    """One process: its own connection, and a clock of the test's."""

    doorbell: Cut
    rates: SharedRates = field(init=False)
    now: float = 1_000.0

    def __post_init__(self) -> None:
        self.rates = SharedRates(self.doorbell, f"process {id(self)}", now=lambda: self.now)

    async def at_once(self, rate: Rate = RATE, *, most: int = 100) -> int:
        """How many units it gets before it must wait."""
        for number in range(most):
            if await self.rates.take(rate, 1):
                return number
        return most


@pytest.fixture
async def two(services: ServiceUrls) -> AsyncIterator[tuple[Client, Client]]:
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            doorbell = Cut.unconnected(services.redis)
            stack.push_async_callback(doorbell.close)
            clients.append(Client(doorbell))
        await clients[0].doorbell.redis.flushall()
        yield clients[0], clients[1]


async def test_two_clients_share_a_rate(two: tuple[Client, Client]) -> None:
    """What one has taken the other cannot take; tokens are another rate than requests, and so is another endpoint."""
    one, other = two
    assert await one.rates.take(RATE, 4) == 0
    assert await other.at_once() in (2, 3), "a unit a second comes after"
    assert 0 < await one.rates.take(RATE, 1) < 2
    assert await one.rates.take(Rate(key="cloud:tokens", per_minute=60), 6) == 0
    assert await other.rates.take(Rate(key="elsewhere:requests", per_minute=60), 6) == 0
    assert await one.rates.take(Rate(key="cloud:tokens", per_minute=60), 1_000) > 0


async def test_two_servers_share_what_a_token_may_ask(two: tuple[Client, Client]) -> None:
    one, other = two
    assert [await client.rates.count("few", 3) for client in (one, other, one)] == [0, 0, 0]
    for client in (one, other):
        assert 50 < await client.rates.count("few", 3) <= 60
    assert await other.rates.count("other", 3) == 0
    assert await other.rates.count("few", None) == 0


async def test_while_redis_is_away_each_keeps_its_share(two: tuple[Client, Client]) -> None:
    """Half of it, since two had asked; told once, and shared again when Redis is back."""
    for client in (*two, two[0]):  # the first hears of the second when it asks again
        await client.rates.take(RATE, 1)
        await client.rates.count("few", 4)
    for client in two:
        client.doorbell.is_away = True
    with capture_logs() as logs:
        assert [await client.at_once() for client in two] == [3, 3]
        for client in two:
            assert [await client.rates.count("few", 4) for _ in range(2)] == [0, 0]
            assert await client.rates.count("few", 4) == 60
        two[0].now += 2 * AGAIN_S
        assert await two[0].at_once() == 3, "a unit every other second, and three at most"
    assert [log["event"] for log in logs] == ["rates_not_shared"] * 2, "once for each process"
    for client in two:
        client.doorbell.is_away = False
    assert await two[0].rates.take(RATE, 1) > 0, "Redis is not asked at once"
    with capture_logs() as logs:
        for client in two:
            client.now += 2 * AGAIN_S
        assert sum([await client.at_once() for client in two]) <= 8, "not six for each"
    assert [log["event"] for log in logs] == ["rates_shared_again"] * 2


async def test_without_redis_from_the_beginning_a_process_has_the_whole() -> None:
    """It knows of nobody else."""
    doorbell = Cut.unconnected(SecretStr("redis://127.0.0.1:1"))
    doorbell.is_away = True
    client = Client(doorbell)
    assert await client.at_once() == 6
    client.now += 1.2
    assert await client.at_once() == 1
    assert await client.rates.take(Rate(key="cloud:tokens", per_minute=60), 1_000) == 0, "more than fits is taken whole"
    await doorbell.close()
