"""Runs: the newest, or those that are like the filter; how each ended, two to compare, and what can be done."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nightjar.config.errors import UsageError
from nightjar.jobs.ending import GateOutcome
from nightjar.jobs.states import RunStatus
from nightjar.jobs.status.costs import RunCosts, read_costs
from nightjar.jobs.status.results import RunResult, read_results
from nightjar.jobs.status.run import ListedRun, as_listed
from nightjar.jobs.status.run_filter import RunFilter, newest_runs
from nightjar.pipeline.report.page.grid import Cell, Column, columns_of
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.result_cells import RESULT_COLUMNS, result_cells
from nightjar.web.pages.run_buttons import control_buttons
from nightjar.web.pages.words import linked, run_address, whole_number
from nightjar.web.sheet import Button, Choice, Content, Field, Form, Link

SHOWN = 100
COLUMNS = ("status", "models", *RESULT_COLUMNS, "done>", "failed>", "jobs>", "since")
CHOOSE = (
    "Choose two to compare them. What stands behind a score in brackets is the difference of two means to the "
    "baseline's; the comparison says whether it is more than chance."
)


@dataclass(frozen=True, kw_only=True)
class RunLine:
    """A run in the table, which can be chosen to be compared."""

    id: str
    name: str
    run: Cell
    cells: tuple[Cell, ...]
    buttons: tuple[Button, ...]


@dataclass(frozen=True, kw_only=True)
class RunsPage(Content):
    """The filter, and a table whose lines are part of the form that compares two of them."""

    links: tuple[Link, ...]
    filter: Form
    hint: str
    columns: tuple[Column, ...]
    lines: tuple[RunLine, ...]
    choose: str
    may: bool
    """Whether something can be done about any of them."""
    empty: str


async def build_runs(visit: Visit) -> RunsPage:
    """The filter is in the address, so that it can be kept and sent."""
    wanted, database = _wanted(visit), visit.site.database
    found = await newest_runs(SHOWN + 1, wanted, database)
    runs = found[:SHOWN]
    listed, results, costs = await asyncio.gather(
        as_listed(runs, database),
        read_results(runs, database),
        read_costs([run.id for run in runs], database),
    )
    lines = tuple(_line(run, results[run.id], costs.get(run.id, RunCosts()), visit) for run in listed)
    nothing = "No run yet: `nightjar demo` makes one, `nightjar enqueue` your own."
    return RunsPage(
        title="Runs",
        live=True,
        links=(Link(text="New run", href="/new"),) if visit.visitor.can(Action.RUN) else (),
        filter=_filter(wanted),
        hint=f"The newest {SHOWN}; the filter finds those before them." if len(found) > SHOWN else "",
        columns=columns_of(COLUMNS),
        lines=lines,
        choose=CHOOSE if len(lines) > 1 else "",
        may=any(line.buttons for line in lines),
        empty="No run is like that." if wanted.asks else nothing,
    )


def _wanted(visit: Visit) -> RunFilter:
    """Raises UsageError for a status, or an outcome of gates, that there is none of."""
    status, gates = visit.one("status"), visit.one("gates")
    if status and status not in list(RunStatus):
        raise UsageError(f"No run is ever {status!r}. Its status is one of: {', '.join(RunStatus)}.")
    if gates and gates not in list(GateOutcome):
        raise UsageError(f"Gates never are {gates!r}. They are one of: {', '.join(GateOutcome)}.")
    return RunFilter(
        words=visit.one("q"),
        suite=visit.one("suite"),
        status=RunStatus(status) if status else None,
        gates=GateOutcome(gates) if gates else None,
    )


def _filter(wanted: RunFilter) -> Form:
    statuses = tuple(Choice(value=each, text=each, chosen=each is wanted.status) for each in RunStatus)
    gates = tuple(Choice(value=each, text=each, chosen=each is wanted.gates) for each in GateOutcome)
    anything = Choice(value="", text="any")
    fields = (
        Field(name="q", label="Name, model or status", value=wanted.words, kind="search"),
        Field(name="suite", label="Suite", value=wanted.suite, kind="search"),
        Field(name="status", label="Status", choices=(anything, *statuses)),
        Field(name="gates", label="Gates", choices=(anything, *gates)),
    )
    return Form(path="/runs", submit="Filter", fields=fields)


def _line(run: ListedRun, result: RunResult, costs: RunCosts, visit: Visit) -> RunLine:
    return RunLine(
        id=run.id,
        name=run.run,
        run=linked(run.run, run_address(run.run), run.suite),
        cells=(
            Cell(text=run.status),
            Cell(text=run.models),
            *result_cells(result, costs.words),
            Cell(text=whole_number(run.done)),
            Cell(text=whole_number(run.dead), alert=run.dead > 0),
            Cell(text=whole_number(run.jobs)),
            Cell(text=run.created),
        ),
        buttons=control_buttons(run.run, run.status) if visit.visitor.can(Action.RUN) else (),
    )


ROUTES = (page("/runs", "runs_page.html", RunsPage, build_runs),)
