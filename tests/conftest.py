"""Fixtures shared by every test."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from config.embedded import ServiceUrls
    from jobs.database import Database


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceUrls]:
    """One embedded MongoDB and Redis for the whole session, under a home of its own."""
    from config.embedded import down, service_urls
    from config.settings import Settings

    settings = Settings(home=tmp_path_factory.mktemp("home"), mongo_url=None, redis_url=None)
    yield service_urls(settings)
    down(settings)


@pytest.fixture
async def database(services: ServiceUrls) -> AsyncIterator[Database]:
    """A fresh database, connected; dropped afterwards."""
    from jobs.database import connect

    name = f"test_{uuid.uuid4().hex[:12]}"
    async with await connect(services.mongo, name) as connected:
        yield connected
        await connected.client.drop_database(name)
