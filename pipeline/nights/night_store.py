"""The nights of a suite in MongoDB: written when a run closes, read by the trend page."""

from __future__ import annotations

import logging

from pydantic import ValidationError

from nightjar.jobs.documents import Run
from nightjar.jobs.hindered import hindered
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.nights.rows import stored_nights, write_night
from nightjar.jobs.reading import read_each
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.report.data.night import VERSION, Night, night_of
from nightjar.pipeline.report.data.run_report import RunReport


async def store_night(report: RunReport, database: Database) -> Night:
    """Stores what the trend needs of a report; storing it again changes nothing."""
    night = night_of(report)
    await write_night(night.model_dump(mode="json", exclude={"series"}), database)
    return night


async def read_nights(
    suite: str, last: int, database: Database, *, series: str | None = None, by_hand: bool = True
) -> list[Night]:
    """The newest `last` finished runs of a suite, oldest first; a night that was not stored is made from its run.

    Those of one `series`, or of all; without `by_hand` only nights. A run that cannot be read is left out and logged.
    """
    wanted: Row = {"suite_name": suite, "status": {"$in": [RunStatus.DONE.value, RunStatus.STOPPED.value]}}
    if series is not None:
        wanted["series"] = series
    elif not by_hand:
        wanted["series"] = {"$ne": None}
    runs = await read_each(Run, wanted, database, newest_by="created_at", limit=last)
    kept = await stored_nights([run.id for run in runs], database)
    nights = []
    for run in reversed(runs):
        night = _read(kept.get(run.id))
        if night is None:
            with hindered("night_not_readable", level=logging.WARNING, run=run.name):
                night = await store_night(await collect(run.id, database), database)
        if night is not None:
            nights.append(night.model_copy(update={"series": run.series}))
    return nights


def _read(row: Row | None) -> Night | None:
    """None for what is not there or has another form."""
    if row is None or row.get("version") != VERSION:
        return None
    try:
        return Night.model_validate({key: value for key, value in row.items() if key != "_id"})
    except ValidationError:
        return None
