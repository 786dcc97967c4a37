"""Tabs that do not read, or slowly, over real sockets: others are told meanwhile, and nothing is missed."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.mongo import Database
from nightjar.web import run as runs
from nightjar.web.events import feed as feeds
from nightjar.web.events.frames import event_frame
from nightjar.web.site import Site
from tests.integration.web.conftest import COOKIE, HOST, Visits
from tests.integration.web.test_events import Told, owner, told
from tests.integration.web.test_server import SOON_S, Served, served
from tests.workbench import until

LARGE = event_frame("moved", [{"kind": "computed", "filler": "x" * 65_536}])
SMALL_WINDOW = 4096
LEAVES_S = 10.0
"""On a busy machine; a server that waited for what is not read would wait for a minute."""


@dataclass(frozen=True, kw_only=True)
class SlowTab:
    """A tab whose system takes little at a time, and that takes it when it is told to."""

    connection: socket.socket

    async def read_until(self, words: str) -> str:
        """What comes first; with no words, all that comes until the server ends it, a little at a time."""
        heard = b""
        async with asyncio.timeout(SOON_S):
            while not words or words.encode() not in heard:
                piece = await asyncio.get_running_loop().sock_recv(self.connection, 16_384)
                if not piece:
                    assert not words, "it was ended"
                    break
                heard += piece
                await asyncio.sleep(0.001)
        return heard.decode()


@contextlib.asynccontextmanager
async def slow_tab(server: Served, secret: str) -> AsyncIterator[SlowTab]:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", server.port))
        asked = f"GET /events HTTP/1.1\r\nhost: {HOST}\r\ncookie: {COOKIE}={secret}\r\n\r\n"
        await loop.sock_sendall(connection, asked.encode())
        yield SlowTab(connection=connection)


async def say_much(site: Site) -> int:
    """Until a tab is dropped; how often that was."""
    listening, count = len(site.feed._ears), 0
    while len(site.feed._ears) == listening:
        assert count < 1000, "nobody was dropped"
        site.feed.tell(LARGE)
        count += 1
        await asyncio.sleep(0.005)
    return count


async def listeners(site: Site, number: int) -> None:
    async def there() -> bool:
        return len(site.feed._ears) == number

    await until(there, within_s=SOON_S)


async def hear_until(stream: Told, model: str) -> int:
    """How much was told before this model moved."""
    count = 0
    while True:
        _, _, moved = await stream.next()
        if any(each.get("model") == model for each in moved):
            return count
        count += 1


async def test_a_tab_that_never_reads_holds_nobody_up(
    visits: Visits, site: Site, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tab beside it is told all at once; its own connection is ended, though its peer is there."""
    monkeypatch.setattr(runs, "SILENT_S", 2)
    secret = await owner(database)
    async with served(visits) as server, slow_tab(server, secret), told(server, secret) as beside:
        await listeners(site, 2)
        heard = asyncio.create_task(hear_until(beside, "last"))
        said = await say_much(site)
        [left] = site.feed._ears
        assert not left.lost
        database.events.say(Moved(kind=EventKind.MODEL, model="last"))
        assert await asyncio.wait_for(heard, SOON_S) == said

        async def given_back() -> bool:
            return site.feed._streams.total() == 1

        await until(given_back, within_s=SOON_S)


async def test_the_server_ends_though_a_tab_never_reads(visits: Visits, site: Site, database: Database) -> None:
    async with served(visits) as server, slow_tab(server, await owner(database)):
        await listeners(site, 1)
        await say_much(site)
        server.stop.set()
        await asyncio.wait_for(asyncio.shield(server.running), LEAVES_S)


async def test_a_slow_tab_hears_everything(visits: Visits, site: Site, database: Database) -> None:
    """What it does not read at once waits for it, up to a bound."""
    async with served(visits) as server, slow_tab(server, await owner(database)) as tab:
        await listeners(site, 1)
        for _ in range(feeds.MOST_UNREAD // 2):
            site.feed.tell(LARGE)
        database.events.say(Moved(kind=EventKind.MODEL, model="last"))
        assert (await tab.read_until('"last"')).count("filler") == feeds.MOST_UNREAD // 2
        assert len(site.feed._ears) == 1


async def test_a_tab_that_was_too_slow_comes_back_and_has_missed_nothing(
    visits: Visits, site: Site, database: Database
) -> None:
    """Its stream ends once it has read what was sent to it; from the place that it had, it is told the rest."""
    secret = await owner(database)
    async with served(visits) as server:
        async with slow_tab(server, secret) as tab:
            await listeners(site, 1)
            database.events.say(Moved(kind=EventKind.MODEL, model="m0"))
            heard = await tab.read_until('"m0"')
            for number in range(1, 4):
                database.events.say(Moved(kind=EventKind.MODEL, model=f"m{number}"))
                site.feed.tell(LARGE)
            await say_much(site)
            database.events.say(Moved(kind=EventKind.MODEL, model="m4"))  # nobody listens now
            heard += await tab.read_until("")
        place = re.findall(r"^id: (\S+)$", heard, re.MULTILINE)[-1]
        models = re.findall(r'"model":"(m\d)"', heard)
        assert "m4" not in models
        async with told(server, secret, last_event_id=place) as stream:
            while models[-1] != "m4":
                kind, _, moved = await stream.next()
                assert kind == "moved"
                models += [each["model"] for each in moved]
    assert models == [f"m{number}" for number in range(5)]
