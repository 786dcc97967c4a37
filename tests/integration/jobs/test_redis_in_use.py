"""Which Redis is in use, on real servers: another one is refused by name, a lost id comes back, an old one may go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from nightjar.config import embedded
from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import SettingsError
from nightjar.config.settings import Settings
from nightjar.jobs import redis_in_use
from nightjar.jobs.mongo import Database
from nightjar.jobs.queue import Doorbell
from nightjar.jobs.redis_in_use import RedisInUse, other_in_use


@pytest.fixture(scope="module")
def second_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home with a Redis of its own."""
    settings = Settings(home=tmp_path_factory.mktemp("second") / "home")
    yield settings
    embedded.down(settings)


@pytest.fixture
async def first(services: ServiceUrls) -> AsyncIterator[Doorbell]:
    doorbell = await Doorbell.connect(services.redis)
    await doorbell.redis.flushall()
    yield doorbell
    await doorbell.close()


@pytest.fixture
async def second(second_home: Settings) -> AsyncIterator[Doorbell]:
    doorbell = await Doorbell.connect(embedded.redis_url(second_home))
    await doorbell.redis.flushall()
    yield doorbell
    await doorbell.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_in_use, "RESTORED_S", 0.5)


@pytest.mark.usefixtures("impatient")
async def test_another_redis_is_refused_with_both_named(first: Doorbell, second: Doorbell, database: Database) -> None:
    """By processes that would ring or listen, and in words by those that only look."""
    await RedisInUse(doorbell=first, database=database).begin()
    with pytest.raises(SettingsError) as refused:
        await RedisInUse(doorbell=second, database=database).begin()
    assert first.where in str(refused.value)
    assert second.where in str(refused.value)
    assert await other_in_use(first, database) is None
    assert await other_in_use(second, database) == str(refused.value)
    await RedisInUse(doorbell=first, database=database).begin()


async def test_one_redis_at_two_addresses_is_one(services: ServiceUrls, first: Doorbell, database: Database) -> None:
    """Hosts name it differently; what counts is what it holds."""
    await RedisInUse(doorbell=first, database=database).begin()
    again = await Doorbell.connect(services.redis)
    try:
        await RedisInUse(doorbell=again, database=database).begin()
        assert await other_in_use(again, database) is None
    finally:
        await again.close()


async def test_a_redis_that_lost_everything_gets_its_id_back(first: Doorbell, database: Database) -> None:
    """From a process that knew it; one that starts in that moment waits for it."""
    user = RedisInUse(doorbell=first, database=database)
    await user.begin()
    known = await first.read_id()
    await first.redis.flushall()
    await user.check()
    assert await first.read_id() == known
    await RedisInUse(doorbell=first, database=database).begin()


@pytest.mark.usefixtures("impatient")
async def test_one_that_nobody_uses_any_more_may_be_replaced(
    first: Doorbell, second: Doorbell, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await RedisInUse(doorbell=first, database=database).begin()
    monkeypatch.setattr(redis_in_use, "IN_USE_S", 0.0)
    await RedisInUse(doorbell=second, database=database).begin()
    monkeypatch.undo()
    assert await other_in_use(first, database) is not None


async def test_two_databases_may_share_a_redis(services: ServiceUrls, first: Doorbell, database: Database) -> None:
    """The id is the server's own, whoever gave it."""
    from nightjar.jobs.database import connect

    await RedisInUse(doorbell=first, database=database).begin()
    async with await connect(services.mongo, f"{database.raw.name}_b") as other:
        try:
            await RedisInUse(doorbell=first, database=other).begin()
            await RedisInUse(doorbell=first, database=database).check()
        finally:
            await other.client.drop_database(other.raw.name)
