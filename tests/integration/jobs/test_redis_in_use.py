"""Which Redis is in use, on real servers: another one is refused by name, a lost id comes back, an old one may go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from nightjar.config import embedded
from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import SettingsError
from nightjar.config.settings import Settings
from nightjar.jobs import redis_in_use
from nightjar.jobs.mongo import Database
from nightjar.jobs.queue import Doorbell
from nightjar.jobs.redis_in_use import MongoInUse, RedisInUse, mongo_in_use, other_in_use

SHARED = MongoInUse(where="the one at mongo.example.net", alone=False)
REDIS = "redis://ann:word@redis.example.net:6379/0"
MONGO = "mongodb://ann:word@mongo.example.net/"
ALONE = MongoInUse(where="the embedded one of /home/ann on host ann", alone=True)


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
    await RedisInUse(doorbell=first, database=database, mongo=SHARED).begin()
    with pytest.raises(SettingsError) as refused:
        await RedisInUse(doorbell=second, database=database, mongo=SHARED).begin()
    assert first.where in str(refused.value)
    assert second.where in str(refused.value)
    assert await other_in_use(first, database, SHARED) is None
    assert await other_in_use(second, database, SHARED) == str(refused.value)
    await RedisInUse(doorbell=first, database=database, mongo=SHARED).begin()


async def test_one_redis_at_two_addresses_is_one(services: ServiceUrls, first: Doorbell, database: Database) -> None:
    """Hosts name it differently; what counts is what it holds."""
    await RedisInUse(doorbell=first, database=database, mongo=SHARED).begin()
    again = await Doorbell.connect(services.redis)
    try:
        await RedisInUse(doorbell=again, database=database, mongo=SHARED).begin()
        assert await other_in_use(again, database, SHARED) is None
    finally:
        await again.close()


async def test_a_redis_that_lost_everything_gets_its_id_back(first: Doorbell, database: Database) -> None:
    """From a process that knew it; one that starts in that moment waits for it."""
    user = RedisInUse(doorbell=first, database=database, mongo=SHARED)
    await user.begin()
    known = await first.read_id()
    await first.redis.flushall()
    await user.check()
    assert await first.read_id() == known
    await RedisInUse(doorbell=first, database=database, mongo=SHARED).begin()


@pytest.mark.usefixtures("impatient")
async def test_one_that_nobody_uses_any_more_may_be_replaced(
    first: Doorbell, second: Doorbell, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await RedisInUse(doorbell=first, database=database, mongo=SHARED).begin()
    monkeypatch.setattr(redis_in_use, "IN_USE_S", 0.0)
    await RedisInUse(doorbell=second, database=database, mongo=SHARED).begin()
    monkeypatch.undo()
    assert await other_in_use(first, database, SHARED) is not None


async def test_two_databases_may_share_a_redis(services: ServiceUrls, first: Doorbell, database: Database) -> None:
    """The id is the server's own, whoever gave it."""
    from nightjar.jobs.database import connect

    await RedisInUse(doorbell=first, database=database, mongo=SHARED).begin()
    async with await connect(services.mongo, f"{database.raw.name}_b") as other:
        try:
            await RedisInUse(doorbell=first, database=other, mongo=SHARED).begin()
            await RedisInUse(doorbell=first, database=database, mongo=SHARED).check()
        finally:
            await other.client.drop_database(other.raw.name)


@pytest.fixture
async def others(services: ServiceUrls, database: Database) -> AsyncIterator[Database]:
    """Another database, of those who use the same Redis."""
    from nightjar.jobs.database import connect

    async with await connect(services.mongo, f"{database.raw.name}_b") as other:
        yield other
        await other.client.drop_database(other.raw.name)


async def test_a_mongodb_of_one_s_own_is_refused_beside_another(
    first: Doorbell, database: Database, others: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Redis's address alone a host has an empty MongoDB: both are named, also to those that only look. Whoever
    came first: it is the one that shares nothing that ends. By itself on one host it is fine."""
    mine = RedisInUse(doorbell=first, database=database, mongo=ALONE)
    await mine.begin()
    await mine.check()
    assert await other_in_use(first, database, ALONE) is None
    await RedisInUse(doorbell=first, database=others, mongo=SHARED).begin()
    with pytest.raises(SettingsError) as refused:
        await mine.check()
    for named in (ALONE.where, SHARED.where, first.where, "Set NIGHTJAR_MONGO_URL to the same server on all hosts"):
        assert named in str(refused.value)
    assert await other_in_use(first, database, ALONE) == str(refused.value)
    assert await other_in_use(first, others, SHARED) is None
    await RedisInUse(doorbell=first, database=others, mongo=SHARED).check()
    monkeypatch.setattr(redis_in_use, "IN_USE_S", -1.0)
    await mine.check()
    assert list((await first.databases(30)).values()) == [ALONE.where], "what is not used any more is forgotten"


@pytest.mark.parametrize(
    ("urls", "alone"),
    [
        ({}, False),
        ({"redis_url": REDIS}, True),
        ({"mongo_url": MONGO}, False),
        ({"redis_url": REDIS, "mongo_url": MONGO}, False),
    ],
)
def test_who_has_a_mongodb_of_its_own(tmp_path: Path, urls: dict[str, str], alone: bool) -> None:
    """Only with Redis's address and without MongoDB's; no password is in what others are told."""
    mongo = mongo_in_use(Settings.model_validate({"home": tmp_path, **urls}))
    assert mongo.alone is alone
    assert ("mongo.example.net" in mongo.where) is ("mongo_url" in urls)
    assert "word" not in mongo.where
