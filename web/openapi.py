"""The OpenAPI document: the documented routes, with the schemas of what they read and write themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from nightjar.web.api.answer_schema import ErrorAnswer
from nightjar.web.auth.roles import Action
from nightjar.web.routing import Route


def api_document(app: FastAPI, routes: Sequence[Route]) -> dict[str, Any]:
    """The document of an application of these routes."""
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    read = sorted({route.body for route in routes if route.body is not None}, key=_name)
    answers: set[type[BaseModel]] = {ErrorAnswer, *(route.answers for route in routes if route.answers is not None)}
    written = sorted(answers, key=_name)
    modes: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
        (body, "validation") for body in read
    ]
    modes += [(answer, "serialization") for answer in written]
    _, schemas = models_json_schema(modes, ref_template="#/components/schemas/{model}")
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas.get("$defs", {}))
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    return document


def _name(model: type[BaseModel]) -> str:
    return model.__name__


def document_route(routes: Sequence[Route]) -> Route:
    """`/api/openapi.json`: it says nothing that the source does not."""

    async def openapi_json(request: Request) -> JSONResponse:
        return JSONResponse(api_document(request.app, routes))

    return Route(method="GET", path="/api/openapi.json", action=Action.OPEN, answer=openapi_json)
