"""Workers: who serves which model, where, and how quickly; how the last of them died."""

from __future__ import annotations

from nightjar.jobs.status.workers import read_workers
from nightjar.jobs.worker_documents import CrashDocument
from nightjar.jobs.workers import recent_crashes
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.rows import worker_rows
from nightjar.web.pages.words import made_table, moment, whole_number
from nightjar.web.sheet import Section, Sheet

CRASHES_OF_S = 7 * 86_400


async def build_workers(visit: Visit) -> Sheet:
    """By their beats of the last hour, and the crashes of the last week."""
    database = visit.site.database
    workers, crashes = await read_workers(database), await recent_crashes(CRASHES_OF_S, database)
    return Sheet(
        title="Workers",
        live=True,
        sections=(
            Section(
                id="workers-section",
                heading="Workers of the last hour",
                table=worker_rows(workers),
                empty="None. `nightjar worker --model auto` serves whichever model has work.",
            ),
            Section(
                id="crashes-section",
                heading="Crashes of the last week",
                table=made_table("crashes", ("worker", "when", "why", "jobs in hand>"), map(_crash_row, crashes)),
                empty="None.",
            ),
        ),
    )


def _crash_row(crash: CrashDocument) -> tuple[str, ...]:
    return crash.worker, moment(crash.at), crash.reason, whole_number(len(crash.held))


ROUTES = (page("/workers", "sheet.html", Sheet, build_workers),)
