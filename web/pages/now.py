"""Now: services, what runs, what waits and why, workers, what ended last."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.config.counting import how_many
from nightjar.jobs.documents import Run
from nightjar.jobs.runs import control
from nightjar.jobs.states import EVALUATIONS, TERMINAL_RUNS, RunStatus
from nightjar.jobs.status.results import read_results_of
from nightjar.jobs.status.views import Overview
from nightjar.web.auth.roles import Action
from nightjar.web.overview import site_overview
from nightjar.web.pages.declare import Done, Visit, page, post_action
from nightjar.web.pages.rows import dead_rows, ended_rows, queue_rows, run_rows, troubles, worker_rows
from nightjar.web.pages.words import path_to
from nightjar.web.sheet import Button, Link, Section, Sheet

WITH_LINES = "What moves, and what llama.cpp says in the workers, as it happens."
WITHOUT_LINES = "What moves, as it happens."
DEMO = path_to("runs", "make", suite="story-starters", model="nightjar-demo", repeats=2, name="demo")
"""What `nightjar demo` evaluates."""
EMPTY = "Nothing has been evaluated yet. `nightjar demo` evaluates the bundled model; `nightjar enqueue` your own."


@dataclass(frozen=True, kw_only=True)
class NowPage(Sheet):
    """The sheet, and a console below it."""

    console_hint: str


async def build_now(visit: Visit) -> NowPage:
    """The overview of `nightjar status`, read again every few seconds."""
    overview = await site_overview(visit.site)
    working = [run for run in overview.runs if run.status not in TERMINAL_RUNS]
    ended = [run for run in overview.runs if run.status in TERMINAL_RUNS]
    results = await read_results_of([run.id for run in ended], visit.site.database)
    lead = EMPTY
    if overview.runs:
        speed = sum(worker.tokens_per_s for worker in overview.workers)
        lead = f"{len(working)} at work, {speed:.0f} tokens/s." if working else "Nothing is at work."
    sections = (
        Section(id="work", heading="At work", table=run_rows(working, "working"), empty="No run is at work."),
        Section(id="waiting", heading="Waiting", table=queue_rows(overview), empty="No job waits for a model."),
        Section(
            id="workers-section",
            heading="Workers",
            table=worker_rows(overview.workers),
            empty="No worker is alive. `nightjar worker --model auto` starts one; `nightjar serve` has one beside it.",
        ),
        Section(id="failed-section", heading="Failed jobs", table=dead_rows(overview), empty="None."),
        Section(
            id="ended",
            heading="Ended last",
            table=ended_rows(ended, results),
            empty="No run has ended yet.",
            links=(Link(text="Every run", href="/runs"),),
        ),
    )
    return NowPage(
        title="Now",
        live=True,
        lead=lead,
        said=troubles(overview),
        buttons=_buttons(visit, overview),
        sections=sections,
        scripts=("console.js",),
        console_hint=WITH_LINES if visit.visitor.can(Action.RUN) else WITHOUT_LINES,
    )


def _buttons(visit: Visit, overview: Overview) -> tuple[Button, ...]:
    if not visit.visitor.can(Action.RUN):
        return ()
    if not overview.runs:
        return (Button(text="Start the demo", path=DEMO),)
    if all(run.status != RunStatus.ACTIVE for run in overview.runs):
        return ()
    question = "Pause every run that is at work? Turns that are being generated are finished."
    return (Button(text="Pause all", path="/runs/pause-all", confirm=question),)


async def _pause_all(visit: Visit) -> Done:
    runs = await Run.find({"status": RunStatus.ACTIVE, **EVALUATIONS}).to_list()
    for run in runs:
        await control.pause(run, visit.site.database)
    return Done(said=f"Paused: {how_many(len(runs), 'run')}.", about=", ".join(run.name for run in runs)[:200])


ROUTES = (
    page("/", "now_page.html", NowPage, build_now),
    post_action("/runs/pause-all", Action.RUN, _pause_all),
)
