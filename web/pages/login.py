"""Login and logout: a one-time key while there are no users, else name and password."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from nightjar.jobs.accounts.access import audit, begin_session, end_session, has_users, redeem_key
from nightjar.jobs.accounts.documents import User
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import read_fields
from nightjar.web.routing import Route
from nightjar.web.sheet import Content
from nightjar.web.site import Site, site_of
from nightjar.web.visitors import OWNER, cookie_name, form_token, is_form_token, visitor_of

LOGIN = "login"
WRONG_KEY = "That key is not good any more. `nightjar serve` prints another one when it starts."
WRONG = "Name or password is wrong."
COOKIE_S = 14 * 86_400


@dataclass(frozen=True, kw_only=True)
class LoginPage(Content):
    """What is asked: a key while there are no `users`, else name and password."""

    users: bool
    token: str
    next: str
    problem: str | None = None


async def show_login(request: Request) -> Response:
    """The form."""
    return await _form(request, request.query_params.get("next", "/"))


async def _form(request: Request, following: str, problem: str | None = None, status: int = 200) -> Response:
    site = site_of(request)
    page = LoginPage(
        title="Log in",
        users=await has_users(),
        token=form_token(site, LOGIN),
        next=own_path(following),
        problem=problem,
    )
    body = site.templates.body("login.html", page, request.state.nonce)
    whole = site.templates.whole(body, title=page.title, nonce=request.state.nonce, scripts=("login.js",))
    return Response(whole, status_code=status, media_type="text/html")


async def log_in(request: Request) -> Response:
    """Checks key or password, and begins a session."""
    site, address = site_of(request), request.state.address
    sent = read_fields((await request.body()).decode("utf-8", "replace"))
    form = {key: values[0] for key, values in sent.items()}
    following = own_path(form.get("next", "/"))
    if not is_form_token(site, LOGIN, form.get("token", "")):
        return await _form(request, following, "The form was too old. Try again.", 403)
    name = form.get("name", "") if await has_users() else OWNER
    wait = site.throttle.wait_s(name, address, time.monotonic())
    if wait > 0:
        raise HTTPException(429, f"Too many tries. Wait {wait:.0f} s.", headers={"retry-after": str(int(wait) + 1)})
    problem = await _check(name, form, site)
    await audit(name, address, "login", name, problem or "done", request=request.state.request_id)
    if problem is not None:
        site.throttle.failed(name, address, time.monotonic())
        return await _form(request, following, problem, 403)
    site.throttle.succeeded(name, address)
    return await _begin(request, None if name == OWNER and not await has_users() else name, following)


async def _check(name: str, form: dict[str, str], site: Site) -> str | None:
    """What is wrong with the login; None where nothing is."""
    if name == OWNER and not await has_users():
        return None if await redeem_key(form.get("key", ""), site.database) else WRONG_KEY
    user = await User.get(name)
    right = await site.passwords.matches(form.get("password", ""), user.password if user is not None else None)
    return None if right else WRONG


async def _begin(request: Request, user: str | None, following: str) -> Response:
    site, host = site_of(request), request.headers["host"]
    cookie = cookie_name(site, host)
    secret = await begin_session(user, host, instead_of=request.cookies.get(cookie), database=site.database)
    answer = RedirectResponse(site.rules.root + following, status_code=303)
    answer.set_cookie(
        cookie, secret, max_age=COOKIE_S, httponly=True, samesite="strict", secure=site.rules.scheme == "https"
    )
    return answer


async def log_out(request: Request) -> Response:
    """Ends the session, here and in the database."""
    site, visitor = site_of(request), visitor_of(request)
    form = read_fields((await request.body()).decode("utf-8", "replace"))
    answer = RedirectResponse(f"{site.rules.root}/login", status_code=303)
    if visitor.session is None:
        return answer
    if not is_form_token(site, visitor.session, form.get("token", [""])[0]):
        raise HTTPException(403, "The form was too old. Load the page again.")
    await end_session(visitor.session, site.database)
    await audit(visitor.name, request.state.address, "logout", visitor.name, "done", request=request.state.request_id)
    answer.delete_cookie(cookie_name(site, request.headers["host"]))
    return answer


def own_path(address: str) -> str:
    """The address if it is a path of ours, else the first page: nobody is sent elsewhere after a login."""
    parts = urlsplit(address.strip())
    plain = address.startswith("/") and not address.startswith("//") and address.isprintable() and "\\" not in address
    return address if plain and not parts.scheme and not parts.netloc else "/"


ROUTES = (
    Route(method="GET", path="/login", action=Action.OPEN, answer=show_login, template="login.html", page=LoginPage),
    Route(method="POST", path="/login", action=Action.OPEN, answer=log_in),
    Route(method="POST", path="/logout", action=Action.OPEN, answer=log_out),
)
