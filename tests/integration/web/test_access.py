"""Every route times who asks times where the request comes from; logins, sessions and tokens on a real MongoDB."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.accounts.access import (
    add_key,
    add_token,
    add_user,
    begin_session,
    change_user,
    digest_of,
    has_users,
    remove_user,
)
from nightjar.jobs.accounts.documents import ApiToken, AuditEntry, OneTimeKey, Role, TokenScope, User, WebSession
from nightjar.jobs.mongo import Database, utc_now
from nightjar.web.arrival import LOCAL, Arrival, token_file
from nightjar.web.auth.passwords import Passwords
from nightjar.web.auth.roles import may
from nightjar.web.gate import FORM, OUR_HEADER, GateRules
from nightjar.web.routing import action_of
from tests.integration.web.conftest import HOST, ORIGIN, Visits, visiting

SAME_ORIGIN = {"origin": ORIGIN, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", OUR_HEADER: "1"}
CROSS_SITE = {"origin": "http://evil.example", "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}
FOREIGN_HOST = {"host": "evil.example:8420"}
PLACES = {"same origin": SAME_ORIGIN, "cross site": CROSS_SITE, "foreign host": FOREIGN_HOST}


def outcome(answer: httpx.Response) -> str:
    """What became of a request: let through, whatever came of it then, or why not."""
    if answer.status_code == 421:
        return "foreign host"
    if answer.status_code == 403 and "ther sites' pages" in answer.text:
        return "cross site"
    if answer.status_code == 401 or (answer.status_code == 403 and "may not do that" in answer.text):
        return "not allowed"
    assert answer.status_code < 500 or "retry-after" in answer.headers, answer.text  # some of it is being worked out
    return "let through"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("role", Role)
async def test_every_route(role: Role, place: str, visits: Visits) -> None:
    """Who is not allowed an action, comes from elsewhere, or calls us by another name, gets nowhere."""
    visits.app.state.site.closing.set()  # streams end at once
    async with await visits.somebody(role) as client:
        for route in visits.app.routes:
            assert isinstance(route, APIRoute), f"{route} is no route that `mount` added"
            action = action_of(route)
            assert action is not None, f"{route.path} declares no action"
            expected = place if place != "same origin" else "let through" if may(role, action) else "not allowed"
            path = re.sub(r"\{\w+(:path)?\}", "x", route.path)
            for method in route.methods or ():
                if path == "/logout":
                    continue  # it ends the session
                answer = await client.request(method, path, headers=PLACES[place])
                assert outcome(answer) == expected, f"{method} {path}: {answer.status_code} {answer.text[:200]}"


async def test_every_answer_forbids_what_browsers_can_be_forbidden(visits: Visits) -> None:
    async with visits.client() as client:
        answers = [await client.get(path) for path in ("/health", "/login", "/nowhere")]
        nonces = {re.findall(r"'nonce-([^']+)'", answer.headers["content-security-policy"])[0] for answer in answers}
    assert len(nonces) == 3
    assert all(answer.headers["x-content-type-options"] == "nosniff" for answer in answers)
    assert answers[0].json() == {"status": "ok"}
    assert len({answer.headers["nightjar-request-id"] for answer in answers}) == 3


async def test_a_stranger_is_sent_to_the_login_and_back(visits: Visits) -> None:
    async with visits.client(accept="text/html") as client:
        answer = await client.get("/login?next=/login")
        assert "One-time key" in answer.text
        key = await add_key()
        done = await client.post("/login", content=_form(answer, key=key, next="/health"), headers=_FORM)
        assert (done.status_code, done.headers["location"]) == (303, "/health")
        cookie = done.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        again = await client.post("/login", content=_form(answer, key=key), headers=_FORM)
        assert again.status_code == 403  # the key was good for once
        assert "not good any more" in again.text
    sessions = await WebSession.find_all().to_list()
    assert [(session.user, session.host) for session in sessions] == [(None, HOST)]
    outcomes = [entry.outcome for entry in await AuditEntry.find_all().sort("+at").to_list()]
    assert outcomes[0] == "done"
    assert "not good" in outcomes[1]


async def test_a_key_ends_after_ten_minutes(visits: Visits, database: Database) -> None:
    key = await add_key()
    stored = await OneTimeKey.get(digest_of(key))
    assert stored is not None
    assert timedelta(minutes=9) < stored.expires_at - utc_now() <= timedelta(minutes=10)
    await database.raw["one_time_keys"].update_one({}, {"$set": {"expires_at": utc_now() - timedelta(seconds=1)}})
    async with visits.client() as client:
        page = await client.get("/login")
        answer = await client.post("/login", content=_form(page, key=key), headers=_FORM)
    assert answer.status_code == 403


async def test_a_form_of_somebody_else_is_no_login(visits: Visits) -> None:
    async with visits.client() as client:
        answer = await client.post("/login", data={"key": await add_key(), "token": "0" * 64}, headers=_FORM)
    assert answer.status_code == 403
    assert "too old" in answer.text
    assert await WebSession.find_all().count() == 0


async def test_passwords(visits: Visits, database: Database) -> None:
    """The right one logs in and replaces the session of before; wrong ones of known and unknown names are equal."""
    digest = await Passwords().digest("a long enough one")
    await add_user("ann", Role.ADMIN, digest, database)
    before = await begin_session("ann", HOST, instead_of=None, database=database)
    async with visits.client(before) as client:
        page = await client.get("/login")
        wrong = [
            await client.post("/login", content=_form(page, name=name, password="another one"), headers=_FORM)
            for name in ("ann", "bob")
        ]
        assert [answer.status_code for answer in wrong] == [403, 403]
        assert all("Name or password is wrong." in answer.text for answer in wrong)
        form = _form(page, name="ann", password="a long enough one")
        done = await client.post("/login", content=form, headers=_FORM)
        assert done.status_code == 303
        assert before not in done.headers["set-cookie"]
        guess = _form(page, name="eve", password="x")
        tries = [await client.post("/login", content=guess, headers=_FORM) for _ in range(8)]
        told_to_wait = [answer for answer in tries if answer.status_code == 429]
        assert told_to_wait
        assert int(told_to_wait[0].headers["retry-after"]) > 0
    assert await WebSession.get(digest_of(before)) is None


async def test_a_session_is_bound_to_its_host_and_ends(visits: Visits, database: Database) -> None:
    await add_user("ann", Role.ADMIN, "-", database)
    secret = await begin_session("ann", "localhost:8420", instead_of=None, database=database)
    assert await _may_read(visits, cookie=secret) is False  # another name of ours
    secret = await begin_session("ann", HOST, instead_of=None, database=database)
    assert await _may_read(visits, cookie=secret)
    await change_user("ann", database, password="-")
    assert await _may_read(visits, cookie=secret) is False  # a new password logs out
    secret = await begin_session("ann", HOST, instead_of=None, database=database)
    await database.raw["web_sessions"].update_many({}, {"$set": {"expires_at": utc_now()}})
    assert await _may_read(visits, cookie=secret) is False


async def test_the_first_admin_takes_over_from_the_owner(visits: Visits, database: Database) -> None:
    secret = await begin_session(None, HOST, instead_of=None, database=database)
    token = await add_token("mine", None, [TokenScope.READ], database=database)
    assert await _may_read(visits, cookie=secret)
    assert await _may_read(visits, token=token)
    await add_user("ann", Role.ADMIN, "-", database)
    assert await _may_read(visits, cookie=secret) is False
    assert await _may_read(visits, token=token)
    assert [known.user for known in await ApiToken.find_all().to_list()] == ["ann"]


async def test_the_last_admin_stays(database: Database) -> None:
    from nightjar.config.errors import UsageError

    with pytest.raises(UsageError, match="first user must be an admin"):
        await add_user("ann", Role.VIEWER, "-", database)
    await add_user("ann", Role.ADMIN, "-", database)
    for change in (remove_user("ann", database), change_user("ann", database, role=Role.VIEWER)):
        with pytest.raises(UsageError, match="only admin"):
            await change
    await add_user("bob", Role.ADMIN, "-", database)
    await remove_user("ann", database)
    assert [user.id for user in await User.find_all().to_list()] == ["bob"]


async def test_tokens(visits: Visits, database: Database) -> None:
    """For their scopes, as often as they may, until they end; the database has no secret."""
    good = await add_token("good", None, [TokenScope.READ], database=database)
    other = await add_token("other", None, [TokenScope.METRICS], database=database)
    few = await add_token("few", None, [TokenScope.READ], database=database, per_minute=1)
    assert await _may_read(visits, token=good)
    assert await _may_read(visits, token=other) is False
    assert await _may_read(visits, token=good + "x") is False
    assert await _may_read(visits, token=few)
    async with visits.client(authorization=f"Bearer {few}") as client:
        assert (await client.get("/")).status_code == 429
    used = await ApiToken.get("good")
    assert used is not None
    assert used.last_used_at is not None
    await database.raw["api_tokens"].update_one({"_id": "good"}, {"$set": {"expires_at": utc_now()}})
    assert await _may_read(visits, token=good) is False
    assert good not in str(await database.raw["api_tokens"].find().to_list())


async def test_servers_of_a_home_share_what_a_token_may_ask(
    visits: Visits, settings: Settings, database: Database, services: ServiceUrls
) -> None:
    secret = await add_token("shared", None, [TokenScope.READ], database=database, per_minute=2)
    async with visiting(settings, database, services) as second:
        for server, status in ((visits, 200), (second, 200), (visits, 429), (second, 429)):
            async with server.client(authorization=f"Bearer {secret}") as client:
                answer = await client.get("/")
            assert answer.status_code == status
        assert 0 < int(answer.headers["retry-after"]) <= 61


async def test_a_wrong_token_is_not_made_good_by_a_cookie(visits: Visits, database: Database) -> None:
    secret = await begin_session(None, HOST, instead_of=None, database=database)
    async with visits.client(secret, authorization="Bearer nj_wrong") as client:
        assert (await client.get("/")).status_code == 401


async def test_arriving(tmp_path: Path, visits: Visits, database: Database) -> None:
    """The link has the key behind the #; the token lies in a file that only its user can read."""
    arrival = await Arrival.prepare(tmp_path / "home", 8420)
    again = await Arrival.prepare(tmp_path / "home", 8420)
    assert arrival.own_name == again.own_name
    assert arrival.own_name.endswith(".localhost")
    link = await arrival.link(GateRules.loopback(8420, arrival.own_name), database)
    assert link.startswith(f"http://{arrival.own_name}:8420/login#key=")
    file = token_file(tmp_path / "home")
    assert file.stat().st_mode & 0o777 == 0o600
    assert await _may_read(visits, token=file.read_text())
    before = file.read_text()
    await arrival.link(GateRules.loopback(8420, arrival.own_name), database)
    assert file.read_text() == before
    assert [token.id for token in await ApiToken.find_all().to_list()] == [LOCAL]
    await add_user("ann", Role.ADMIN, "-", database)
    assert await has_users()
    assert "key" not in await arrival.link(GateRules.loopback(8420, arrival.own_name), database)


_FORM = {"origin": ORIGIN, "content-type": FORM}


def _form(page: httpx.Response, **fields: str) -> str:
    """A form as a browser sends it, with the token of the page."""
    token = re.findall(r'name="token" value="([0-9a-f]+)"', page.text)[0]
    return str(httpx.QueryParams({"token": token, **fields}))


async def _may_read(visits: Visits, *, cookie: str | None = None, token: str | None = None) -> bool:
    headers = {} if token is None else {"authorization": f"Bearer {token.strip()}"}
    async with visits.client(cookie, **headers) as client:
        answer = await client.get("/")
    assert answer.status_code in (200, 401, 403)
    return answer.status_code == 200
