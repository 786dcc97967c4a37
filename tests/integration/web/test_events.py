"""The stream of events over real sockets and a real Redis: who is told what, how it goes on, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from nightjar.jobs.accounts.access import add_token, begin_session, end_session
from nightjar.jobs.accounts.documents import Role, TokenScope, User
from nightjar.jobs.console_lines import publish_lines
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.live.text import TextMessage, TextPart
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import RunKind
from nightjar.web.events import feed as feeds
from nightjar.web.events.feed import EventFeed
from nightjar.web.events.frames import event_frame
from nightjar.web.site import Site
from nightjar.web.streams import moves, texts
from tests.integration.web.conftest import COOKIE, HOST, Visits
from tests.integration.web.test_server import SOON_S, Served, served
from tests.workbench import until


class Told:
    """A stream as a browser hears it."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def next(self) -> tuple[str, str, Any]:
        """Kind, place and data of the next event."""
        kind, place = "", ""
        async with asyncio.timeout(SOON_S):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "id":
                    place = value
                elif name == "data":
                    return kind, place, json.loads(value)
        raise EOFError

    async def over(self) -> None:
        with contextlib.suppress(EOFError):
            async with asyncio.timeout(SOON_S):
                while True:
                    await self.next()


@pytest.fixture
async def server(visits: Visits, site: Site) -> AsyncIterator[Served]:
    async with served(visits) as server:
        yield server


@contextlib.asynccontextmanager
async def told(server: Served, secret: str | None = None, path: str = "/events", **headers: str) -> AsyncIterator[Told]:
    sent = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    sent |= {} if secret is None else {"cookie": f"{COOKIE}={secret}"}
    async with (
        httpx.AsyncClient(base_url=server.url, headers=sent, timeout=SOON_S) as client,
        client.stream("GET", path) as answer,
    ):
        yield Told(answer)


async def owner(database: Database) -> str:
    return await begin_session(None, HOST, instead_of=None, database=database)


async def test_what_moves_is_told_and_what_was_missed_comes_first(server: Served, run: Run, database: Database) -> None:
    """Runs by their names; a second connection goes on where the first one was."""
    secret = await owner(database)
    async with told(server, secret) as stream:
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        database.events.say(Moved(kind=EventKind.JOB, run=run.id, job="j1", model="m"))
        kind, place, moved = await stream.next()
        assert kind == "moved"
        assert [(each["kind"], each["run"], each["job"], each["model"]) for each in moved] == [
            ("job", "nightly", "j1", "m")
        ]
    database.events.say(Moved(kind=EventKind.RUN, run=run.id))
    database.events.say(Moved(kind=EventKind.WORKER, worker="w"))
    async with told(server, secret, last_event_id=place) as stream:
        heard: list[str] = []
        while heard[-2:] != ["run", "worker"]:
            heard += [each["kind"] for each in (await stream.next())[2]]
        assert heard == ["run", "worker"]  # nothing twice
    for nonsense in ("1-1", "x", "9" * 19 + "-1"):
        async with told(server, secret, last_event_id=nonsense) as stream:
            assert (await stream.next())[0] == "gap"


async def test_of_live_requests_nobody_is_told(server: Served, run: Run, database: Database) -> None:
    stored = await database.raw["runs"].find_one({}) or {}
    await database.raw["runs"].insert_one(stored | {"_id": "hidden", "name": "hidden", "kind": RunKind.LIVE})
    async with told(server, await owner(database)) as stream:
        for kind in (EventKind.JOB, EventKind.TURN):
            database.events.say(Moved(kind=kind, run="hidden", job="secret"))
        database.events.say(Moved(kind=EventKind.JOB, job="secret"))
        database.events.say(Moved(kind=EventKind.WORKER, worker="w"))
        assert [each["kind"] for each in (await stream.next())[2]] == ["worker"]


async def test_lines_of_workers_are_told_to_operators_alone(
    server: Served, site: Site, visits: Visits, database: Database
) -> None:
    await visits.users()
    secrets = [await begin_session(name, HOST, instead_of=None, database=database) for name in ("operator", "viewer")]
    async with told(server, secrets[0]) as operator, told(server, secrets[1]) as viewer:
        await publish_lines(site.redis, "host:1:1", [("warning", "n_ctx is small")])
        kind, _, [line] = await operator.next()
        assert (kind, line["text"], line["level"], line["worker"]) == ("lines", "n_ctx is small", "warning", "host:1:1")
        database.events.say(Moved(kind=EventKind.MODEL, model="m"))
        assert (await viewer.next())[0] == "moved"
    for secret, seen in zip(secrets, (1, 0), strict=True):
        async with visits.client(secret) as client:
            recent = (await client.get("/events/recent")).json()
        assert len(recent["lines"]) == seen
        assert [each["kind"] for each in recent["moved"]] == ["model"]


async def test_a_tab_that_does_not_read_is_dropped(site: Site) -> None:
    """The feed goes on for others, and keeps little of it."""
    with site.feed.listen(lines=False) as slow, site.feed.listen(lines=False) as quick:
        for number in range(feeds.MOST_UNREAD + 10):
            site.feed.tell(event_frame("moved", [number]))
            assert (await quick.frames.get()).text.endswith(f"[{number}]\n\n")
        assert slow.lost
        assert not quick.lost
        assert slow.frames.qsize() == feeds.MOST_UNREAD


