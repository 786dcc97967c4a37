"""What can be read: status, runs, reports, comparisons, suites and their nights, schedules, models, workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from fastapi import HTTPException, Request
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel

from nightjar.config.errors import UsageError
from nightjar.jobs.documents import SuiteVersion
from nightjar.jobs.lookup import find_run, find_suite
from nightjar.jobs.nights.documents import Baseline, Schedule
from nightjar.jobs.reading import read_each
from nightjar.jobs.status.run import describe_run, list_runs
from nightjar.jobs.status.workers import read_serving, read_workers
from nightjar.pipeline.nights.schedule_row import schedule_row
from nightjar.pipeline.suites.catalogue import bundled
from nightjar.web.api.answer_schema import RunsAnswer, SuitesAnswer, WorkersAnswer
from nightjar.web.api.answers import json_answer
from nightjar.web.auth.roles import Action
from nightjar.web.heavy.pool import HeavyTask
from nightjar.web.overview import site_overview
from nightjar.web.pages.compare import compare_task
from nightjar.web.pages.computed import COMPUTING, report_task, trend_task
from nightjar.web.routing import Route
from nightjar.web.site import Site, site_of
from nightjar.workers.library.inventory import Held, inventory

MOST_RUNS = 200
WAIT_S = 10.0
"""How long a request waits for what is being worked out; a program has no page that is told of it."""
AGAIN_S = 2


async def status_json(request: Request) -> Response:
    """What `nightjar status --json` says."""
    return json_answer(request, await site_overview(site_of(request)))


async def runs_json(request: Request, limit: int = 50, after: str | None = None) -> Response:
    """The newest runs, newest first; `next` is the cursor (`after`) of the page that follows, null on the last."""
    if not 1 <= limit <= MOST_RUNS:
        raise UsageError(f"limit is {limit}; it is 1 to {MOST_RUNS}.")
    database = site_of(request).database
    before = None if after is None else (await find_run(after, database)).created_at
    runs = await list_runs(limit + 1, database, before=before)
    shown = runs[:limit]
    return json_answer(request, {"runs": shown, "next": shown[-1].id if len(runs) > limit else None})


async def run_json(request: Request, name: str) -> Response:
    """What `nightjar run show --json` says."""
    database = site_of(request).database
    return json_answer(request, {"run": await describe_run(await find_run(name, database), database)})


async def report_json(request: Request, name: str) -> Response:
    """The report of a run that has ended, as `nightjar report --format json` writes it. 503 where that takes long."""
    site = site_of(request)
    run = await find_run(name, site.database)
    if run.outcome.finished_at is None:
        raise UsageError(f"Run {run.name!r} is {run.status}; its report comes with its end.")
    return await worked_out(replace(await report_task(run), kind="report-json"), site)


async def compare_json(request: Request, base: str, other: str) -> Response:
    """Two runs model by model, as `nightjar compare --json` has them, without gates. 503 where that takes long."""
    site = site_of(request)
    before, after = [await find_run(name, site.database) for name in (base, other)]
    return await worked_out(replace(await compare_task(before, after), kind="compare-json"), site)


async def trend_json(request: Request, name: str) -> Response:
    """A suite's nights, as `nightjar trend --format json` writes them. 503 where that takes long."""
    site = site_of(request)
    return await worked_out(replace(await trend_task(name, site.database), kind="trend-json"), site)


async def worked_out(task: HeavyTask, site: Site) -> Response:
    """What a child process makes of it. Raises HTTPException where that takes longer than a request waits."""
    ready = await site.heavy.look(task, patience_s=WAIT_S)
    if ready is None:
        raise HTTPException(503, COMPUTING, headers={"retry-after": str(AGAIN_S)})
    return FileResponse(ready, media_type="application/json")


async def baselines_json(request: Request) -> Response:
    """What `nightjar baseline list --json` says."""
    baselines = await read_each(Baseline, {}, site_of(request).database)
    rows = [
        {"suite": baseline.id, "run": baseline.run_name, "id": baseline.run, "set_at": baseline.set_at}
        for baseline in sorted(baselines, key=lambda baseline: baseline.id)
    ]
    return json_answer(request, {"baselines": rows})


