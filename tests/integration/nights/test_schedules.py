"""Schedules on a real MongoDB: one run a tick, whoever dies between."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nightjar.config.errors import ServiceError, UnknownNameError, UsageError
from nightjar.jobs.documents import Run
from nightjar.jobs.ending import Gate, GateKind
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Missed, Overlap, Schedule
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.nights import schedules
from nightjar.pipeline.nights.schedules import add_schedule, fire_due
from nightjar.pipeline.nights.ticks import Rules, run_name
from nightjar.pipeline.runs.producer import enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.suites.benchmarks.ladders import ladder
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite

OPTIONS = {"suite": "tales", "models": ("m",), "known_models": ("m",), "repeats": 2, "seed": 7}
LAST = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
TICK = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
async def _suite(database: Database) -> None:
    sequence = Sequence.model_validate({"id": "a", "turns": [{"prompt": "x"}]})
    await import_suite(SuiteContent(name="tales", sequences=(sequence,)), database)


async def make_schedule(
    database: Database, name: str = "nightly", rules: Rules | None = None, **options: Any
) -> Schedule:
    """A schedule for two at night whose newest tick was that of the 20th."""
    await add_schedule(name, "0 2 * * *", "UTC", {**OPTIONS, **options}, database, rules=rules)
    await database.raw["schedules"].update_one({"_id": name}, {"$set": {"last_tick": LAST}})
    return await stored(name)


async def stored(name: str = "nightly") -> Schedule:
    found = await Schedule.get(name)
    assert found is not None
    return found


async def end_runs(database: Database) -> None:
    """Ends the runs as workers and the dispatcher would."""
    await database.runs.update_many({}, {"$set": {"status": "DONE"}})


async def test_a_new_schedule_fires_nothing_that_is_past(database: Database) -> None:
    await add_schedule("nightly", "* * * * *", "UTC", OPTIONS, database)
    assert await fire_due(database) == []


async def test_a_tick_makes_one_run_with_its_name_day_and_parameters(database: Database) -> None:
    await make_schedule(database)
    assert await fire_due(database, TICK - timedelta(seconds=1)) == []
    (run,) = await fire_due(database, TICK)
    assert (run.name, run.schedule, run.tick, run.date) == ("nightly-2026-11-21-0200Z", "nightly", TICK, "2026-11-21")
    assert (run.seed, run.repeats, run.jobs_total) == (7, 2, 2)
    assert await fire_due(database, TICK + timedelta(hours=23)) == []
    schedule = await stored()
    assert (schedule.last_tick, schedule.claimed_tick) == (TICK, None)
    assert (schedule.last_run, schedule.last_error) == (run.name, None)


async def test_each_night_has_waves_where_the_schedule_says_until_decided(database: Database) -> None:
    """Frozen with each run, at a look each; only the first wave has jobs."""
    await import_suite(ladder("needle", (1024, 2048), each=20, seed=0), database)
    options: dict[str, Any] = {"suite": "ladder-needle", "models": ("m", "n"), "known_models": ("m", "n"), "repeats": 1}
    await make_schedule(database, until="decided", margin=0.1, **options)
    nights = [await fire_due(database, TICK)]
    await end_runs(database)
    nights.append(await fire_due(database, TICK + timedelta(days=1)))
    for (run,) in nights:
        assert run.waves is not None
        plan = run.waves.plan
        assert (plan.metric, plan.margin, plan.count) == ("includes", 0.1, 3)
        assert (run.jobs_total, run.waves.asked) == (2 * 20, 20)
    with pytest.raises(UsageError, match="goes from end to end"):
        await make_schedule(database, "other", until="decided", margin=7.0, **options)


async def test_many_dispatchers_at_once_make_one_run(database: Database) -> None:
    await make_schedule(database)
    fired = await asyncio.gather(*(fire_due(database, TICK + timedelta(seconds=n)) for n in range(8)))
    assert sum(map(len, fired)) == 1
    assert await Run.count() == 1
    assert await database.jobs.count_documents({}) == 2


async def test_of_the_ticks_that_were_missed_only_the_newest_fires(database: Database) -> None:
    await make_schedule(database)
    fired = await fire_due(database, TICK + timedelta(days=9, hours=1))
    assert [run.name for run in fired] == ["nightly-2026-11-30-0200Z"]
    assert await fire_due(database, TICK + timedelta(days=9, hours=2)) == []


async def test_a_dispatcher_that_dies_after_its_claim_is_stood_in_for(database: Database) -> None:
    await make_schedule(database)
    await database.raw["schedules"].update_one({}, {"$set": {"claimed_tick": TICK}})
    later = TICK + timedelta(days=2)  # the claimed tick comes first, then the newest one
    assert [run.name for run in await fire_due(database, later)] == [run_name("nightly", TICK)]
    await end_runs(database)
    assert [run.name for run in await fire_due(database, later)] == [run_name("nightly", later)]
    assert await fire_due(database, later) == []


async def test_a_dispatcher_that_dies_after_enqueuing_leaves_one_run(database: Database) -> None:
    schedule = await make_schedule(database)
    options = {**schedule.enqueue, "name": run_name("nightly", TICK), "schedule": "nightly", "tick": TICK}
    await enqueue(make_request(**options), database)
    await database.raw["schedules"].update_one({}, {"$set": {"claimed_tick": TICK}})
    assert await fire_due(database, TICK) == []
    assert await Run.count() == 1
    assert ((await stored()).last_tick, (await stored()).claimed_tick) == (TICK, None)


async def test_a_late_dispatcher_does_not_fire_a_tick_that_was_passed_over(database: Database) -> None:
    """It read the schedule, was stopped, and continued after another dispatcher had fired the next tick."""
    seen = await make_schedule(database)
    assert len(await fire_due(database, TICK + timedelta(days=1))) == 1
    assert await schedules._claim(seen, TICK, database) is None


async def test_a_server_that_is_away_leaves_the_claim_for_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_schedule(database)

    async def away(*_: Any, **__: Any) -> None:
        raise ServiceError("MongoDB is away.")

    with monkeypatch.context() as patch:
        patch.setattr(schedules, "enqueue", away)
        with pytest.raises(ServiceError):
            await fire_due(database, TICK)
    assert (await stored()).claimed_tick == TICK
    assert len(await fire_due(database, TICK + timedelta(minutes=5))) == 1


async def test_a_schedule_that_cannot_enqueue_says_why_and_hinders_no_other(database: Database) -> None:
    await make_schedule(database, "a-broken")
    await make_schedule(database, "b-fine")
    await database.raw["schedules"].update_one({"_id": "a-broken"}, {"$set": {"enqueue.suite": "gone"}})
    assert [run.schedule for run in await fire_due(database, TICK)] == ["b-fine"]
    broken = await stored("a-broken")
    assert broken.last_error is not None
    assert "no suite 'gone'" in broken.last_error
    assert (broken.last_run, broken.last_tick, broken.claimed_tick) == (None, TICK, None)
    await database.raw["schedules"].update_one({"_id": "a-broken"}, {"$set": {"enqueue.suite": "tales"}})
    await end_runs(database)
    assert len(await fire_due(database, TICK + timedelta(days=1))) == 2
    assert (await stored("a-broken")).last_error is None


async def test_a_schedule_takes_the_suites_newest_version_and_the_same_seed_each_night(database: Database) -> None:
    await make_schedule(database, seed=None)
    (first,) = await fire_due(database, TICK)
    sequence = Sequence.model_validate({"id": "a", "turns": [{"prompt": "new"}]})
    await import_suite(SuiteContent(name="tales", sequences=(sequence,)), database)
    await end_runs(database)
    (second,) = await fire_due(database, TICK + timedelta(days=1))
    assert (first.suite_version, second.suite_version) == (1, 2)
    assert first.seed == second.seed


async def test_a_tick_waits_for_the_run_before_and_the_newest_of_the_later_ones_follows(database: Database) -> None:
    """overlap = queue: three ticks come while the first run works; the first of them and the newest make runs."""
    await make_schedule(database)
    (first,) = await fire_due(database, TICK)
    for days in (1, 2, 3):
        assert await fire_due(database, TICK + timedelta(days=days)) == []
    assert (await stored()).waiting_for == first.name
    await end_runs(database)
    later = TICK + timedelta(days=3, hours=1)
    assert [run.name for run in await fire_due(database, later)] == [run_name("nightly", TICK + timedelta(days=1))]
    assert await fire_due(database, later) == []
    await end_runs(database)
    assert [run.name for run in await fire_due(database, later)] == [run_name("nightly", TICK + timedelta(days=3))]
    assert (await stored()).waiting_for is None


async def test_a_tick_is_passed_over_while_the_run_before_works(database: Database) -> None:
    await make_schedule(database, rules=Rules(overlap=Overlap.SKIP))
    (first,) = await fire_due(database, TICK)
    next_night = TICK + timedelta(days=1)
    assert await fire_due(database, next_night) == []
    schedule = await stored()
    assert (schedule.last_tick, schedule.claimed_tick, schedule.last_run) == (next_night, None, first.name)
    assert schedule.last_passed == f"{run_name('nightly', next_night)}: run {first.name} was still ACTIVE"


async def test_the_run_before_is_cancelled(database: Database) -> None:
    await make_schedule(database, rules=Rules(overlap=Overlap.CANCEL_PREVIOUS))
    (first,) = await fire_due(database, TICK)
    (second,) = await fire_due(database, TICK + timedelta(days=1))
    ended = await Run.get(first.id)
    assert ended is not None
    assert (ended.status, ended.status_reason) == (RunStatus.CANCELLED, f"cancelled: run {second.name} began")


async def test_a_missed_tick_is_passed_over_where_that_is_wanted(database: Database) -> None:
    await make_schedule(database, rules=Rules(missed=Missed.SKIP, grace_s=600))
    assert await fire_due(database, TICK + timedelta(minutes=11)) == []
    assert "no dispatcher saw it" in ((await stored()).last_passed or "")
    assert len(await fire_due(database, TICK + timedelta(days=1, minutes=9))) == 1


async def test_a_nights_deadline_is_in_the_schedules_zone(database: Database) -> None:
    """Seven in Berlin; a tick seen after it makes no run, for it would be stopped at once."""
    options = {**OPTIONS, "deadline": "07:00", "gates": (Gate(kind=GateKind.MISSING, metric=None, value=0.1),)}
    await add_schedule("nightly", "0 3 * * *", "Europe/Berlin", options, database)
    await database.raw["schedules"].update_one({}, {"$set": {"last_tick": LAST}})
    (run,) = await fire_due(database, TICK)
    assert run.ending.deadline_at == datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
    assert [str(gate) for gate in run.ending.gates] == ["--max-missing 0.1"]
    await end_runs(database)
    assert await fire_due(database, TICK + timedelta(days=1, hours=5)) == []
    assert "its deadline, 2026-11-22 06:00 UTC, is over" in ((await stored()).last_passed or "")


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"cron": "0 25 * * *"}, UsageError, "bad hour"),
        ({"timezone": "Mars/Base"}, UsageError, "no time zone"),
        ({"name": "../nightly"}, UsageError, "not allowed"),
        ({"name": "n" * 61}, UsageError, "at most 60"),
        ({"suite": "tale"}, UnknownNameError, "Did you mean 'tales'"),
        ({"models": ("mm",)}, UnknownNameError, "no model 'mm'"),
        ({"only": ("b",)}, UnknownNameError, "no tag or sequence 'b'"),
        ({"repeats": 0}, UsageError, "--repeats is 0"),
        ({"gates": (Gate(kind=GateKind.BELOW, metric="checks", value=1),)}, UsageError, "no metric 'checks'"),
        ({"baseline": "gone"}, UnknownNameError, "no run 'gone'"),
    ],
)
async def test_what_could_never_be_enqueued_is_refused_at_once(
    database: Database, changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    given: dict[str, Any] = {"name": "nightly", "cron": "0 2 * * *", "timezone": "UTC"}
    options = {**OPTIONS, **{k: v for k, v in changes.items() if k not in given}}
    with pytest.raises(error, match=said):
        await add_schedule(
            **{**given, **{k: v for k, v in changes.items() if k in given}}, options=options, database=database
        )
    assert await Schedule.count() == 0


async def test_a_name_is_taken_once(database: Database) -> None:
    await make_schedule(database)
    with pytest.raises(UsageError, match="nightjar schedule rm nightly"):
        await make_schedule(database)
