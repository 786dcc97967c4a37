"""Users and tokens in the settings: added, changed, removed by an admin alone; a secret is shown once."""

from __future__ import annotations

import re

import pytest

from nightjar.config.errors import UnknownNameError
from nightjar.jobs.accounts.access import add_token, begin_session, find_token, remove_user
from nightjar.jobs.accounts.documents import ApiToken, AuditEntry, Role, TokenScope, User
from nightjar.jobs.mongo import Database
from nightjar.scripts.audited import audited, who_types
from nightjar.web.gate import OUR_HEADER
from tests.integration.web.conftest import HOST, Visits
from tests.integration.web.test_pages import MARKUP, Tags, get

PASSWORD = " a long enough one "
"""With spaces, which are part of it."""


async def audit_of() -> list[tuple[str, str, bool]]:
    entries = await AuditEntry.find_all().sort("+_id").to_list()
    return [(entry.action, entry.about, entry.outcome == "done") for entry in entries]


async def test_the_first_user_takes_over(visits: Visits) -> None:
    """An admin, by the owner, whose session ends; the password is the one that was typed, and is kept nowhere."""
    asked = {"name": "ann", "role": "admin", "password": PASSWORD}
    async with await visits.owner() as client:
        assert "Add the user" in await get(client, "/settings")
        wrongs = ({"role": "viewer"}, {"role": "nobody"}, {"name": "owner"}, {"name": MARKUP}, {"password": "short"})
        for wrong in wrongs:
            assert (await client.post("/settings/add-user", data=asked | wrong)).status_code == 400, wrong
        in_address = "/settings/add-user?name=ann&role=admin&password=a+long+enough+one"
        assert (await client.post(in_address)).status_code == 400
        added = await client.post("/settings/add-user", data=asked, headers={"hx-request": "true"})
        assert added.headers["hx-redirect"] == "/login"
        assert (await client.get("/settings")).status_code == 303
    ann = await User.get("ann")
    assert ann is not None
    passwords = visits.app.state.site.passwords
    assert await passwords.matches(PASSWORD, ann.password)
    assert not await passwords.matches(PASSWORD.strip(), ann.password)
    stored = [str(entry.model_dump()) for entry in await AuditEntry.find_all().to_list()]
    assert not [text for text in stored if PASSWORD.strip() in text or "long+enough" in text]
    assert (await audit_of())[-1] == ("add-user", "ann", True)


async def test_users_are_changed_and_removed(visits: Visits, database: Database) -> None:
    """A change ends their sessions; the last admin stays; whoever changes their own login logs in again."""
    async with await visits.acting(Role.ADMIN) as client:
        secret = await begin_session("viewer", HOST, instead_of=None, database=database)
        shown = await get(client, "/settings/users/viewer")
        assert "<dd>1 browser</dd>" in shown
        assert '<option value="viewer" selected>' in shown
        said = await client.post("/settings/users/viewer/set-role", data={"role": "operator"})
        assert said.json() == {"said": "viewer is operator now; their sessions have ended."}
        async with visits.client(secret, accept="text/html") as other:
            assert (await other.get("/runs")).status_code == 303
        new = await client.post("/settings/users/operator/set-password", data={"password": PASSWORD})
        assert new.json() == {"said": "operator has a new password; their sessions have ended."}
        for path in ("set-role", "remove-user"):
            refused = await client.post(f"/settings/users/admin/{path}", data={"role": "viewer"})
            assert (refused.status_code, "only admin" in refused.text) == (400, True)
        assert (
            await client.post("/settings/users/nobody/set-password", data={"password": PASSWORD})
        ).status_code == 404
        gone = await client.post("/settings/users/operator/remove-user", headers={"hx-request": "true"})
        assert gone.headers["hx-redirect"] == "/settings"
        assert (await client.get("/settings/users/operator")).status_code == 404
        own = await client.post(
            "/settings/users/admin/set-password", data={"password": PASSWORD}, headers={"hx-request": "true"}
        )
        assert own.headers["hx-redirect"] == "/login"
        assert (await client.get("/settings", headers={"accept": "text/html"})).status_code == 303
    assert await audit_of() == [
        ("set-role", "viewer", True),
        ("set-password", "operator", True),
        ("set-role", "admin", False),
        ("remove-user", "admin", False),
        ("set-password", "nobody", False),
        ("remove-user", "operator", True),
        ("set-password", "admin", True),
    ]