async def schedules_json(request: Request) -> Response:
    """What `nightjar schedule list --json` says, without whom it notifies."""
    database = site_of(request).database
    now = await database.now()
    schedules = sorted(await read_each(Schedule, {}, database), key=lambda schedule: schedule.id)
    return json_answer(request, {"schedules": [_schedule(schedule, now) for schedule in schedules]})


async def schedule_json(request: Request, name: str) -> Response:
    """One of them."""
    from nightjar.pipeline.nights.change_schedule import find_schedule  # brings in what enqueues

    schedule = await find_schedule(name)
    return json_answer(request, {"schedule": _schedule(schedule, await site_of(request).database.now())})


def _schedule(schedule: Schedule, now: datetime) -> dict[str, object]:
    row = schedule_row(schedule, now)
    return row | {"enqueue": {name: value for name, value in row["enqueue"].items() if name != "on_finish"}}


async def pulls_json(request: Request) -> Response:
    """Downloads that were begun here, the newest first; `total_bytes` is null until the hub has said it."""
    return json_answer(request, {"pulls": await asyncio.to_thread(site_of(request).pulls.states)})


async def suites_json(request: Request) -> Response:
    """The newest version of each, and the names of those that come with Nightjar."""
    newest: dict[str, SuiteVersion] = {}
    for version in await SuiteVersion.find_all().sort("+name", "-version").to_list():
        newest.setdefault(version.name, version)
    return json_answer(request, {"suites": list(map(suite_facts, newest.values())), "bundled": sorted(bundled())})


def suite_facts(version: SuiteVersion) -> dict[str, object]:
    """A version, as the API has it."""
    return {
        "name": version.name,
        "version": version.version,
        "id": version.id,
        "description": version.description,
        "licence": version.licence,
        "tags": list(version.tags),
        "sequences": len(version.sequences),
        "turns": sum(sequence.turns for sequence in version.sequences),
        "imported_at": version.imported_at,
    }


async def suite_json(request: Request, name: str) -> Response:
    """One version: the newest, or NAME@VERSION, with the ids of its sequences."""
    version = await find_suite(name, site_of(request).database)
    sequences = [{"id": ref.id, "turns": ref.turns, "mode": ref.mode, "tags": ref.tags} for ref in version.sequences]
    return json_answer(request, {"suite": {**suite_facts(version), "sequences": sequences}})


async def models_json(request: Request) -> Response:
    """What `nightjar model list --json` says, without where files lie."""
    site = site_of(request)
    held = await asyncio.to_thread(inventory, site.settings, await read_serving(site.database))
    return json_answer(request, {"models": [_held(model) for model in held]})


def _held(model: Held) -> dict[str, object]:
    return {name: value for name, value in asdict(model).items() if name != "path"}


async def workers_json(request: Request) -> Response:
    """Workers by their beats of the last hour."""
    return json_answer(request, {"workers": await read_workers(site_of(request).database)})


async def recommendations_json(request: Request) -> Response:
    """Models of the list that fit this machine, best first. 503 where the machine is not looked at in time."""
    ready = await site_of(request).heavy.look(
        HeavyTask(kind="recommended", arguments=(), version="here"), patience_s=WAIT_S
    )
    if ready is None:
        raise HTTPException(503, COMPUTING, headers={"retry-after": str(AGAIN_S)})
    return json_answer(request, json.loads(await asyncio.to_thread(ready.read_text, "utf-8")))


def _get(path: str, answer: Callable[..., Any], answers: type[BaseModel] | None = None) -> Route:
    return Route(method="GET", path=f"/api{path}", action=Action.READ, answer=answer, documented=True, answers=answers)


ROUTES = (
    _get("/status", status_json),
    _get("/runs", runs_json, RunsAnswer),
    _get("/runs/{name}", run_json),
    _get("/runs/{name}/report", report_json),
    _get("/compare", compare_json),
    _get("/trend/{name}", trend_json),
    _get("/baselines", baselines_json),
    _get("/schedules", schedules_json),
    _get("/schedules/{name}", schedule_json),
    _get("/pulls", pulls_json),
    _get("/suites", suites_json, SuitesAnswer),
    _get("/suites/{name}", suite_json),
    _get("/models", models_json),
    _get("/workers", workers_json, WorkersAnswer),
    _get("/recommendations/models", recommendations_json),
)
