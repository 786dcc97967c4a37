"""What the gate lets through, by a request's headers alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse

from nightjar.web.gate import (
    FORM,
    OUR_HEADER,
    GateMiddleware,
    GateRules,
    bounded,
    client_address,
    path_below,
    refuse,
    security_headers,
)

RULES = GateRules.loopback(8420, "nightjar-1a.localhost")
OURS = {OUR_HEADER: "1"}
BEARER = {"authorization": "Bearer x"}
ORIGIN = {"origin": "http://127.0.0.1:8420"}


def status(method: str, path: str, headers: dict[str, str], host: str | None = "127.0.0.1:8420") -> int | None:
    named = {} if host is None else {"host": host}
    refusal = refuse(method, path, Headers(named | headers), RULES)
    return None if refusal is None else refusal.status


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8420", None),
        ("LOCALHOST:8420", None),
        ("[::1]:8420", None),
        ("nightjar-1a.localhost:8420", None),
        ("127.0.0.1:8421", 421),  # another server's port
        ("127.0.0.1", 421),
        ("evil.example:8420", 421),  # a name of somebody else's that resolves to us
        ("127.0.0.1:8420.evil.example", 421),
        ("nightjar-2b.localhost:8420", 421),
        ("", 421),
        (None, 421),
    ],
)
def test_only_our_names_are_answered(host: str | None, expected: int | None) -> None:
    assert status("GET", "/", {}, host) == expected


def test_two_hosts_are_no_host() -> None:
    headers = Headers(raw=[(b"host", b"127.0.0.1:8420"), (b"host", b"127.0.0.1:8420")])
    refusal = refuse("GET", "/", headers, RULES)
    assert refusal is not None
    assert refusal.status == 421


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (OURS, None),
        (BEARER, None),
        (OURS | ORIGIN | {"sec-fetch-site": "same-origin"}, None),
        ({}, 403),  # a form of another site in an old browser
        ({"content-type": FORM} | ORIGIN, 403),  # only the login takes forms
        ({"authorization": "Basic x"}, 403),
        (OURS | {"origin": "http://evil.example"}, 403),
        (OURS | {"origin": "null"}, 403),
        (OURS | {"origin": "https://127.0.0.1:8420"}, 403),
        (OURS | {"origin": "http://127.0.0.1:8421"}, 403),
        (OURS | {"origin": "http://localhost:8420"}, 403),  # ours, but not by this name
        (OURS | {"sec-fetch-site": "cross-site"}, 403),
        (OURS | {"sec-fetch-site": "same-site"}, 403),  # another port of this machine
        (BEARER | {"sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_what_may_change_something(headers: dict[str, str], expected: int | None) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert status(method, "/runs/x/pause", headers) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"content-type": FORM} | ORIGIN, None),
        ({"content-type": f"{FORM}; charset=utf-8"} | ORIGIN, None),
        ({"content-type": FORM}, 403),  # without saying where from
        ({"content-type": "text/plain"} | ORIGIN, 403),
        ({"content-type": FORM, "origin": "http://evil.example"}, 403),
    ],
)
def test_the_login_takes_a_form_of_ours(headers: dict[str, str], expected: int | None) -> None:
    assert status("POST", "/login", headers) == expected


@pytest.mark.parametrize(
    ("site", "mode", "expected"),
    [
        ("cross-site", "navigate", None),  # a link on another page
        ("cross-site", "no-cors", 403),  # its <script src>
        ("same-site", "cors", 403),
        ("same-origin", "cors", None),
        ("none", "navigate", None),
    ],
)
def test_other_sites_may_link_here_and_read_nothing(site: str, mode: str, expected: int | None) -> None:
    assert status("GET", "/runs", {"sec-fetch-site": site, "sec-fetch-mode": mode}) == expected


@pytest.mark.parametrize(("length", "expected"), [("4194304", None), ("4194305", 413), ("-1", 413), ("1e3", 413)])
def test_bodies_that_say_that_they_are_too_large(length: str, expected: int | None) -> None:
    assert status("POST", "/runs", OURS | {"content-length": length}) == expected


def test_the_policy_allows_no_foreign_and_no_inline_code() -> None:
    policy = security_headers("abc", RULES)["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'nonce-abc';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "strict-transport-security" not in security_headers("abc", RULES)
    assert "strict-transport-security" in security_headers("abc", GateRules(hosts=frozenset(), scheme="https"))


def test_forwarded_addresses_are_believed_behind_a_proxy_alone() -> None:
    said = Headers({"x-forwarded-for": "10.0.0.7"})
    proxied = GateRules(hosts=frozenset(), behind_proxy=True)
    assert client_address("127.0.0.1", said, RULES) == "127.0.0.1"
    assert client_address("127.0.0.1", said, proxied) == "10.0.0.7"
    appended = Headers({"x-forwarded-for": "6.6.6.6, 10.0.0.7"})  # the client's own words, not replaced
    assert client_address("127.0.0.1", appended, proxied) == "127.0.0.1"


async def _read(pieces: list[bytes], *, most: int = 10, within_s: float = 5) -> bytes:
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": left.pop(0), "more_body": True}

    bounded_receive, body = bounded(receive, most, within_s), b""
    while len(body) < sum(map(len, pieces)) or not pieces:
        body += (await bounded_receive())["body"]
    return body


async def test_a_body_in_pieces_is_counted() -> None:
    assert await _read([b"12345", b"67890"]) == b"1234567890"
    with pytest.raises(HTTPException) as refused:
        await _read([b"12345", b"67890", b"1"])
    assert refused.value.status_code == 413


async def test_a_body_that_never_comes_is_given_up() -> None:
    with pytest.raises(HTTPException) as refused:
        await _read([], within_s=0.01)
    assert refused.value.status_code == 408


async def _through_the_gate(error: Exception, *, begun: bool) -> list[str]:
    """What becomes of a request whose route fails like this, before or after its answer has begun."""
    seen: list[str] = []

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    def failed(scope: Any, error: Exception) -> Any:
        seen.append(type(error).__name__)
        return PlainTextResponse("sorry", status_code=500)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        seen.append(message["type"])

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"127.0.0.1:8420")]}
    await GateMiddleware(fails, rules=RULES, failed=failed)(scope, receive, send)
    return seen


async def test_a_defect_is_answered_unless_the_answer_has_begun() -> None:
    answer = ["ZeroDivisionError", "http.response.start", "http.response.body"]
    assert await _through_the_gate(ZeroDivisionError(), begun=False) == answer
    with pytest.raises(ZeroDivisionError):
        await _through_the_gate(ZeroDivisionError(), begun=True)


async def test_a_client_that_left_is_no_defect() -> None:
    assert await _through_the_gate(ClientDisconnect(), begun=False) == []


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("/nightjar/runs", "/runs"),
        ("/nightjar", "/"),
        ("/nightjar/", "/"),
        ("/runs", "/runs"),  # the proxy took it off
        ("/nightjars/x", "/nightjars/x"),
        ("/nightjar/nightjar/x", "/nightjar/x"),
    ],
)
def test_a_path_below_the_root(path: str, below: str) -> None:
    assert path_below(path, "/nightjar") == below
    assert path_below(path, "") == path
