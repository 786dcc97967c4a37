"""Old nights lose their transcripts and keep their numbers; baselines stay whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import UsageError
from nightjar.config.night_settings import NightSettings
from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Aggregates
from nightjar.jobs.runs import control
from nightjar.jobs.runs.control import pinned_runs
from nightjar.jobs.runs.removal import remove_run
from nightjar.jobs.search.unindexed import find_unindexed
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.collect.aggregates import LEFT_OUT, pack, unpack
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.compare.baseline import find_baseline, set_baseline
from nightjar.pipeline.compare.comparison import compare_sides, pair_up, sides
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.nights import retention
from nightjar.pipeline.nights.retention import StoredNight, drop_transcripts, expired, plan_retention
from nightjar.pipeline.search.index import index_texts
from tests import factories
from tests.word_embedder import WordEmbedder

START = datetime(2026, 11, 1, 2, 0, tzinfo=UTC)


def night(day: int, series: str = "nightly", **changes: Any) -> StoredNight:
    given = {"ended": True, "dropped": False, **changes}
    return StoredNight(
        id=f"{series}{day}", name=f"{series}-{day}", series=series, created_at=START + timedelta(days=day), **given
    )


@pytest.mark.parametrize(
    ("nights", "keep", "pinned", "gone"),
    [
        ([night(day) for day in range(5)], {"nightly": 2}, (), ["nightly0", "nightly1", "nightly2"]),
        ([night(day) for day in range(5)], {"nightly": None}, (), []),  # nobody said how many
        ([night(day) for day in range(5)], {"nightly": 2}, ("nightly1",), ["nightly0", "nightly2"]),  # a baseline
        ([night(0), night(1, ended=False), night(2)], {"nightly": 1}, (), ["nightly0"]),  # what works stays
        ([night(0, dropped=True), night(1), night(2)], {"nightly": 1}, (), ["nightly1"]),
        (
            [night(day, series) for day in range(3) for series in ("a", "b")],
            {"a": 1, "b": 2},
            (),
            ["a0", "b0", "a1"],  # oldest first, each series by itself
        ),
    ],
)
def test_which_nights_are_old(
    nights: list[StoredNight], keep: dict[str, int | None], pinned: tuple[str, ...], gone: list[str]
) -> None:
    assert [one.id for one in expired(nights, keep, frozenset(pinned))] == gone


@pytest.fixture
async def run(database: Database) -> Run:
    """A night with scores, transcripts, failures."""
    await factories.store(database)
    (found,) = await Run.find_all().to_list()
    await database.runs.update_one({"_id": found.id}, {"$set": {"series": "nightly"}})
    again = await Run.get(found.id)
    assert again is not None
    return again


async def test_numbers_outlive_transcripts(database: Database, run: Run) -> None:
    """The report is the same but for its transcripts and a line that says so; it can still be rendered and compared."""
    before = await collect(run.id, database)
    embedder = WordEmbedder()
    await index_texts(await find_unindexed(embedder.facts.digest, database), embedder, database)
    assert await database.raw["vectors"].count_documents({"refs.run": run.id}) > 0
    assert await drop_transcripts(run.id, database)
    assert await database.raw["vectors"].count_documents({}) == 0, "what was embedded of them goes, too"
    assert (await find_unindexed(embedder.facts.digest, database)).count == 0
    after = await collect(run.id, database)
    same = set(vars(before)) - LEFT_OUT - {"notices", "generated_at"}
    assert {name for name in same if getattr(before, name) != getattr(after, name)} == set()
    assert after.sequences == before.sequences
    assert after.jobs == ()
    assert "transcripts of this run were dropped" in after.notices[-1].text
    for form in ("html", "json", "csv", "md"):
        assert render(after, form)
    ((one, two), *_) = pair_up(sides(before, None), sides(after, None))
    assert compare_sides(one, two).metrics
    row = await database.jobs.find_one({"run": run.id, "turns.0": {"$exists": True}})
    assert row is None
    assert await database.raw["scores"].count_documents({"run": run.id}) == 0
    assert await database.jobs.count_documents({"run": run.id}) == len(before.jobs)  # how it ended is still counted


async def test_a_dry_run_tells_what_would_go_and_how_much(database: Database, run: Run) -> None:
    night_settings = NightSettings()
    assert await plan_retention(database, night_settings) == []  # nobody asked
    await _copy(database, run, "newer")
    (old,) = await plan_retention(database, night_settings, keep_nights=1)
    assert (old.night.id, "newest 1 of nightly" in old.why) == (run.id, True)
    assert old.bytes > 50_000
    assert await retention.retain(database, NightSettings(keep_nights=1)) == 1
    assert await plan_retention(database, NightSettings(keep_nights=1)) == []


async def _copy(database: Database, run: Run, name: str) -> None:
    raw = await database.runs.find_one({"_id": run.id})
    assert raw is not None
    await database.runs.insert_one(raw | {"_id": name, "name": name, "created_at": run.created_at + timedelta(days=1)})


@pytest.mark.parametrize("left", ["jobs", "nothing"])
async def test_a_kill_in_between_is_mended(
    left: str, database: Database, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the aggregates were stored, or with half of the texts gone: the next call finishes it."""
    before = await collect(run.id, database)
    if left == "nothing":
        with monkeypatch.context() as patch:
            patch.setattr(Aggregates, "save", _killed)
            with pytest.raises(ZeroDivisionError):
                await drop_transcripts(run.id, database)
        assert len((await collect(run.id, database)).jobs) == len(before.jobs)  # nothing is lost
    else:
        assert await drop_transcripts(run.id, database)
        await database.jobs.update_many({"run": run.id, "order": {"$gt": 5}}, {"$set": {"turns": [{}]}})
        await database.raw["aggregates"].update_one({"_id": run.id}, {"$set": {"dropped": False}})
        assert [old.night.id for old in await _plan(database, run)] == [run.id]
    assert await drop_transcripts(run.id, database)
    assert await database.jobs.count_documents({"run": run.id, "turns.0": {"$exists": True}}) == 0
    assert (await collect(run.id, database)).models == before.models


