"""Pages whose content is a document that the pool writes: a run's report, a suite's trend."""

from __future__ import annotations

from pathlib import Path

from fastapi import HTTPException, Request
from fastapi.responses import FileResponse, Response

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.documents import Run
from nightjar.jobs.lookup import find_run, suite_names
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Baseline
from nightjar.jobs.states import EVALUATIONS
from nightjar.web.auth.roles import Action
from nightjar.web.heavy.pool import HeavyTask
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.words import linked, made_table, path_to, run_address
from nightjar.web.routing import Route
from nightjar.web.sheet import Said, Section, Sheet
from nightjar.web.site import site_of

COMPUTING = "This is being computed; the page shows it as soon as it is there."
LOCKED = {"content-security-policy": "sandbox allow-scripts allow-popups; frame-ancestors 'self'"}
"""Of a document in a frame: an origin of its own, which may ask us for nothing. What it may load it says itself."""
CHOICES = 200


async def report_task(run: Run) -> HeavyTask:
    """Its version changes when the run ends again, is judged again, or its suite gets another baseline."""
    baseline = await Baseline.get(run.suite_name)
    parts = (
        run.status,
        run.outcome.finished_at,
        run.judging.shown,
        run.transcripts_dropped_at,
        baseline and baseline.run,
    )
    return HeavyTask(kind="report", arguments=(run.id,), version="|".join(map(str, parts)))


async def build_report(visit: Visit) -> Sheet:
    """The report of a run that has ended, locked up in a frame."""
    run = await find_run(visit.path["name"], visit.site.database)
    if run.outcome.finished_at is None:
        raise UsageError(f"Run {run.name!r} is {run.status}; its report comes with its end.")
    ready = await visit.site.heavy.look(await report_task(run))
    return _framed(f"Report of {run.name}", run_address(run.name, "report", "document"), ready)


async def build_trend(visit: Visit) -> Sheet:
    """The nights of a suite, locked up in a frame."""
    suite = visit.path["name"]
    ready = await visit.site.heavy.look(await trend_task(suite, visit.site.database))
    return _framed(f"Trend of {suite}", path_to("trend", suite, "document"), ready)


async def trend_task(suite: str, database: Database) -> HeavyTask:
    """Its version changes when a run of the suite ends. Raises UnknownNameError."""
    if suite not in (known := await suite_names(database)):
        raise UnknownNameError("suite", suite, known)
    newest = await Run.find({"suite_name": suite, **EVALUATIONS}).sort("-outcome.finished_at").first_or_none()
    version = str(newest and (newest.id, newest.outcome.finished_at))
    return HeavyTask(kind="trend", arguments=(suite,), version=version)


def _framed(title: str, document: str, ready: Path | None) -> Sheet:
    if ready is None:
        return Sheet(title=title, live=True, said=(Said(text=COMPUTING),))
    return Sheet(title=title, sections=(Section(id="document", heading=title, frame=document),))


async def report_document(request: Request, name: str) -> Response:
    """What the frame of the report's page shows."""
    site = site_of(request)
    return await _document(request, await report_task(await find_run(name, site.database)))


async def trend_document(request: Request, name: str) -> Response:
    """What the frame of the trend's page shows."""
    return await _document(request, await trend_task(name, site_of(request).database))


async def _document(request: Request, task: HeavyTask) -> Response:
    ready = await site_of(request).heavy.look(task)
    if ready is None:
        raise HTTPException(503, COMPUTING, headers={"retry-after": "2"})
    return FileResponse(ready, media_type="text/html; charset=utf-8", headers=LOCKED)


async def build_trends(visit: Visit) -> Sheet:
    """Which suites there are to look at."""
    names = await suite_names(visit.site.database)
    table = made_table("trends", ("suite",), ((linked(name, path_to("trend", name)),) for name in sorted(names)))
    empty = "No suite yet. `nightjar schedule add` makes nights of one."
    return Sheet(title="Trend", sections=(Section(id="trends-section", heading="Suites", table=table, empty=empty),))


ROUTES = (
    page("/runs/{name}/report", "sheet.html", Sheet, build_report),
    Route(method="GET", path="/runs/{name}/report/document", action=Action.READ, answer=report_document),
    page("/trend", "sheet.html", Sheet, build_trends),
    page("/trend/{name}", "sheet.html", Sheet, build_trend),
    Route(method="GET", path="/trend/{name}/document", action=Action.READ, answer=trend_document),
)
