"""Who sent a request: by a bearer token or else a session's cookie, and the dependency that every route has."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import quote

from fastapi import HTTPException, Request

from nightjar.jobs.accounts.access import find_session, find_token, has_users, note_use
from nightjar.jobs.accounts.documents import ApiToken, Role, User
from nightjar.web.auth.roles import Action, allowed
from nightjar.web.site import Site, site_of

OWNER = "owner"
"""Whoever has the one-time key of a home without users."""


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who asks, as far as we know."""

    name: str
    role: Role
    user: str | None = None
    """None also for the owner of a home without users."""
    token: ApiToken | None = None
    """The one that was sent; None: none was."""
    session: str | None = None
    """The secret of the session."""

    def can(self, action: Action) -> bool:
        return allowed(self.role, action, None if self.token is None else self.token.scopes)


STRANGER = Visitor(name="nobody", role=Role.NOBODY)


def needs(action: Action) -> Callable[[Request], Awaitable[None]]:
    """The dependency of a route: who asks must be allowed this action."""

    async def check(request: Request) -> None:
        visitor = await identify(request)
        request.state.visitor = visitor
        if not visitor.can(action):
            _refuse(visitor, request)

    check.action = action  # type: ignore[attr-defined]
    return check


def _refuse(visitor: Visitor, request: Request) -> NoReturn:
    """Raises HTTPException: a browser is sent to the login."""
    if visitor.role is not Role.NOBODY:
        raise HTTPException(403, f"{visitor.name} may not do that: it is not in what their role or token allows.")
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        query, root = f"?{request.url.query}" if request.url.query else "", site_of(request).rules.root
        raise HTTPException(303, headers={"location": f"{root}/login?next={quote(request.url.path + query)}"})
    raise HTTPException(401, "Say who you are: a bearer token, or a login.", headers={"www-authenticate": "Bearer"})


def visitor_of(request: Request) -> Visitor:
    """Who asks, once the route's dependency has found out."""
    visitor: Visitor = request.state.visitor
    return visitor


async def identify(request: Request) -> Visitor:
    """By the token where one is sent, else by the cookie. Raises HTTPException for a token that asks too often."""
    site = site_of(request)
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme:
        return await _by_token(secret.strip(), request, site) if scheme.lower() == "bearer" else STRANGER
    cookie = request.cookies.get(cookie_name(site, request.headers["host"]))
    session = None if cookie is None else await find_session(cookie, request.headers["host"])
    if session is None:
        return STRANGER
    visitor = await _acting_for(session.user)
    return STRANGER if visitor is None else Visitor(**{**vars(visitor), "session": cookie})


async def _by_token(secret: str, request: Request, site: Site) -> Visitor:
    token = await find_token(secret)
    visitor = None if token is None else await _acting_for(token.user)
    if token is None or visitor is None:
        return STRANGER
    wait = await site.rates.count(token.id, token.per_minute)
    if wait > 0:
        raise HTTPException(429, "This token asks too often.", headers={"retry-after": str(int(wait) + 1)})
    await note_use(token, request.state.address, site.database)
    return Visitor(**{**vars(visitor), "token": token, "name": f"{visitor.name} (token {token.id})"})


async def _acting_for(user: str | None) -> Visitor | None:
    """The owner is somebody only until there are users."""
    if user is None:
        return None if await has_users() else Visitor(name=OWNER, role=Role.ADMIN)
    known = await User.get(user)
    return None if known is None else Visitor(name=known.id, user=known.id, role=known.role)


def cookie_name(site: Site, host: str) -> str:
    """Of the session's cookie; browsers send cookies to every port of a host, so that it names ours."""
    if site.rules.scheme == "https":
        return "__Host-nightjar"
    return f"nightjar-{host.rpartition(':')[2]}"


def form_token(site: Site, about: str) -> str:
    """What a form of ours carries, so that nobody else's is taken for it."""
    return hmac.new(site.form_secret, about.encode(), hashlib.sha256).hexdigest()


def is_form_token(site: Site, about: str, token: str) -> bool:
    return hmac.compare_digest(form_token(site, about).encode(), token.encode())