async def test_it_ends_with_the_server(server: Served, database: Database) -> None:
    """Every stream says goodbye; nothing is cut off."""
    secret = await owner(database)
    async with contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(told(server, secret)) for _ in range(feeds.MOST_OF_SESSION)]
        server.stop.set()
        assert [(await stream.next())[0] for stream in streams] == ["closing"] * len(streams)
        for stream in streams:
            await stream.over()
        await asyncio.wait_for(asyncio.shield(server.running), SOON_S)


async def test_a_session_has_only_so_many(server: Served, site: Site, database: Database) -> None:
    secret = await owner(database)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(feeds.MOST_OF_SESSION):
            stream = await stack.enter_async_context(told(server, secret))
            assert stream.answer.status_code == 200
        one_more = await stack.enter_async_context(told(server, secret))
        assert one_more.answer.status_code == 429
        assert int(one_more.answer.headers["retry-after"]) > 0
        another = await stack.enter_async_context(told(server, await owner(database)))
        assert another.answer.status_code == 200
        site.feed._streams["others"] = feeds.MOST_STREAMS
        full = await stack.enter_async_context(told(server, await owner(database)))
        assert full.answer.status_code == 429
        del site.feed._streams["others"]
    await until(lambda: _truth(not site.feed._streams), within_s=SOON_S)  # a connection that was left is noticed


async def _truth(value: bool) -> bool:
    return value


async def test_a_session_that_ends_is_told_nothing_more(
    server: Served, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "SILENT_S", 0.1)
    secret = await owner(database)
    async with told(server, secret) as stream:
        await end_session(secret, database)
        await stream.over()


async def test_a_session_that_ends_is_told_nothing_more_however_much_moves(
    server: Served, site: Site, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy stream is never silent; whoever listens is looked at all the same."""
    monkeypatch.setattr(moves, "SILENT_S", 0.5)
    secret = await owner(database)

    async def move_on() -> None:
        while True:
            site.feed.computed()
            await asyncio.sleep(0.05)

    async with told(server, secret) as stream:
        moving = asyncio.create_task(move_on())
        try:
            assert (await stream.next())[0] == "moved"
            await end_session(secret, database)
            await stream.over()
        finally:
            moving.cancel()


async def test_a_watched_text_ends_with_its_session(
    server: Served, site: Site, run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much is written."""
    monkeypatch.setattr(moves, "SILENT_S", 0.5)
    secret = await owner(database)
    job = await Job.find_one({"run": run.id})
    assert job is not None
    part = TextMessage(fence=1, turn=0, part=TextPart.REPLY, offset=0, text="Once ")

    async def written(*arguments: object) -> TextMessage:
        await asyncio.sleep(0.05)
        return part

    monkeypatch.setattr(texts, "next_of", written)
    async with site.live, told(server, secret, f"/runs/nightly/jobs/{job.id}/text") as stream:
        assert (await stream.next())[0] == "text"
        await end_session(secret, database)
        await stream.over()


async def test_who_may_no_longer_run_hears_no_more_lines(
    server: Served, site: Site, visits: Visits, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their stream goes on, with what they still may hear."""
    monkeypatch.setattr(moves, "SILENT_S", 0.1)
    await visits.users()
    secret = await begin_session("operator", HOST, instead_of=None, database=database)
    async with told(server, secret) as stream:
        await until(lambda: _truth(bool(site.feed._ears)), within_s=SOON_S)
        [ear] = site.feed._ears
        assert ear.lines
        await User.find({"_id": "operator"}).update({"$set": {"role": Role.VIEWER}})
        await until(lambda: _truth(not ear.lines), within_s=SOON_S)
        site.feed.computed()
        assert (await stream.next())[0] == "moved"


async def test_programs_need_a_token_that_may_read(server: Served, database: Database) -> None:
    reads = await add_token("reads", None, [TokenScope.READ], database=database)
    speaks = await add_token("speaks", None, [TokenScope.V1], database=database)
    for secret, status in ((reads, 200), (speaks, 403), ("nj_wrong", 401)):
        async with told(server, authorization=f"Bearer {secret}") as stream:
            assert stream.answer.status_code == status


async def test_a_redis_that_is_away_is_said(
    visits: Visits, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages then ask by themselves; when it is back they read everything anew."""
    monkeypatch.setattr(feeds, "AWAY_S", 0.2)
    monkeypatch.setattr(feeds, "LOOK_S", 0.05)
    site: Site = visits.app.state.site
    feed = EventFeed(site.redis, database, site.closing)
    async with feed:
        with feed.listen(lines=False) as ear:
            await asyncio.sleep(0.3)
            feed._heard_at = 0.0
            while (await asyncio.wait_for(ear.frames.get(), SOON_S)).kind != "away":
                pass
        with feed.listen(lines=False) as later:
            if feed.away:
                assert later.frames.get_nowait().kind == "away"


async def test_what_has_not_changed_is_not_sent_again(visits: Visits, run: Run, database: Database) -> None:
    """A page that is read again says what it has; the nonce of each answer does not count."""
    polled = {"hx-request": "true", "nightjar-live": "1"}
    async with await visits.somebody(Role.VIEWER) as client:
        first = await client.get("/runs", headers=polled)
        known = polled | {"if-none-match": first.headers["etag"]}
        same = await client.get("/runs", headers=known)
        assert (same.status_code, same.content) == (304, b"")
        await database.runs.update_one({}, {"$set": {"status": "PAUSED"}})
        changed = await client.get("/runs", headers=known)
        assert changed.status_code == 200
        assert "PAUSED" in changed.text
