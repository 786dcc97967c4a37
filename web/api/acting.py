"""What can be done: a run is made, paused, resumed, cancelled, tried again. Each is written to the audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from nightjar.jobs.documents import Run
from nightjar.jobs.identity import digest
from nightjar.jobs.lookup import find_run
from nightjar.jobs.mongo import Database
from nightjar.jobs.runs import control
from nightjar.web.api.answer_schema import ChangedRunAnswer, MadeRunAnswer
from nightjar.web.api.answers import json_answer
from nightjar.web.auth.roles import Action
from nightjar.web.openai.bodies import read_json
from nightjar.web.openai.schema import read_loosely
from nightjar.web.pages.declare import note_action, noting_failure
from nightjar.web.routing import Route
from nightjar.web.site import site_of
from nightjar.web.visitors import visitor_of
from nightjar.workers.embedder.client import embedder_opener
from nightjar.workers.library.registry import read_registry

KEY = "idempotency-key"


class NewRunRequest(BaseModel):
    """What `nightjar enqueue` takes. Hooks, paths of files and formats of reports are the command line's alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    suite: Annotated[str, Field(min_length=1)]
    models: Annotated[list[str], Field(min_length=1)]
    name: str | None = None
    repeats: int = 1
    seed: int | None = None
    only: list[str] = []
    limit: int | None = None
    only_variants: list[str] = []
    set_parameters: dict[str, Any] = {}
    judges: list[str] = []
    embed_model: str | None = None
    priority: int = 0
    fidelity_to: str | None = None
    until: Literal["decided"] | None = None
    primary: str | None = None
    margin: float | None = None


async def make_run(request: Request) -> Response:
    """A run that is made, or one of that name and content that was there. 201 where jobs were added.

    With `Idempotency-Key` and without a name the run's name is made of the key and of who asks: asked again, it is
    the same run.
    """
    async with noting_failure(request, "make", "a request that cannot be read"):
        asked = read_loosely(await read_json(request), NewRunRequest)
    async with noting_failure(request, "make", asked.name or asked.suite):
        made, added = await _enqueue(asked, request)
    await note_action(request, "make", made.name, "done", {"jobs": added})
    answer = {"id": made.id, "run": made.name, "status": made.status, "jobs_added": added}
    return json_answer(request, {"run": answer}, status=201 if added else 200)


async def _enqueue(asked: NewRunRequest, request: Request) -> tuple[Run, int]:
    from nightjar.pipeline.runs.producer import enqueue
    from nightjar.pipeline.runs.request import make_request
    from nightjar.pipeline.runs.this_home import this_home

    site, key = site_of(request), request.headers.get(KEY)
    options = asked.model_dump(exclude_unset=True)
    if key and asked.name is None:
        options["name"] = f"api-{digest('api', visitor_of(request).name, key)[:16]}"
    known = tuple(read_registry(site.settings.models_file).models)
    wanted = make_request(**{**options, "known_models": known})
    made = await enqueue(
        wanted,
        site.database,
        closers=this_home(site.settings),
        enforceable=site.enforceable,
        embedder=embedder_opener(site.settings),
    )
    return made.run, made.jobs_added


async def _pause(run: Run, database: Database) -> dict[str, Any]:
    return {"status": (await control.pause(run, database)).status}


async def _resume(run: Run, database: Database) -> dict[str, Any]:
    return {"status": (await control.resume(run, database)).status}


async def _cancel(run: Run, database: Database) -> dict[str, Any]:
    return {"status": (await control.cancel(run, database)).status}


async def _retry(run: Run, database: Database) -> dict[str, Any]:
    return {"jobs": await control.retry(run, database)}


def _do(word: str, act: Callable[[Run, Database], Awaitable[dict[str, Any]]]) -> Route:
    async def answer(request: Request, name: str) -> Response:
        database = site_of(request).database
        async with noting_failure(request, word, name):
            run = await find_run(name, database)
            done = await act(run, database)
        await note_action(request, word, run.name, "done")
        return json_answer(request, {"run": {"id": run.id, "run": run.name, **done}})

    answer.__doc__ = f"What `nightjar run {word}` does."
    return Route(
        method="POST",
        path=f"/api/runs/{{name}}/{word}",
        action=Action.RUN,
        answer=answer,
        documented=True,
        answers=ChangedRunAnswer,
    )


ROUTES = (
    Route(
        method="POST",
        path="/api/runs",
        action=Action.RUN,
        answer=make_run,
        documented=True,
        body=NewRunRequest,
        answers=MadeRunAnswer,
        makes=True,
    ),
    _do("pause", _pause),
    _do("resume", _resume),
    _do("cancel", _cancel),
    _do("retry", _retry),
)
