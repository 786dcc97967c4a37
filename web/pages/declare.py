"""How a page and an action are declared: a page is built and shown, an action is done and written to the audit."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs

from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from markupsafe import escape
from starlette.requests import ClientDisconnect

from nightjar.config.errors import NightjarError
from nightjar.jobs.accounts.access import audit
from nightjar.jobs.mongo import DatabaseError
from nightjar.pipeline.report.data.safe import visible
from nightjar.web.auth.roles import Action
from nightjar.web.render import NavLink
from nightjar.web.routing import Route
from nightjar.web.sheet import Content
from nightjar.web.site import Site, site_of
from nightjar.web.visitors import Visitor, form_token, visitor_of

NAV = (
    ("Now", "/", Action.READ),
    ("Runs", "/runs", Action.READ),
    ("Playground", "/play", Action.GENERATE),
    ("Search", "/search", Action.READ),
    ("Compare", "/compare", Action.READ),
    ("Trend", "/trend", Action.READ),
    ("Schedules", "/schedules", Action.READ),
    ("Costs and router", "/costs", Action.READ),
    ("Suites", "/suites", Action.READ),
    ("Models", "/models", Action.READ),
    ("Workers", "/workers", Action.READ),
    ("Doctor", "/doctor", Action.READ),
    ("Settings", "/settings", Action.MANAGE),
)
"""The pages that every page leads to, for those who may see them."""
LIVE = "nightjar-live"
"""The header of a page that is read again by itself, and of an answer by which one becomes such a page."""
FIELDS = 200
"""Most fields of a form."""
LONGEST_ABOUT, LONGEST_OUTCOME = 100, 1000
FAULT = "a fault of ours, which the log has; some of it may have been done"


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a page or an action is asked with."""

    site: Site
    visitor: Visitor
    path: Mapping[str, str]
    """Parts of the address that the route names."""
    query: Mapping[str, list[str]]
    form: Mapping[str, list[str]] = field(default_factory=dict)

    @classmethod
    async def of(cls, request: Request) -> Self:
        body = b"" if request.method == "GET" else await request.body()
        return cls(
            site=site_of(request),
            visitor=visitor_of(request),
            path=dict(request.path_params),
            query=read_fields(request.url.query),
            form=read_fields(body.decode("utf-8", "replace")),
        )

    def one(self, name: str, default: str = "") -> str:
        """A field of the form, else of the address."""
        return (self.form.get(name) or self.query.get(name) or [default])[0].strip()

    def many(self, name: str) -> list[str]:
        return [value.strip() for value in (self.form.get(name) or self.query.get(name) or []) if value.strip()]


def read_fields(text: str) -> dict[str, list[str]]:
    """The fields of a form or a query. Raises HTTPException where there are too many."""
    try:
        return parse_qs(text, max_num_fields=FIELDS)
    except ValueError:
        raise HTTPException(400, f"A form has at most {FIELDS} fields.") from None


@dataclass(frozen=True, kw_only=True)
class Done:
    """What an action says. `to`: the page to go to; None: the one where it was done."""

    said: str
    about: str = ""
    to: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def page(
    path: str,
    template: str,
    shows: type[Content],
    build: Callable[[Visit], Awaitable[Content]],
    *,
    action: Action = Action.READ,
) -> Route:
    """A page: `build` makes what the template shows, and does nothing else."""

    async def answer(request: Request) -> Response:
        visit = await Visit.of(request)
        content = await build(visit)
        return show_page(request, template, content)

    return Route(method="GET", path=path, action=action, answer=answer, template=template, page=shows)


def show_page(request: Request, template: str, content: Content, status: int = 200) -> HTMLResponse:
    """The content in its template; in the layout, unless htmx only wants what is inside."""
    site, visitor, nonce = site_of(request), visitor_of(request), request.state.nonce
    body = site.templates.body(template, content, nonce)
    if "hx-request" in request.headers:
        if LIVE in request.headers and not content.live:  # it is loaded once more, whole, and then stays
            return HTMLResponse(body, status_code=status, headers={"hx-refresh": "true"})
        etag = content_tag(body, nonce)
        known = status == 200 and request.headers.get("if-none-match") == etag
        headers = {"etag": etag, **({LIVE: "1"} if content.live else {})}
        return HTMLResponse("" if known else body, status_code=304 if known else status, headers=headers)
    here = request.url.path
    address = f"{here}?{request.url.query}" if request.url.query else here
    whole = site.templates.whole(
        body,
        title=content.title,
        nonce=nonce,
        nav=tuple(
            NavLink(text=text, href=href, here=here == href or (href != "/" and here.startswith(f"{href}/")))
            for text, href, needed in NAV
            if visitor.can(needed)
        ),
        visitor=visitor.name,
        logout=form_token(site, visitor.session) if visitor.session else None,
        again=address,
        content=content,
    )
    return HTMLResponse(whole, status_code=status)


def content_tag(body: str, nonce: str) -> str:
    """Tells one content of a page from another; each answer has another nonce, which does not count."""
    return f'"{hashlib.sha256(body.replace(nonce, "").encode()).hexdigest()[:20]}"'


def post_action(path: str, action: Action, do: Callable[[Visit], Awaitable[Done]]) -> Route:
    """Something that is done; whoever asks is told how it went, and the audit keeps it, refused or not."""
    name = path.rpartition("/")[2]

    async def answer(request: Request) -> Response:
        about = "/".join(request.path_params.values())
        async with noting_failure(request, name, about):
            done = await do(await Visit.of(request))
        await note_action(request, name, done.about or about, "done", done.details)
        return told(request, done.said, to=done.to)

    return Route(method="POST", path=path, action=action, answer=answer)


@contextlib.asynccontextmanager
async def noting_failure(request: Request, name: str, about: str) -> AsyncIterator[None]:
    """What is refused or fails within is written to the audit; what is done well is for the caller to note."""
    try:
        yield
    except ClientDisconnect:  # nothing was begun
        raise
    except Exception as error:
        with contextlib.suppress(DatabaseError):  # that MongoDB is away may be why
            await note_action(request, name, about[:LONGEST_ABOUT], _failure(error))
        raise


def _failure(error: Exception) -> str:
    said = (
        error.detail if isinstance(error, HTTPException) else str(error) if isinstance(error, NightjarError) else FAULT
    )
    return said[:LONGEST_OUTCOME]


async def note_action(request: Request, name: str, about: str, outcome: str, details: Mapping[str, Any] = {}) -> None:
    """Writes what was done, or refused, to the audit: who, what, when, from where."""
    state = request.state
    await audit(
        visitor_of(request).name, state.address, name, about, outcome, request=state.request_id, details=details
    )


def told(request: Request, text: str, *, to: str | None = None, status: int = 200) -> Response:
    """A sentence about what was done: into the page for htmx, else as JSON."""
    if "hx-request" not in request.headers:
        return JSONResponse({"said": text}, status_code=status)
    root = site_of(request).rules.root
    headers = {"hx-redirect": f"{root}{to}"} if to is not None else {"hx-trigger": "nightjar-changed"}
    level = "warning" if status >= 400 else "info"
    return HTMLResponse(f'<p class="{level}">{escape(visible(text))}</p>', headers=headers, status_code=status)
