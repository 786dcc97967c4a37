"""Runs: the newest, and those of a suite or with some words in their name."""

from __future__ import annotations

from nightjar.jobs.status.run import ListedRun, list_runs
from nightjar.pipeline.report.page.grid import Cell
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.words import linked, made_table, run_address, whole_number
from nightjar.web.sheet import Field, Form, Link, Section, Sheet

SHOWN = 100


async def build_runs(visit: Visit) -> Sheet:
    """The filter is in the address, so that it can be kept and sent."""
    words, suite = visit.one("q"), visit.one("suite")
    filtered = bool(words or suite)
    runs = await list_runs(SHOWN + 1, visit.site.database, words=words, suite=suite)
    fields = (
        Field(name="q", label="Name, model or status", value=words, kind="search"),
        Field(name="suite", label="Suite", value=suite, kind="search"),
    )
    nothing = (
        "No run is like that." if filtered else "No run yet: `nightjar demo` makes one, `nightjar enqueue` your own."
    )
    hint = f"The newest {SHOWN}; the filter finds those before them." if len(runs) > SHOWN else ""
    table = made_table(
        "runs", ("run", "status", "models", "done>", "failed>", "jobs>", "since"), map(_row, runs[:SHOWN])
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
