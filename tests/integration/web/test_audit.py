"""Everything that changes anything is in the audit: every route of the table, whatever comes of it."""

from __future__ import annotations

import re

import pytest
from fastapi.routing import APIRoute

from nightjar.jobs.accounts.access import begin_session
from nightjar.jobs.accounts.documents import AuditEntry
from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.runs import control
from nightjar.web.auth.roles import Action
from nightjar.web.gate import FORM, OUR_HEADER
from nightjar.web.routing import action_of
from tests.integration.web.conftest import HOST, ORIGIN, Visits

NAMES = {
    "/login": "login",
    "/logout": "logout",
    "/api/runs": "make",
    "/api/schedules": "add",
    "/api/suites": "import",
    "/api/pulls": "begin",
}
"""Of routes whose entry is not called like the end of their path."""
BODIES = {
    "/api/runs": '{"suite": "other", "models": ["m"]}',
    "/suites/import": "nightjar: 1",
    "/login": "key=x",
}


def changing(visits: Visits) -> list[str]:
    """Paths of all routes that may change something. What has a model reply is a job, and no change."""
    routes = [route for route in visits.app.routes if isinstance(route, APIRoute)]
    unsafe = [route for route in routes if (route.methods or set()) - {"GET", "HEAD"}]
    assert all(route.methods == {"POST"} for route in unsafe)
    return sorted(route.path for route in unsafe if action_of(route) is not Action.GENERATE)


async def test_every_changing_route_writes_it(visits: Visits, database: Database) -> None:
    """One entry for each request: who, what, about what, from where, and what came of it. Here most are refused, since
    there is nothing of that name."""
    paths = changing(visits)
    assert {"/runs/make", "/api/runs", "/models/{name}/delete", "/suites/import", "/doctor/cleanup/clear"} <= set(paths)
    for path in sorted(paths, key=lambda path: path == "/logout"):  # it ends the session
        await database.raw["audit"].delete_many({})
        secret = await begin_session(None, HOST, instead_of=None, database=database)
        headers = {OUR_HEADER: "1", "origin": ORIGIN, "content-type": FORM}
        body = BODIES.get(path, "")
        if path in ("/login", "/logout"):
            async with visits.client(secret, accept="text/html") as client:
                page = await client.get("/login" if path == "/login" else "/runs")
                [token, *_] = re.findall(r'name="token" value="([0-9a-f]+)"', page.text)
                body = f"{body}&token={token}"
        async with visits.client(secret, **headers) as client:
            answer = await client.post(re.sub(r"\{\w+(:path)?\}", "x", path), content=body)
        assert answer.status_code < 500, f"{path}: {answer.text}"
        entries = await AuditEntry.find_all().to_list()
        assert len(entries) == 1, f"{path}: {answer.status_code} {answer.text}"
        [entry] = entries
        name = NAMES.get(path) or path.rpartition("/")[2]
        assert (entry.who, entry.action, entry.address) == ("owner", name, "127.0.0.1"), path
        assert entry.request == answer.headers["nightjar-request-id"], path
        assert (entry.outcome == "done") == (answer.status_code < 400), f"{path}: {entry.outcome}"
        if "{" in path:
            assert entry.about.partition("/")[0] == "x", path


async def test_what_breaks_half_way_is_written_too(visits: Visits, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours may come after something was changed. What it was is in the log alone."""

    async def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(control, "pause", broken)
    async with await visits.owner() as client:
        for path in ("/runs/nightly/pause", "/api/runs/nightly/pause"):
            answer = await client.post(path)
            assert answer.status_code == 500
            [entry] = await AuditEntry.find({"request": answer.headers["nightjar-request-id"]}).to_list()
            assert (entry.action, entry.about) == ("pause", "nightly")
            assert "fault of ours" in entry.outcome
            assert "secret" not in entry.outcome


async def test_a_request_that_cannot_be_read_is_written_too(visits: Visits) -> None:
    async with await visits.owner() as client:
        for body in (b"{", b"[]", b'{"suite": 1}', b'{"suite": "s", "models": ["m"], "on_finish": ["x"]}'):
            answer = await client.post("/api/runs", content=body)
            assert answer.status_code == 400
            [entry] = await AuditEntry.find({"request": answer.headers["nightjar-request-id"]}).to_list()
            assert (entry.action, entry.outcome != "done") == ("make", True)
        many = "&".join(f"f{number}=1" for number in range(300))
        answer = await client.post("/runs/make", content=many)
        assert answer.status_code == 400
        assert await AuditEntry.find({"request": answer.headers["nightjar-request-id"]}).count() == 1
