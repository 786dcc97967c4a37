"""What everybody may have, and which says nothing: whether the service lives, and the files that pages load."""

from __future__ import annotations

from typing import Any

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse, Response

from nightjar.jobs.database import still_answers
from nightjar.jobs.status.workers import alive_workers
from nightjar.web.auth.roles import Action
from nightjar.web.routing import Route
from nightjar.web.site import site_of
from nightjar.web.visitors import visitor_of

FOREVER = "public, max-age=31536000, immutable"


async def health(request: Request) -> JSONResponse:
    """200 while MongoDB answers, else 503. A Redis that is away costs liveness only, and is not said here.

    Whoever may have replies is told which models are loaded, too.
    """
    database = site_of(request).database
    well = await still_answers(database)
    told: dict[str, Any] = {"status": "ok" if well else "unavailable"}
    if well and visitor_of(request).can(Action.GENERATE):
        told["models"] = [
            {"model": worker.model, "device": worker.load.device, "gpu_layers": worker.load.offloaded_layers}
            for worker in await alive_workers(database)
            if worker.load is not None
        ]
    return JSONResponse(told, status_code=200 if well else 503)


async def static_file(request: Request, digest: str, name: str) -> Response:
    """A file by its name and content: no path from a request is ever opened."""
    file = site_of(request).templates.files.get(name)
    if file is None or file.url != f"/static/{digest}/{name}":
        raise HTTPException(404, "There is no such file.")
    return Response(file.content, media_type=file.media_type, headers={"cache-control": FOREVER})


ROUTES = (
    Route(method="GET", path="/health", action=Action.OPEN, answer=health),
    Route(method="GET", path="/static/{digest}/{name}", action=Action.OPEN, answer=static_file),
)
