"""What is answered when something is wrong: a page for people, a sentence for htmx, JSON for programs."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from nightjar.config.errors import NightjarError
from nightjar.config.redact import redact_text
from nightjar.jobs.mongo import DatabaseError
from nightjar.web.gate import Scope
from nightjar.web.openai.refusals import openai_error, speaks_openai
from nightjar.web.pages.declare import show_page, told
from nightjar.web.sheet import Said, Sheet
from nightjar.web.statuses import AGAIN_S, retry_headers, status_of_error
from nightjar.web.visitors import STRANGER

_log = structlog.get_logger()
_TITLES = {404: "Not found", 403: "Not allowed", 503: "Not available", 500: "A fault of ours"}


def add_problem_handlers(app: FastAPI) -> None:
    """Every error becomes an answer."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteHTTPException)
        if error.status_code == 303:
            return Response(status_code=303, headers=error.headers)
        text = "There is no such page." if error.detail == "Not Found" else str(error.detail)
        return problem(request, error.status_code, text, headers=error.headers)

    async def failed(request: Request, error: Exception) -> Response:
        return problem(request, status_of_error(error), str(error), headers=retry_headers(error), error=error)

    async def away(request: Request, error: Exception) -> Response:
        _log.warning("database_away", error=str(error), request=request.state.request_id)
        page = "text/html" in request.headers.get("accept", "")
        what = "The page comes back with it." if page else f"Ask again in {AGAIN_S} s."
        text = f"MongoDB cannot be reached. {what}"
        return problem(request, 503, text, headers=retry_headers(error), error=error)

    app.add_exception_handler(StarletteHTTPException, refused)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(NightjarError, failed)
    app.add_exception_handler(DatabaseError, away)


def defect_answer(scope: Scope, error: Exception) -> Response:
    """The answer to a defect of ours: its number in the log, and nothing of it."""
    request = Request(scope)
    number = request.state.request_id
    _log.error("request_failed", path=request.url.path, request=number, exc_info=error)
    text = f"This should not have happened. The log has it as request {number}."
    try:
        return problem(request, 500, text)
    except Exception as another:  # of the page that should say so
        _log.error("problem_page_failed", request=number, exc_info=another)
        return PlainTextResponse(text, status_code=500)


def problem(
    request: Request, status: int, text: str, *, headers: object = None, error: Exception | None = None
) -> Response:
    """The answer to something that could not be done."""
    text = redact_text(text)
    more = dict(headers) if isinstance(headers, dict) else {}
    if speaks_openai(request.url.path):
        answer: Response = JSONResponse(openai_error(status, text, error), status_code=status)
    elif "hx-request" in request.headers and request.method != "GET":
        answer = told(request, text, status=status)
    elif "text/html" in request.headers.get("accept", "") and request.method in ("GET", "POST"):
        if not hasattr(request.state, "visitor"):
            request.state.visitor = STRANGER
        said = Said(text=text, level="warning")
        sheet = Sheet(title=_TITLES.get(status, "That cannot be done"), said=(said,), live=status == 503)
        answer = show_page(request, "sheet.html", sheet, status=status)
    else:
        answer = JSONResponse({"error": {"message": text, "request": request.state.request_id}}, status_code=status)
    answer.headers.update(more)
    return answer
