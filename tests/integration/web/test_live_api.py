"""Live requests over HTTP: only their user lists, reads, replays and cancels them; an admin sees no text."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.accounts.access import add_token, add_user, begin_session
from nightjar.jobs.accounts.documents import AuditEntry, Role, TokenScope
from nightjar.jobs.documents import Job
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import JobStatus
from nightjar.web.events.feed import MOST_OF_SESSION
from nightjar.web.gate import OUR_HEADER
from nightjar.workers.engine.fake import ScriptedEngine
from tests.integration.web.conftest import HOST, NO_PASSWORD, Visits
from tests.integration.web.test_server import SOON_S
from tests.workbench import Bench, opened_bench, until

SECRET = "the-fox-is-called-Renard"
CHAT = {
    "model": "scripted",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": SECRET}],
}


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(database, services, Settings(home=tmp_path / "work", drain_s=5)) as bench:
        yield bench


def heard(text: str) -> list[tuple[str, dict[str, Any]]]:
    """(event, data) of a stream."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("event: ")]
    return [(kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for kind, data in blocks]


async def browser(visits: Visits, user: str) -> httpx.AsyncClient:
    secret = await begin_session(user, HOST, instead_of=None, database=visits.database)
    return visits.client(secret, **{OUR_HEADER: "1"})


async def test_only_its_user_reads_and_replays_it(visits: Visits, bench: Bench, database: Database) -> None:
    await visits.users()
    await add_user("ann", Role.OPERATOR, NO_PASSWORD, database)
    async with (
        bench.worker(ScriptedEngine(slots=2)),
        visits.app.state.site.live,
        await browser(visits, "ann") as ann,
        await browser(visits, "operator") as other,
        await browser(visits, "admin") as admin,
    ):
        await until(lambda: database.raw["models"].find_one({"_id": "scripted"}), within_s=SOON_S)
        answered = (await ann.post("/v1/chat/completions", json={**CHAT, "seed": 5}, timeout=SOON_S)).json()
        unstored = (await ann.post("/v1/chat/completions", json={**CHAT, "store": False}, timeout=SOON_S)).json()
        kept, gone = answered["nightjar"][0]["job"], unstored["nightjar"][0]["job"]
        said = answered["choices"][0]["message"]["content"]

        first = (await ann.get("/api/live?limit=1")).json()
        second = (await ann.get(f"/api/live?limit=1&after={first['next']}")).json()
        assert [page["requests"][0]["id"] for page in (first, second)] == [gone, kept]
        assert second["next"] is None
        shown = second["requests"][0]
        assert (shown["status"], shown["kind"], shown["stored"], shown["user"]) == ("DONE", "reply", True, "ann")
        assert shown["reply_tokens"] == answered["usage"]["completion_tokens"]
        whole = (await ann.get(f"/api/live/{kept}")).json()["request"]
        assert whole["asked"]["messages"] == CHAT["messages"]
        assert (whole["reply"], whole["error"]) == (said, None)
        *pieces, (ending, facts) = heard((await ann.get(f"/api/live/{kept}/text", timeout=SOON_S)).text)
        assert "".join(data["text"] for kind, data in pieces if kind == "text") == said
        assert (ending, facts["seed"]) == ("ended", 5)
        dropped = (await ann.get(f"/api/live/{gone}")).json()["request"]
        assert (dropped["stored"], dropped["reply"], dropped["asked"]) == (False, None, None)
        assert (await ann.get(f"/api/live/{gone}/text")).status_code == 400

        for visitor in (other, admin):
            assert (await visitor.get("/api/live")).json() == {"requests": [], "next": None}
            for method, path in (("GET", ""), ("GET", "/text"), ("POST", "/cancel")):
                assert (await visitor.request(method, f"/api/live/{kept}{path}")).status_code == 404, path
            assert (await visitor.get(f"/api/live?after={kept}")).status_code == 404
        assert (await other.get("/api/live/all")).status_code == 403
        everything = await admin.get("/api/live/all")
        assert [(each["id"], each["user"]) for each in everything.json()["requests"]] == [(gone, "ann"), (kept, "ann")]
        assert SECRET not in everything.text
        assert said not in everything.text


async def test_a_request_is_cancelled_by_its_user(visits: Visits, bench: Bench, database: Database) -> None:
    """Whoever replays it is told why there is no more; what has ended stays as it is."""
    async with bench.worker(ScriptedEngine(slots=1)):
        await until(lambda: database.raw["models"].find_one({"_id": "scripted"}), within_s=SOON_S)
    token = await add_token("chats", None, [TokenScope.V1], database=database)
    reads = await add_token("reads", None, [TokenScope.READ], database=database)
    site = visits.app.state.site
    async with site.live, visits.client(authorization=f"Bearer {token}") as client:
        reply = await site.live.submit(LiveAsk(user="owner", model="scripted", messages=CHAT["messages"]))  # type: ignore[arg-type]
        assert (await client.get(f"/api/live/{reply.job.id}")).json()["request"]["status"] == "PENDING"
        for cancelled in (True, False):
            done = await client.post(f"/api/live/{reply.job.id}/cancel")
            assert done.json() == {"request": {"id": reply.job.id, "cancelled": cancelled}}
        [(ending, why)] = heard((await client.get(f"/api/live/{reply.job.id}/text", timeout=SOON_S)).text)
        assert (ending, "cancelled by its user" in why["message"]) == ("failed", True)
        assert "cancelled" in (await client.get(f"/api/live/{reply.job.id}")).json()["request"]["error"]
        with contextlib.ExitStack() as streams:
            for _ in range(MOST_OF_SESSION):
                streams.enter_context(site.feed.counted("owner (token chats)"))
            assert (await client.get(f"/api/live/{reply.job.id}/text")).status_code == 429
    async with visits.client(authorization=f"Bearer {reads}") as client:
        assert (await client.get("/api/live")).status_code == 403  # it may read runs, and no conversation
    job = await Job.get(reply.job.id)
    assert job is not None
    assert job.status is JobStatus.CANCELLED
    entries = await AuditEntry.find({"action": "cancel live request"}).sort("+_id").to_list()
    assert [(entry.who, entry.about, entry.details) for entry in entries] == [
        ("owner (token chats)", reply.job.id, {"cancelled": cancelled}) for cancelled in (True, False)
    ]
    assert SECRET not in str([entry.model_dump() for entry in entries])