async def _plan(database: Database, run: Run) -> list[retention.OldNight]:
    await _copy(database, run, "newer")
    await database.runs.update_one({"_id": "newer"}, {"$set": {"transcripts_dropped_at": None}})
    return await plan_retention(database, NightSettings(), keep_nights=1)


async def _killed(*_: object, **__: object) -> None:
    raise ZeroDivisionError


async def test_a_run_without_transcripts_works_no_more(database: Database, run: Run) -> None:
    """Continuing would generate again what is recorded as done."""
    await drop_transcripts(run.id, database)
    now = await Run.get(run.id)
    assert now is not None
    for act in (control.retry, control.resume):
        with pytest.raises(UsageError, match="transcripts"):
            await act(now.model_copy(update={"status": RunStatus.STOPPED}), database)
    with pytest.raises(UsageError, match="transcripts"):
        await control.move(now, RunStatus.ACTIVE, database)


async def test_baselines_are_pinned(database: Database, run: Run, tmp_path: Path) -> None:
    await set_baseline(run, None, database)
    assert await pinned_runs(database) == {run.id}
    assert await find_baseline(run, None, database) is not None
    await _copy(database, run, "newer")
    assert await plan_retention(database, NightSettings(), keep_nights=1) == []
    with pytest.raises(UsageError, match="nightjar baseline clear sample"):
        await remove_run(run, database)
    await database.raw["baselines"].delete_many({})
    await database.raw["schedules"].insert_one({"_id": "s", "enqueue": {"baseline": run.name}})
    assert await pinned_runs(database) == {run.id}


async def test_only_a_run_that_is_done_is_a_baseline(database: Database, run: Run) -> None:
    with pytest.raises(UsageError, match="only a run that is DONE"):
        await set_baseline(run.model_copy(update={"status": RunStatus.ACTIVE}), None, database)


def test_every_part_of_a_report_is_kept_or_left_out_on_purpose() -> None:
    """A new field of the report must find its way into the aggregates, or into what is left out."""
    report = factories.synthetic_report()
    again = unpack(pack(report))
    for name in set(vars(report)) - LEFT_OUT:
        assert getattr(again, name) == getattr(report, name), name
