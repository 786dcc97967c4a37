"""Now: services, what runs, what waits and why, workers, what ended last."""

from __future__ import annotations

from nightjar.jobs.states import TERMINAL_RUNS
from nightjar.web.overview import site_overview
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.rows import dead_rows, queue_rows, run_rows, troubles, worker_rows
from nightjar.web.sheet import Link, Section, Sheet

EMPTY = "Nothing has been evaluated yet. `nightjar demo` evaluates the bundled model; `nightjar enqueue` your own."


async def build_now(visit: Visit) -> Sheet:
    """The overview of `nightjar status`, read again every few seconds."""
    overview = await site_overview(visit.site)
    working = [run for run in overview.runs if run.status not in TERMINAL_RUNS]
    ended = [run for run in overview.runs if run.status in TERMINAL_RUNS]
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
            table=run_rows(ended, "ended-runs"),
            empty="No run has ended yet.",
            links=(Link(text="Every run", href="/runs"),),
        ),
    )
    return Sheet(title="Now", live=True, lead=lead, said=troubles(overview), sections=sections)


ROUTES = (page("/", "sheet.html", Sheet, build_now),)
