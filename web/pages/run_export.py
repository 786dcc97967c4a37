"""A run as a file: each format is made by the pool, and downloaded when it is there."""

from __future__ import annotations

from fastapi import HTTPException, Request
from fastapi.responses import FileResponse, Response

from nightjar.config.errors import UsageError, suggest
from nightjar.jobs.documents import Run
from nightjar.jobs.lookup import find_run
from nightjar.web.auth.roles import Action
from nightjar.web.export_formats import EXPORTS, RUN_FILE, export_name
from nightjar.web.heavy.pool import HeavyTask
from nightjar.web.pages.computed import COMPUTING, report_task
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.model import folders_of
from nightjar.web.pages.words import file_size, linked, made_table, run_address
from nightjar.web.routing import Route
from nightjar.web.sheet import Link, Said, Section, Sheet
from nightjar.web.site import Site, site_of


async def export_task(run: Run, form: str, site: Site) -> HeavyTask:
    """Made again when the run has moved on. Raises UsageError for a format that there is none of, or is not yet."""
    if form not in EXPORTS:
        raise UsageError(f"A run is not written as {form!r}. {suggest(form, EXPORTS, 'format')}")
    version = (await report_task(run)).version
    if form == RUN_FILE:
        moved = "" if run.progress is None else str(run.progress.at)
        return HeavyTask(kind="run-file", arguments=(folders_of(site), run.id), version=f"{version}|{moved}")
    if run.outcome.finished_at is None:
        raise UsageError(f"Run {run.name!r} is {run.status}; its report comes with its end.")
    return HeavyTask(kind="export", arguments=(run.id, form), version=version)


async def build_export(visit: Visit) -> Sheet:
    """`format` names one that is being made, or is there."""
    run = await find_run(visit.path["name"], visit.site.database)
    form = visit.one("format")
    ready = await visit.site.heavy.look(await export_task(run, form, visit.site)) if form else None
    ended = run.outcome.finished_at is not None
    rows = (
        (linked(each, run_address(run.name, "export", format=each)), about)
        for each, about in EXPORTS.items()
        if ended or each == RUN_FILE
    )
    sections = [
        Section(
            id="formats",
            heading="Formats",
            hint="" if ended else "The reports come with the run's end.",
            table=made_table("export-formats", ("format", "what it is"), rows),
        )
    ]
    if ready is not None:
        name = export_name(run, form)
        download = Link(text=f"Download {name}", href=run_address(run.name, "export", "file", format=form))
        hint = f"{EXPORTS[form].capitalize()}; {file_size(ready.stat().st_size)}."
        sections.insert(0, Section(id="there", heading=f"As {form}", hint=hint, links=(download,)))
    return Sheet(
        title=f"Export of {run.name}",
        live=bool(form) and ready is None,
        said=(Said(text=COMPUTING),) if form and ready is None else (),
        links=(Link(text="The run", href=run_address(run.name)),),
        sections=tuple(sections),
    )


async def export_file(request: Request, name: str, format: str) -> Response:
    """The file itself. 503 where it is not made yet."""
    site = site_of(request)
    run = await find_run(name, site.database)
    ready = await site.heavy.look(await export_task(run, format, site))
    if ready is None:
        raise HTTPException(503, COMPUTING, headers={"retry-after": "2"})
    return FileResponse(ready, media_type="application/octet-stream", filename=export_name(run, format))


ROUTES = (
    page("/runs/{name}/export", "sheet.html", Sheet, build_export),
    Route(method="GET", path="/runs/{name}/export/file", action=Action.READ, answer=export_file),
)
