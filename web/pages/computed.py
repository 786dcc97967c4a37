"""Pages whose content is worked out by the pool: a run's report, the comparison of two runs, a suite's trend."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from fastapi import HTTPException, Request
from fastapi.responses import FileResponse, Response

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.documents import Run
from nightjar.jobs.lookup import find_run, suite_names
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Baseline
from nightjar.jobs.states import EVALUATIONS
from nightjar.jobs.status.run import newest_run_names
from nightjar.pipeline.report.page.grid import Cell
from nightjar.web.auth.roles import Action
from nightjar.web.heavy.pool import HeavyTask
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.words import linked, made_table, path_to, run_address
from nightjar.web.routing import Route
from nightjar.web.sheet import Choice, Field, Form, Said, Section, Sheet
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


async def build_compare(visit: Visit) -> Sheet:
    """`base` and `other` are in the address; without them they are asked for."""
    base, other = visit.one("base"), visit.one("other")
    runs = await newest_run_names(CHOICES, visit.site.database)
    fields = (_choice("base", "Base", runs, base), _choice("other", "Other", runs, other))
    form = Form(path="/compare", submit="Compare", fields=fields)
    asked_for = Section(id="which", heading="Which runs", form=form, empty="" if runs else "No run yet.")
    if not base or not other:
        return Sheet(title="Compare", sections=(asked_for,))
    ready = await visit.site.heavy.look(await compare_task(base, other, visit.site.database))
    if ready is None:
        return Sheet(title="Compare", live=True, said=(Said(text=COMPUTING),), sections=(asked_for,))
    found = json.loads(await asyncio.to_thread(ready.read_text, "utf-8"))
    said = tuple(Said(text=f"Not compared, in one run only: {name}") for name in found["unpaired"])
    compared = (_comparison(number, each) for number, each in enumerate(found["compared"], start=1))
    return Sheet(title="Compare", said=said, sections=(asked_for, *compared))


async def compare_task(base: str, other: str, database: Database) -> HeavyTask:
    """Its version changes when one of the two runs' reports does. Raises UnknownNameError."""
    before, after = [await find_run(name, database) for name in (base, other)]
    versions = [(await report_task(run)).version for run in (before, after)]
    return HeavyTask(kind="compare", arguments=(before.id, after.id), version=" ".join(versions))


def _choice(name: str, label: str, runs: list[str], chosen: str) -> Field:
    return Field(
        name=name,
        label=label,
        choices=tuple(Choice(value=run, text=run, chosen=run == chosen) for run in runs),
    )


def _comparison(number: int, found: dict[str, object]) -> Section:
    rows, columns, notices = found["rows"], found["columns"], found["notices"]
    assert isinstance(rows, list)
    assert isinstance(columns, list)
    assert isinstance(notices, list)
    over = f"Over {found['shared']} shared sequences, {found['incomplete']} of them incomplete."
    return Section(
        id=f"comparison-{number}",
        heading=f"{found['other']} against {found['base']}",
        hint=" ".join([over, *notices]),
        table=made_table(f"compared-{number}", columns, ([Cell(text=str(cell)) for cell in row] for row in rows)),
        empty="They have no metric in common.",
    )


ROUTES = (
    page("/runs/{name}/report", "sheet.html", Sheet, build_report),
    Route(method="GET", path="/runs/{name}/report/document", action=Action.READ, answer=report_document),
    page("/compare", "sheet.html", Sheet, build_compare),
    page("/trend", "sheet.html", Sheet, build_trends),
    page("/trend/{name}", "sheet.html", Sheet, build_trend),
    Route(method="GET", path="/trend/{name}/document", action=Action.READ, answer=trend_document),
)
