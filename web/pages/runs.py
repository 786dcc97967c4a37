"""Runs: the newest, and those of a suite or with some words in their name."""

from __future__ import annotations

from nightjar.jobs.status.run import ListedRun, list_runs
from nightjar.pipeline.report.page.grid import Cell
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.words import linked, made_table, run_address, whole_number
from nightjar.web.sheet import Field, Form, Link, Section, Sheet

SHOWN = 100
READ = 1_000
"""Newest runs among which a filter looks."""


async def build_runs(visit: Visit) -> Sheet:
    """The filter is in the address, so that it can be kept and sent."""
    words, suite = visit.one("q").lower(), visit.one("suite").lower()
    filtered = bool(words or suite)
    runs = await list_runs(READ if filtered else SHOWN, visit.site.database)
    chosen = [
        run for run in runs if words in f"{run.run} {run.models} {run.status}".lower() and suite in run.suite.lower()
    ]
    fields = (
        Field(name="q", label="Name, model or status", value=visit.one("q"), kind="search"),
        Field(name="suite", label="Suite", value=visit.one("suite"), kind="search"),
    )
    nothing = (
        "No run is like that." if filtered else "No run yet: `nightjar demo` makes one, `nightjar enqueue` your own."
    )
    hint = f"The newest {SHOWN} of {len(chosen)} that were found." if len(chosen) > SHOWN else ""
    table = made_table(
        "runs", ("run", "status", "models", "done>", "failed>", "jobs>", "since"), map(_row, chosen[:SHOWN])
    )
    section = Section(
        id="runs-section",
        heading="The newest",
        hint=hint,
        form=Form(path="/runs", submit="Filter", fields=fields),
        table=table,
        empty=nothing,
    )
    links = (Link(text="New run", href="/new"),) if visit.visitor.can(Action.RUN) else ()
    return Sheet(title="Runs", live=True, links=links, sections=(section,))


def _row(run: ListedRun) -> tuple[Cell | str, ...]:
    return (
        linked(run.run, run_address(run.run), run.suite),
        run.status,
        run.models,
        whole_number(run.done),
        Cell(text=whole_number(run.dead), alert=run.dead > 0),
        whole_number(run.jobs),
        run.created,
    )


ROUTES = (page("/runs", "sheet.html", Sheet, build_runs),)
