"""Of the child processes' work: the report of a run."""

from __future__ import annotations

from nightjar.jobs.lookup import find_run
from nightjar.jobs.mongo import Database
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.compare.baseline import since_baseline
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats.json_ import render_json
from nightjar.pipeline.report.page.html import render_html


async def write_report(database: Database, run: str) -> str:
    """The report of a run, as one page of its own."""
    return "".join(render_html(await _report(database, run)))


async def write_report_json(database: Database, run: str) -> str:
    """The same report as JSON."""
    return "".join(render_json(await _report(database, run)))


async def _report(database: Database, run: str) -> RunReport:
    found = await find_run(run, database)
    return await since_baseline(await collect(found.id, database), found, database)
