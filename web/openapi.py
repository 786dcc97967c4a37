"""The OpenAPI document: the documented routes, with the schemas of the bodies that they read themselves."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from nightjar.web.auth.roles import Action
from nightjar.web.routing import Route


def api_document(app: FastAPI, bodies: set[type[BaseModel]]) -> dict[str, Any]:
    """The document of an application whose routes read these bodies."""
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    ordered = sorted(bodies, key=lambda body: body.__name__)
    _, schemas = models_json_schema(
        [(body, "validation") for body in ordered], ref_template="#/components/schemas/{model}"
    )
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas.get("$defs", {}))
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    return document


def document_route(bodies: set[type[BaseModel]]) -> Route:
    """`/api/openapi.json`: it says nothing that the source does not."""

    async def openapi_json(request: Request) -> JSONResponse:
        return JSONResponse(api_document(request.app, bodies))

    return Route(method="GET", path="/api/openapi.json", action=Action.OPEN, answer=openapi_json)
