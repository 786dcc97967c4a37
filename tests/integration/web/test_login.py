"""Logins and sessions under attack: where a login leads, what unknown names cost, and what ends a session."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import httpx
import pytest

from nightjar.jobs.accounts.access import add_key, add_token, add_user, begin_session, change_user, remove_user
from nightjar.jobs.accounts.documents import Role, TokenScope, WebSession
from nightjar.jobs.mongo import Database
from nightjar.web.auth.passwords import Passwords
from nightjar.web.gate import FORM
from tests.integration.web.conftest import HOST, NO_PASSWORD, ORIGIN, Visits

SENT = {"origin": ORIGIN, "content-type": FORM}


def form(page: httpx.Response, **fields: str) -> str:
    """As a browser sends it, with the token of the page."""
    token = re.findall(r'name="token" value="([0-9a-f]+)"', page.text)[0]
    return str(httpx.QueryParams({"token": token, **fields}))


LEADS_TO = {
    "/runs?q=a%20b#x": "/runs?q=a%20b#x",  # a page of ours, as it was
    "https://evil.example/": "/",
    "//evil.example": "/",  # what browsers read as another host
    "///evil.example": "/",
    "/\\evil.example": "/",  # browsers take a backslash for a slash
    "\\\\evil.example": "/",
    "/\t/evil.example": "/",  # and leave out a tab
    "/\n/evil.example": "/",
    "\t//evil.example": "/",
    " //evil.example": "/",
    "evil.example": "/",
    "javascript:alert(1)": "/",
    "data:text/html,x": "/",
    "http:/evil.example": "/",
    "http:///evil.example": "/",
    "": "/",
    "/\r\nset-cookie: a=b": "/",  # no second header
    "/\u2028/evil.example": "/",
}


async def test_a_login_leads_to_a_page_of_ours(visits: Visits) -> None:
    """Whether it is in the address of the form, or sent with it."""
    for following, leads_to in LEADS_TO.items():
        async with visits.client() as client:
            page = await client.get("/login", params={"next": following})
            [shown] = re.findall(r'name="next" value="([^"]*)"', page.text)
            assert shown == leads_to, following
            body = form(page, key=await add_key(), next=following)
            done = await client.post("/login", content=body, headers=SENT)
        assert (done.status_code, done.headers["location"]) == (303, leads_to), following
        [cookie] = done.headers.get_list("set-cookie")
        assert cookie.startswith("nightjar-"), following


async def test_a_name_that_nobody_has_costs_what_a_wrong_password_does(
    visits: Visits, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One comparison each, with a digest of the same cost, and the same words."""
    compared: list[tuple[str, bool]] = []
    real = Passwords._verify

    def verify(self: Passwords, password: str, digest: str) -> bool:
        compared.append((password, digest.startswith("$argon2id$v=19$m=65536,t=3,p=4$")))
        return real(self, password, digest)

    monkeypatch.setattr(Passwords, "_verify", verify)
    await add_user("ann", Role.ADMIN, await Passwords().digest("a long enough one"), database)
    async with visits.client() as client:
        page = await client.get("/login")
        answers = [
            await client.post("/login", content=form(page, name=name, password=f"x{name}"), headers=SENT)
            for name in ("ann", "bob", "")
        ]
    assert compared == [("xann", True), ("xbob", True), ("x", True)]
    assert {answer.status_code for answer in answers} == {403}
    assert {re.findall(r"Name or password is wrong\.", answer.text)[0] for answer in answers}
    assert len({len(answer.content) for answer in answers}) == 1


async def _demoted(database: Database) -> None:
    await change_user("ann", database, role=Role.VIEWER)


async def _promoted(database: Database) -> None:
    await change_user("ann", database, role=Role.ADMIN)


async def _new_password(database: Database) -> None:
    await change_user("ann", database, password=NO_PASSWORD)


async def _removed(database: Database) -> None:
    await remove_user("ann", database)


@pytest.mark.parametrize(
    ("change", "may_run"), [(_demoted, 403), (_promoted, 200), (_new_password, 200), (_removed, 401)]
)
async def test_a_session_ends_when_its_user_changes(
    change: Callable[[Database], Awaitable[None]], may_run: int, visits: Visits, database: Database
) -> None:
    """All of that user's, nobody else's; a token is what its user is from now on."""
    await add_user("root", Role.ADMIN, NO_PASSWORD, database)
    await add_user("ann", Role.OPERATOR, NO_PASSWORD, database)
    mine = [await begin_session("ann", host, instead_of=None, database=database) for host in (HOST, HOST, "a:1")]
    others = await begin_session("root", HOST, instead_of=None, database=database)
    token = await add_token("ann's", "ann", [TokenScope.ADMIN], database=database)
    assert [await _status(visits.client(secret)) for secret in (*mine[:2], others)] == [200, 200, 200]
    await change(database)
    assert [await _status(visits.client(secret)) for secret in (*mine[:2], others)] == [401, 401, 200]
    assert [session.user for session in await WebSession.find_all().to_list()] == ["root"]
    assert await _status(visits.client(authorization=f"Bearer {token}"), "/new") == may_run


async def _status(client: httpx.AsyncClient, path: str = "/runs") -> int:
    async with client:
        return (await client.get(path)).status_code
