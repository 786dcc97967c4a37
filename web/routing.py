"""The one way to declare a route: what it is, as far as rights go, and what answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, FastAPI
from pydantic import BaseModel

from nightjar.web.auth.roles import Action
from nightjar.web.visitors import needs


@dataclass(frozen=True, kw_only=True)
class Route:
    """A method and a path. `answer` is a FastAPI endpoint; it runs once `action` is allowed."""

    method: str
    path: str
    action: Action
    answer: Callable[..., Any]
    documented: bool = False
    """Whether the OpenAPI document has it."""
    body: type[BaseModel] | None = None
    """Of a documented one: what it is sent. The route reads and checks it itself."""
    answers: type[BaseModel] | None = None
    """Of a documented one: the form of what it answers with, where the document has it."""
    makes: bool = False
    """It answers with 201 where it made something."""
    template: str | None = None
    """Of a page; what the template gets is what the page's builder returns."""
    page: type[Any] | None = None


ERROR = "ErrorAnswer"
"""The schema of every refusal."""
_REFUSED: dict[int | str, str] = {
    400: "The request cannot be used; the message says why.",
    401: "Say who you are.",
    402: "The token's budget has no room for it.",
    403: "Not allowed.",
    404: "There is nothing of that name; the message has the nearest.",
    429: "Too many requests wait, or the token's budget has no room. Retry-After says when to ask again.",
    503: "Not available now. Retry-After says when to ask again.",
}


def _described(description: str, model: str | None) -> dict[str, Any]:
    """An answer in the document; its schema is there by that name."""
    if model is None:
        return {"description": description}
    schema = {"$ref": f"#/components/schemas/{model}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def described_answers(route: Route) -> dict[int | str, dict[str, Any]]:
    """What a route answers with, by status."""
    described = {status: _described(text, ERROR) for status, text in _REFUSED.items()}
    if route.answers is not None:
        described[200] = _described("It is so.", route.answers.__name__)
    if route.makes:
        described[201] = _described("It was made.", route.answers.__name__ if route.answers is not None else None)
    return described


def described_body(body: type[BaseModel] | None) -> dict[str, Any] | None:
    """Of a route that reads its body itself; `openapi.api_document` has the schema."""
    if body is None:
        return None
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def mount(app: FastAPI, routes: Iterable[Route]) -> None:
    """Adds the routes, each behind its action. Routes are added here alone."""
    for route in routes:
        app.add_api_route(
            route.path,
            route.answer,
            methods=[route.method],
            dependencies=[Depends(needs(route.action))],
            include_in_schema=route.documented,
            openapi_extra=described_body(route.body),
            responses=described_answers(route),
            response_model=None,
        )


def action_of(route: Any) -> Action | None:
    """The action that a mounted route declares; None where it declares none."""
    found = (getattr(depends.dependency, "action", None) for depends in getattr(route, "dependencies", ()))
    return next((action for action in found if isinstance(action, Action)), None)