async def test_a_token_is_made_limited_and_revoked(visits: Visits) -> None:
    """Its secret is in the answer alone; it acts on behalf of a user as far as its scopes reach."""
    asked: dict[str, str | list[str]] = {
        "name": "ci",
        "user": "operator",
        "scope": ["read", "run"],
        "days": "30",
        "budget": "2.5",
    }
    async with await visits.acting(Role.ADMIN) as client:
        wrongs: tuple[dict[str, str | list[str]], ...] = (
            {"scope": []},
            {"scope": "all"},
            {"user": ""},
            {"days": "0"},
            {"days": "9" * 30},
            {"per_minute": "-1"},
            {"budget": "-1"},
            {"budget": "nan"},
            {"tokens_a_day": "9" * 15},
            {"name": "a/b"},
        )
        for wrong in wrongs:
            assert (await client.post("/settings/add-token", data=asked | wrong)).status_code == 400, wrong
        assert (await client.post("/settings/add-token", data=asked | {"user": "none"})).status_code == 404
        answer = await client.post("/settings/add-token", data=asked)
        secret = re.findall(r"nj_[\w-]+", answer.json()["said"])[0]
        token = await find_token(secret)
        assert token is not None
        assert (token.id, token.user, token.scopes) == ("ci", "operator", [TokenScope.READ, TokenScope.RUN])
        assert token.limits.usd_month == 2.5
        kept = [str(entry.model_dump()) for entry in await AuditEntry.find_all().to_list()]
        assert not [text for text in kept if secret in text]
        pages = [await get(client, path) for path in ("/settings", "/settings/tokens/ci")]
        assert 'href="/settings/tokens/ci"' in pages[0]
        assert 'value="2.5"' in pages[1]
        assert not [text for text in pages if secret in text]
        async with visits.client(authorization=f"Bearer {secret}", accept="text/html") as program:
            assert (await program.get("/runs")).status_code == 200
            assert (await program.get("/settings")).status_code == 403
        limited = await client.post("/settings/tokens/ci/set-budget", data={"tokens_a_day": "1000"})
        assert limited.json() == {"said": "ci: 1,000 tokens a day."}
        assert (await client.post("/settings/tokens/ci/remove-token")).status_code == 200
        assert await find_token(secret) is None
        assert (await client.post("/settings/tokens/ci/remove-token")).status_code == 404
        assert (await client.get("/settings/tokens/ci")).status_code == 404


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_nobody_else_manages_accounts(role: Role, visits: Visits) -> None:
    async with await visits.acting(role) as client:
        for path in ("/settings", f"/settings/users/{role}", "/settings/tokens/x"):
            assert (await client.get(path)).status_code == 403, path
        for path in ("add-user", "add-token", f"users/{role}/set-role", f"users/{role}/set-password"):
            assert (await client.post(f"/settings/{path}", data={"role": "admin"})).status_code == 403, path
    changed = await User.get(role.value)
    assert changed is not None
    assert changed.role is role


async def test_the_owner_makes_tokens_before_there_are_users(visits: Visits) -> None:
    async with await visits.owner() as client:
        assert "On behalf of" not in await get(client, "/settings")
        made = await client.post("/settings/add-token", data={"name": "own", "scope": "read"})
        assert made.status_code == 200, made.text
        assert OUR_HEADER in client.headers
        text = await get(client, "/settings/tokens/own")
    assert "owner" in text
    assert [tag for tag, attrs in Tags(text).found if attrs.get("hx-confirm")] == ["button"]
    token = await ApiToken.get("own")
    assert token is not None
    assert token.user is None


async def test_commands_write_the_audit_too(visits: Visits, database: Database) -> None:
    """What was done and what was refused, by whom on which machine; a secret that is made inside is no part of it."""
    await visits.users()
    async with audited("add-token", "ci", user="viewer"):
        secret = await add_token("ci", "viewer", [TokenScope.READ], database=database)
    with pytest.raises(UnknownNameError):
        async with audited("remove-user", "nobody"):
            await remove_user("nobody", database)
    done, refused = await AuditEntry.find_all().sort("+_id").to_list()
    assert (done.who, done.action, done.about, done.outcome) == (who_types(), "add-token", "ci", "done")
    assert done.who.endswith("(command line)")
    assert done.details == {"user": "viewer"}
    assert secret not in str(done.model_dump())
    assert (refused.action, "nobody" in refused.outcome) == ("remove-user", True)
    async with await visits.acting(Role.ADMIN) as client:
        assert "(command line)" in await get(client, "/settings")
