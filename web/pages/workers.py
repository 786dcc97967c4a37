"""Workers: who serves which model, where, and how quickly; how their machines stood; how the last of them died."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path

from markupsafe import Markup

from nightjar.jobs.machines.machine_readings import this_minute
from nightjar.jobs.machines.worker_documents import CrashDocument
from nightjar.jobs.machines.workers import recent_crashes
from nightjar.jobs.status.workers import read_workers
from nightjar.pipeline.report.page.grid import text_table
from nightjar.web.heavy.pool import PATIENCE_S, HeavyTask
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.rows import worker_rows
from nightjar.web.pages.words import made_table, moment, path_to, whole_number
from nightjar.web.sheet import ChartLine, ChartShown, Link, Said, Section, Sheet

CRASHES_OF_S = 7 * 86_400
SPANS = {"1": "The last hour", "24": "A day", "168": "A week"}
"""Hours that are drawn."""
USUAL = "24"
EACH = timedelta(minutes=1)
"""Charts are drawn again so often, while somebody looks."""
COMPUTING = "The charts are being drawn; the page shows them as soon as they are there."


async def build_workers(visit: Visit) -> Sheet:
    """By their beats of the last hour, their machines over time, and the crashes of the last week."""
    database = visit.site.database
    workers, crashes = await read_workers(database), await recent_crashes(CRASHES_OF_S, database)
    hours = visit.one("hours", USUAL)
    hours = hours if hours in SPANS else USUAL
    drawn = await _drawn(hours, visit)
    return Sheet(
        title="Workers",
        live=True,
        said=(Said(text=COMPUTING),) if drawn is None else (),
        sections=(
            Section(
                id="workers-section",
                heading="Workers of the last hour",
                table=worker_rows(workers),
                empty="None. `nightjar worker --model auto` serves whichever model has work.",
            ),
            Section(
                id="machines-section",
                heading="Machines over time",
                hint=f"{SPANS[hours]}, in UTC. Where a line is broken nothing is known.",
                charts=await _charts(drawn),
                empty="" if drawn is None else "No reading yet: workers and `nightjar serve` take some every minute.",
                links=tuple(
                    Link(text=text, href=path_to("workers", hours=span))
                    for span, text in SPANS.items()
                    if span != hours
                ),
            ),
            Section(
                id="crashes-section",
                heading="Crashes of the last week",
                table=made_table("crashes", ("worker", "when", "why", "jobs in hand>"), map(_crash_row, crashes)),
                empty="None.",
            ),
        ),
    )


async def _drawn(hours: str, visit: Visit) -> Path | None:
    """Charts of this minute; those of the last one while they are drawn."""
    heavy, now = visit.site.heavy, await this_minute(visit.site.database)
    ready = await heavy.look(_task(hours, now), patience_s=0 if heavy.knows(_task(hours, now - EACH)) else PATIENCE_S)
    if ready is None and heavy.knows(before := _task(hours, now - EACH)):
        return await heavy.look(before, patience_s=0)
    await heavy.forget(_task(hours, now - 2 * EACH))  # a page that is looked at all day drives out no report
    return ready


def _task(hours: str, minute: datetime) -> HeavyTask:
    return HeavyTask(kind="machines", arguments=(hours,), version=minute.isoformat())


async def _charts(drawn: Path | None) -> tuple[ChartShown, ...]:
    if drawn is None:
        return ()
    found = json.loads(await asyncio.to_thread(drawn.read_text, "utf-8"))
    return tuple(
        ChartShown(
            title=each["title"],
            note=each["note"],
            alternative=each["alternative"],
            lines=tuple(ChartLine(name=name, colour=at) for at, name in enumerate(each["series"], start=1)),
            svg=None if each["svg"] is None else Markup(each["svg"]),  # noqa: S704  # drawn by a child of ours
            table=text_table(f"{each['id']}-data", each["columns"], each["rows"]),
        )
        for each in found
    )


def _crash_row(crash: CrashDocument) -> tuple[str, ...]:
    return crash.worker, moment(crash.at), crash.reason, whole_number(len(crash.held))


ROUTES = (page("/workers", "sheet.html", Sheet, build_workers),)
