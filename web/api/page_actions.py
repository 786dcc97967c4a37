"""What pages do, for programs: the same functions, roles and audit, given JSON in the place of a form."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from nightjar.web.api.answers import json_answer
from nightjar.web.api.reading import suite_facts
from nightjar.web.auth.roles import Action
from nightjar.web.openai.bodies import read_json
from nightjar.web.openai.schema import read_loosely
from nightjar.web.pages.declare import Done, Visit, note_action, noting_failure
from nightjar.web.pages.get_models import do_begin_pull, do_cancel_pull, do_resume_pull
from nightjar.web.pages.model import do_load_model, do_pin_model, do_unload_model, do_unpin_model
from nightjar.web.pages.run_actions import do_clear_baseline, do_judge, do_make_baseline
from nightjar.web.pages.schedules import (
    do_add_schedule,
    do_edit_schedule,
    do_pause_schedule,
    do_resume_schedule,
    do_run_schedule,
)
from nightjar.web.pages.suite_upload import import_body
from nightjar.web.routing import Route
from nightjar.web.site import site_of
from nightjar.web.visitors import visitor_of


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class JudgingRequest(_Asked):
    """What `nightjar judge RUN` takes; the rubric is the run's last one, else its suite's."""

    judges: Annotated[list[str], Field(min_length=1, serialization_alias="judge")]
    self_judging: bool = False


class BaselineRequest(_Asked):
    """What `nightjar baseline set RUN` takes."""

    suite: str | None = None


class NewScheduleRequest(_Asked):
    """What `nightjar schedule add` takes, without hooks and gates, which are the command line's alone."""

    name: str
    cron: str
    timezone: str = "UTC"
    suite: str
    models: Annotated[list[str], Field(min_length=1, serialization_alias="model")]
    repeats: int | None = None
    limit: int | None = None
    seed: int | None = None
    judges: Annotated[list[str], Field(serialization_alias="judge")] = []
    deadline: str | None = None
    overlap: str | None = None
    missed: str | None = None


class ScheduleEdit(_Asked):
    """Of a schedule, what takes the place of what was there."""

    cron: str | None = None
    timezone: str | None = None
    repeats: int | None = None
    limit: int | None = None


class PullRequest(_Asked):
    """A model to fetch: one of the list (`recommended`), or of the hub (`source`: OWNER/NAME[@REVISION][:FILE])."""

    recommended: str | None = None
    source: str | None = None
    name: str | None = None
    quantisation: str | None = None


async def import_suite_file(request: Request, file: str = "") -> Response:
    """The body is a suite's file as `nightjar suite import` reads it, `file` its name. 201 for a new version."""
    imported = await import_body(request)
    facts = {**suite_facts(imported.version), "created": imported.created, "notes": imported.notes}
    return json_answer(request, {"suite": facts}, status=201 if imported.created else 200)


_MAKING = {"/api/pulls": "begin", "/api/schedules": "add"}
"""What making something is called by the audit."""


def _do(path: str, do: Callable[[Visit], Awaitable[Done]], body: type[_Asked] | None = None) -> Route:
    """The audit calls it what it calls the page's: the last word of its address."""
    word = _MAKING.get(path) or path.rpartition("/")[2]

    async def act(request: Request) -> Response:
        path_of = dict(request.path_params)
        about = "/".join(path_of.values())
        async with noting_failure(request, word, about):
            given = {} if body is None else _form(read_loosely(await _body(request), body))
            done = await do(
                Visit(site=site_of(request), visitor=visitor_of(request), path=path_of, query={}, form=given)
            )
        await note_action(request, word, done.about or about, "done", done.details)
        told = {"said": done.said, "about": done.about or about, "details": dict(done.details)}
        return json_answer(request, {"done": told})

    async def act_on(request: Request, name: str) -> Response:
        return await act(request)

    answer: Any = act_on if "{name}" in path else act
    answer.__name__ = f"{word.replace('-', '_')}_{path.split('/')[2]}"
    answer.__doc__ = do.__doc__
    return Route(method="POST", path=path, action=Action.RUN, answer=answer, documented=True, body=body)


async def _body(request: Request) -> Any:
    """What is sent; nothing is an empty object, of which a field that is needed is missing."""
    return await read_json(request) if await request.body() else {}


def _form(asked: _Asked) -> dict[str, list[str]]:
    """As a page's form has it, by the names of its fields."""
    given = asked.model_dump(exclude_none=True, by_alias=True)
    return {name: _words(value) for name, value in given.items() if value is not False}


def _words(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else ["yes" if value is True else str(value)]


ROUTES = (
    Route(method="POST", path="/api/suites", action=Action.RUN, answer=import_suite_file, documented=True, makes=True),
    _do("/api/runs/{name}/judge", do_judge, JudgingRequest),
    _do("/api/runs/{name}/baseline", do_make_baseline, BaselineRequest),
    _do("/api/runs/{name}/clear-baseline", do_clear_baseline),
    _do("/api/schedules", do_add_schedule, NewScheduleRequest),
    _do("/api/schedules/{name}/pause", do_pause_schedule),
    _do("/api/schedules/{name}/resume", do_resume_schedule),
    _do("/api/schedules/{name}/run", do_run_schedule),
    _do("/api/schedules/{name}/edit", do_edit_schedule, ScheduleEdit),
    _do("/api/models/{name}/load", do_load_model),
    _do("/api/models/{name}/unload", do_unload_model),
    _do("/api/models/{name}/pin", do_pin_model),
    _do("/api/models/{name}/unpin", do_unpin_model),
    _do("/api/pulls", do_begin_pull, PullRequest),
    _do("/api/pulls/{name}/resume", do_resume_pull),
    _do("/api/pulls/{name}/cancel", do_cancel_pull),
)
