"""A schedule that is there: paused and resumed, edited, run by hand; and nights told from runs by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Overlap, Schedule
from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.nights.change_schedule import edit_schedule, pause_schedule, resume_schedule, run_schedule
from nightjar.pipeline.nights.night_store import read_nights
from nightjar.pipeline.nights.schedules import add_schedule, fire_due
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite

OPTIONS: dict[str, Any] = {"suite": "tales", "models": ("m",), "known_models": ("m",), "repeats": 2, "seed": 7}
LAST = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
TICK = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
async def _nightly(database: Database) -> None:
    sequence = Sequence.model_validate({"id": "a", "turns": [{"prompt": "x"}]})
    await import_suite(SuiteContent(name="tales", sequences=(sequence,)), database)
    await add_schedule("nightly", "0 2 * * *", "UTC", OPTIONS, database)
    await database.raw["schedules"].update_one({"_id": "nightly"}, {"$set": {"last_tick": LAST}})


async def stored() -> Schedule:
    schedule = await Schedule.get("nightly")
    assert schedule is not None
    return schedule


async def test_a_paused_schedule_fires_nothing_and_resumed_only_what_lies_ahead(database: Database) -> None:
    assert await pause_schedule("nightly", database)
    assert not await pause_schedule("nightly", database), "it was paused"
    assert await fire_due(database, TICK) == []
    assert await resume_schedule("nightly", database)
    assert not await resume_schedule("nightly", database)
    assert await fire_due(database) == [], "the ticks of the pause are no missed ones"
    assert (await stored()).last_tick > TICK - timedelta(days=10_000)
    ahead = (await database.now()) + timedelta(days=1)
    assert len(await fire_due(database, ahead)) == 1
    with pytest.raises(UnknownNameError, match="'nightly'"):
        await pause_schedule("nihgtly", database)


async def test_an_edit_changes_what_comes_and_nothing_else(database: Database) -> None:
    (before,) = await fire_due(database, TICK)
    options = {"repeats": 3, "known_models": ("m",)}
    schedule = await edit_schedule("nightly", {"overlap": "skip", "grace_s": 60.0}, options, database, reset={"seed"})
    assert (schedule.overlap, schedule.grace_s, schedule.cron) == (Overlap.SKIP, 60, "0 2 * * *")
    assert (schedule.enqueue["repeats"], schedule.enqueue.get("seed")) == (3, None)
    assert schedule.last_tick == TICK, "the clock is the same: no tick is forgotten"
    await database.runs.update_many({}, {"$set": {"status": "DONE"}})
    (after,) = await fire_due(database, TICK + timedelta(days=1))
    assert (before.repeats, before.seed, after.repeats) == (2, 7, 3)
    assert after.seed != 7
    kept = await Run.get(before.id)
    assert kept is not None
    assert kept.repeats == 2


async def test_another_clock_has_no_missed_ticks(database: Database) -> None:
    schedule = await edit_schedule("nightly", {"cron": "30 1 * * *", "timezone": "Europe/Berlin"}, {}, database)
    assert (schedule.cron, schedule.timezone, schedule.enqueue["timezone"]) == (
        *("30 1 * * *", "Europe/Berlin"),
        "Europe/Berlin",
    )
    assert await fire_due(database) == []


@pytest.mark.parametrize(
    ("fields", "options", "told"),
    [
        ({"cron": "99 * * * *"}, {}, "99"),
        ({"timezone": "Mars/Base"}, {}, "Mars/Base"),
        ({}, {"repeats": 0}, "--repeats"),
        ({}, {"suite": "talse"}, "'tales'"),
        ({}, {"models": ("other",)}, "other"),
    ],
)
async def test_what_adding_would_refuse_an_edit_refuses(
    fields: dict[str, Any], options: dict[str, Any], told: str, database: Database
) -> None:
    before = await stored()
    with pytest.raises(UsageError, match=told):
        await edit_schedule("nightly", fields, options, database)
    assert await stored() == before


async def test_a_run_by_hand_is_no_night(database: Database) -> None:
    """It is what the next night would be, without its tick, and the trend tells the two apart."""
    (night,) = await fire_due(database, TICK)
    made = await run_schedule("nightly", database, known_models=("m",))
    assert made.run.name.startswith("nightly-by-hand-")
    assert (made.run.series, made.run.schedule, made.run.tick) == (None, None, None)
    assert (made.run.seed, made.run.repeats, made.run.jobs_total) == (7, 2, 2)
    assert (await stored()).last_tick == TICK
    await database.runs.update_many({}, {"$set": {"status": "DONE"}})
    nights = await read_nights("tales", 10, database)
    assert [(row.name, row.series) for row in nights] == [(night.name, "nightly"), (made.run.name, None)]
    assert [row.series for row in await read_nights("tales", 10, database, by_hand=False)] == ["nightly"]
    assert await read_nights("tales", 10, database, series="weekly") == []
    rows = [row async for row in database.raw["nights"].find({})]
    assert all("series" not in row for row in rows), "the run has it"
