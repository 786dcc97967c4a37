"""Of the child processes' work: the report of a run."""

from __future__ import annotations

from nightjar.jobs.lookup import find_run
from nightjar.jobs.mongo import Database
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.compare.baseline import since_baseline
from nightjar.pipeline.report.formats.json_ import render_json
from nightjar.pipeline.report.page.html import render_html


async def write_report(database: Database, run: str) -> str:
    """The report of a run, as one page of its own."""
    found = await find_run(run, database)
    report = await since_baseline(await collect(found.id, database), found, database)
    return "".join(render_html(report))


async def write_report_json(database: Database, run: str) -> str:
    """The same report as JSON."""
    found = await find_run(run, database)
    report = await since_baseline(await collect(found.id, database), found, database)
    return "".join(render_json(report))
