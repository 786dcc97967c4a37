"""The web application on real servers, and browsers and programs that speak to it without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.accounts.access import add_user, begin_session, has_users
from nightjar.jobs.accounts.documents import Role
from nightjar.jobs.event_stream import STREAM, RedisEvents
from nightjar.jobs.mongo import Database
from nightjar.jobs.queue import Doorbell
from nightjar.web.app import create_app
from nightjar.web.gate import OUR_HEADER, GateRules
from nightjar.web.site import Site

HOST = "127.0.0.1:8420"
ORIGIN = f"http://{HOST}"
COOKIE = "nightjar-8420"
NO_PASSWORD = "$argon2id$none"


@dataclass(frozen=True, kw_only=True)
class Visits:
    """Who comes to the application; each client is one browser or program."""

    app: FastAPI
    database: Database

    def client(self, cookie: str | None = None, **headers: str) -> httpx.AsyncClient:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named |= {} if cookie is None else {"cookie": f"{COOKIE}={cookie}"}
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=named)

    async def owner(self) -> httpx.AsyncClient:
        """A browser of whoever has the link, that may change things."""
        secret = await begin_session(None, HOST, instead_of=None, database=self.database)
        return self.client(secret, accept="text/html", **{OUR_HEADER: "1"})

    async def somebody(self, role: Role) -> httpx.AsyncClient:
        """A browser of a user of this role; nobody's of none."""
        if role is Role.NOBODY:
            return self.client()
        await self.users()
        return self.client(await begin_session(role.value, HOST, instead_of=None, database=self.database))

    async def acting(self, role: Role) -> httpx.AsyncClient:
        """The same, of somebody who may change things as far as their role reaches."""
        client = await self.somebody(role)
        client.headers[OUR_HEADER] = "1"
        return client

    async def users(self) -> None:
        """One of each role, called like it; none of their passwords fits."""
        if await has_users():
            return
        for role in (Role.ADMIN, Role.OPERATOR, Role.VIEWER):
            await add_user(role.value, role, NO_PASSWORD, self.database)


@asynccontextmanager
async def visiting(
    settings: Settings, database: Database, services: ServiceUrls, rules: GateRules | None = None
) -> AsyncIterator[Visits]:
    """An application, whose children end with it."""
    doorbell = await Doorbell.connect(services.redis)
    rules = rules or GateRules.loopback(8420)
    app = create_app(settings, database, doorbell, rules=rules, mongo_url=services.mongo)
    try:
        yield Visits(app=app, database=database)
    finally:
        await app.state.site.heavy.close()
        await app.state.site.verifications.close()
        await doorbell.close()


@pytest.fixture
async def visits(settings: Settings, database: Database, services: ServiceUrls) -> AsyncIterator[Visits]:
    async with visiting(settings, database, services) as made:
        yield made


@pytest.fixture
async def site(visits: Visits, services: ServiceUrls) -> AsyncIterator[Site]:
    """The application with its feed at work, on a stream of its own; `site.database.events` says what moves."""
    site: Site = visits.app.state.site
    await site.redis.redis.delete(STREAM, "nightjar:lines")
    events = RedisEvents(lambda: Doorbell.unconnected(services.redis))
    site.database.events = events
    async with site.feed:
        yield site
    await events.close()
