"""What everybody may have, and which says nothing: whether the service lives, and the files that pages load."""

from __future__ import annotations

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse, Response

from nightjar.jobs.database import still_answers
from nightjar.web.auth.roles import Action
from nightjar.web.routing import Route
from nightjar.web.site import site_of

FOREVER = "public, max-age=31536000, immutable"


async def health(request: Request) -> JSONResponse:
    """200 while MongoDB answers, else 503. A Redis that is away costs liveness only, and is not said here."""
    well = await still_answers(site_of(request).database)
    return JSONResponse({"status": "ok" if well else "unavailable"}, status_code=200 if well else 503)


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
