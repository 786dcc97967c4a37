"""The gate: what is decided about every request before a route sees it. Pure decisions, and one thin middleware.

A request must name a host of ours exactly (a foreign name that resolves to this address is DNS rebinding), must not
come from another site's page, and must not be too large or too slow.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse

from nightjar.config.logging import bind

AsgiScope = MutableMapping[str, Any]
_AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[_AsgiMessage]]
Send = Callable[[_AsgiMessage], Awaitable[None]]
App = Callable[[AsgiScope, Receive, Send], Awaitable[None]]

BODY_BYTES = 4 * 2**20
LARGER_BODIES = dict.fromkeys(("/suites/import", "/api/suites"), 32 * 2**20)
"""Paths of files that are uploaded."""
BODY_S = 30.0
"""A body that has not arrived after so long never will."""
OUR_HEADER = "nightjar-request"
OUR_HEADERS = (OUR_HEADER, "hx-request")
"""No page of another site can send one of them without asking us first, and we never allow that."""
REQUEST_ID = "nightjar-request-id"
PROCESSING_MS = "nightjar-processing-ms"
"""Header of an answer: from the request's arrival to the first byte of its answer, as the server counts it."""
FORM = "application/x-www-form-urlencoded"
FORM_PATHS = frozenset({"/login", "/logout"})
"""Only these take a form as a browser without scripts sends it; they check a token of their own."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_log = structlog.get_logger()
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, kw_only=True)
class GateRules:
    """What the gate lets through."""

    hosts: frozenset[str]
    """Values of the Host header, with their port, in lower case."""
    scheme: str = "http"
    """By which browsers reach us, also through a proxy."""
    behind_proxy: bool = False
    """`X-Forwarded-For` is believed: a proxy of ours has replaced it."""
    root: str = ""
    """The path below which browsers see us, such as /nightjar; the proxy may take it off or leave it on."""

    @classmethod
    def loopback(cls, port: int, *names: str) -> GateRules:
        """Of a server that only this machine reaches."""
        return cls(hosts=frozenset(f"{name}:{port}".lower() for name in (*LOOPBACK, *names)))


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a request goes no further."""

    status: int
    message: str


def path_below(path: str, root: str) -> str:
    """The path as routes know it, without the root where that stands before it."""
    if root and (path == root or path.startswith(f"{root}/")):
        return path[len(root) :] or "/"
    return path


def refuse(method: str, path: str, headers: Headers, rules: GateRules) -> Refusal | None:
    """Why this request is refused by its headers alone; None where it may pass."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or hosts[0].lower() not in rules.hosts:
        return Refusal(status=421, message="This server does not answer by that name.")
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or int(length) > most_bytes(path):
        return Refusal(status=413, message=f"The body is too large: at most {most_bytes(path)} bytes.")
    site = headers.get("sec-fetch-site", "none")
    if method in SAFE_METHODS:
        foreign = site in ("cross-site", "same-site") and headers.get("sec-fetch-mode") != "navigate"
        return Refusal(status=403, message="Other sites' pages may not read this one.") if foreign else None
    return _refuse_unsafe(path, headers, site, f"{rules.scheme}://{hosts[0].lower()}")


def most_bytes(path: str) -> int:
    """How large a body may be."""
    return LARGER_BODIES.get(path, BODY_BYTES)


def _refuse_unsafe(path: str, headers: Headers, site: str, origin: str) -> Refusal | None:
    """Of a request that may change something."""
    named = headers.get("origin")
    if site not in ("same-origin", "none") or named not in (None, origin):
        return Refusal(status=403, message="Other sites' pages may not change anything here.")
    if any(name in headers for name in OUR_HEADERS) or headers.get("authorization", "").lower().startswith("bearer "):
        return None
    if path in FORM_PATHS and headers.get("content-type", "").partition(";")[0].strip() == FORM and named == origin:
        return None
    return Refusal(status=403, message=f"Send a bearer token, or the header {OUR_HEADER}.")


def client_address(peer: str, headers: Headers, rules: GateRules) -> str:
    """Where the request comes from. Behind a proxy of ours, what it says: one address, since it replaces the header."""
    said = headers.getlist("x-forwarded-for") if rules.behind_proxy else []
    return said[0].strip() if len(said) == 1 and "," not in said[0] and said[0].strip() else peer


def security_headers(nonce: str, rules: GateRules) -> Mapping[str, str]:
    """What every answer tells the browser to forbid. A route's own policy (a sandboxed report) goes before it."""
    policy = {
        "default-src": "'none'",
        "script-src": f"'nonce-{nonce}'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "worker-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-src": "'self'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "htmx nightjar",
    }
    headers = {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
        "referrer-policy": "same-origin",  # with no-referrer a browser sends `Origin: null` with a form
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
    return headers | ({"strict-transport-security": "max-age=31536000"} if rules.scheme == "https" else {})


@dataclass(frozen=True)
class GateMiddleware:
    """The middleware: refuses, or hands on with a nonce, a request id and a bounded body."""

    app: App
    _: KW_ONLY
    rules: GateRules
    failed: Callable[[AsgiScope, Exception], App]
    """What answers where the application met a defect of its own."""

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        scope["path"] = path_below(scope["path"], self.rules.root)
        headers, nonce, request_id = Headers(scope=scope), secrets.token_urlsafe(16), secrets.token_hex(8)
        peer = (scope.get("client") or ("",))[0]
        address = client_address(peer, headers, self.rules)
        scope.setdefault("state", {}).update(nonce=nonce, request_id=request_id, address=address)
        ours = {**security_headers(nonce, self.rules), REQUEST_ID: request_id}

        begun, arrived, status = False, time.monotonic(), 0

        async def send_guarded(message: _AsgiMessage) -> None:
            nonlocal begun, status
            begun = True
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = MutableHeaders(scope=message)
                sent[PROCESSING_MS] = f"{1000 * (time.monotonic() - arrived):.2f}"
                for name, value in ours.items():
                    sent.setdefault(name, value)
            await send(message)

        refusal = refuse(scope["method"], scope["path"], headers, self.rules)
        if refusal is not None:
            refused = PlainTextResponse(refusal.message + "\n", status_code=refusal.status)
            return await refused(scope, receive, send_guarded)
        bind(request=request_id)
        try:
            await self.app(scope, bounded(receive, most_bytes(scope["path"]), BODY_S), send_guarded)
        except ClientDisconnect:
            return None  # nobody is left to be answered
        except Exception as error:
            answer = self.failed(scope, error)
            if begun:
                raise  # half an answer is out: the connection ends
            await answer(scope, receive, send_guarded)
        finally:
            _note_answer(scope, status, time.monotonic() - arrived)


def _note_answer(scope: AsgiScope, status: int, seconds: float) -> None:
    """Whatever may have changed or generated something is in the log. Never the query: it may hold what is searched."""
    if scope["method"] not in SAFE_METHODS:
        _log.info(
            "request_answered",
            method=scope["method"],
            path=scope["path"],
            status=status,
            seconds=round(seconds, 4),
            request=scope["state"]["request_id"],
        )


def bounded(receive: Receive, most: int, within_s: float) -> Receive:
    """The body, piece by piece: raises HTTPException where it grows too large or comes too slowly."""
    taken, whole = 0, False
    deadline = asyncio.get_running_loop().time() + within_s

    async def receive_bounded() -> _AsgiMessage:
        nonlocal taken, whole
        if whole:  # what comes now is the client's leaving
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"The body did not arrive within {within_s:.0f} s.") from None
        taken += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if taken > most:
            raise HTTPException(413, f"The body is too large: at most {most} bytes.")
        return message

    return receive_bounded
