"""From documents in a real MongoDB to scores and reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import OutputError, UnknownNameError
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Baseline
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.closing.close import close_run
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.compare.baseline import since_baseline
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.nights.night_store import read_nights
from tests import factories


async def scores(database: Database) -> list[dict[str, Any]]:
    return await database.raw["scores"].find().sort("_id", 1).to_list()


async def test_collected_report_is_the_pure_one(database: Database) -> None:
    """The report collected from MongoDB equals the one made of the same documents without it, byte by byte."""
    run = await factories.store(database)
    report = await collect(run.id, database)
    expected = json.loads(render(factories.synthetic_report(), "json"))
    found = json.loads(render(report, "json"))
    for document in (expected, found):
        document.pop("generated_at")
        document.pop("generated_by")
    assert found == expected


async def test_collecting_writes_nothing(database: Database) -> None:
    """Reading an unfinished run leaves no trace."""
    run = await factories.store(database, status=RunStatus.ACTIVE)
    report = await collect(run.id, database)
    assert report.provenance.partial
    assert await scores(database) == []


async def test_closing_again_changes_nothing(database: Database, tmp_path: Path) -> None:
    """Scores are stored once however often a run is closed; its report is not partial though the run is JUDGING."""
    run = await factories.store(database, status=RunStatus.JUDGING)
    paths = await close_run(run, database, tmp_path)
    assert [path.name for path in paths] == ["nightly-2026-11-20.html", "nightly-2026-11-20.json"]
    document = json.loads(paths[1].read_text(encoding="utf-8"))
    assert (document["partial"], document["run"]["status"]) == (False, "DONE")
    first = await scores(database)
    assert first
    await close_run(run.id, database, tmp_path)
    assert await scores(database) == first


async def test_an_export_without_matter_keeps_no_other_file_back(database: Database, tmp_path: Path) -> None:
    """A run without judges, exported in a format for judged runs between two other formats."""
    run = await factories.store(database)
    ending = run.ending.model_copy(update={"formats": ("html", "sft", "csv")})
    await database.runs.update_one({"_id": run.id}, {"$set": {"ending": ending.model_dump(mode="python")}})
    await database.jobs.delete_many({"kind": {"$ne": "REPLY"}})
    paths = await close_run(run.id, database, tmp_path)
    assert [path.suffix for path in paths] == [".html", ".csv"]


async def test_half_stored_scores_are_completed(database: Database, tmp_path: Path) -> None:
    """A collector killed in the middle: closing again adds what is missing and replaces what an old version gave."""
    run = await factories.store(database)
    await close_run(run, database, tmp_path)
    complete = await scores(database)
    await database.raw["scores"].delete_many({"turn": 0})
    await database.raw["scores"].update_many({"scorer": "words"}, {"$set": {"scorer_digest": "old", "value": -1.0}})
    await close_run(run, database, tmp_path)
    assert await scores(database) == complete


async def test_stored_scores_say_what_they_are(database: Database, tmp_path: Path) -> None:
    """A model failure is worst with its reason; what has no value has none."""
    run = await factories.store(database)
    await close_run(run, database, tmp_path)
    stored = await scores(database)
    assert {score["state"] for score in stored} == {"scored", "worst", "unscored"}
    assert all(score["value"] == 0 and score["reason"] for score in stored if score["state"] == "worst")
    assert all(score["value"] is None and score["reason"] for score in stored if score["state"] == "unscored")


async def test_unwritable_reports_folder(database: Database, tmp_path: Path) -> None:
    """The scores are stored, the folder is named, nothing is half-written."""
    run = await factories.store(database)
    (tmp_path / "reports").write_text("in the way")
    with pytest.raises(OutputError, match="reports"):
        await close_run(run, database, tmp_path / "reports")
    assert await scores(database)


async def test_unknown_run(database: Database) -> None:
    """No such run: an error meant for users."""
    with pytest.raises(UnknownNameError):
        await collect("nope", database)


async def test_run_without_jobs(database: Database) -> None:
    """A run that has not been expanded still has a report, in every format."""
    run = await factories.store(database, status=RunStatus.EXPANDING)
    await database.jobs.delete_many({})
    report = await collect(run.id, database)
    assert "0 of 0 jobs" in report.notices[0].text
    for form in ("html", "json", "csv", "md"):
        assert render(report, form)


async def test_nights_are_kept_and_held_against_the_baseline(database: Database, tmp_path: Path) -> None:
    """Closing keeps a night once; the next run's report says what changed since the suite's baseline."""
    first = await factories.store(database, status=RunStatus.JUDGING)
    await close_run(first, database, tmp_path)
    await close_run(first, database, tmp_path)
    assert await database.raw["nights"].count_documents({}) == 1
    await database.runs.update_one({"_id": first.id}, {"$set": {"status": RunStatus.DONE.value}})
    await Baseline(id="sample", run=first.id, run_name=first.name, set_at=factories.START).save()
    own = await since_baseline(await collect(first.id, database), first, database)
    assert own.changes is None  # a run is not held against itself
    assert own.no_changes == "This run is the baseline itself."
    other = first.model_copy(update={"id": "other", "name": "nightly-2026-11-21"})
    report = await since_baseline(await collect(first.id, database), other, database)
    assert report.changes is not None
    assert (report.changes.baseline, len(report.changes.models)) == (first.name, 3)
    assert {found.verdict for model in report.changes.models for found in model.metrics} == {"can't tell"}
    await database.runs.delete_one({"_id": first.id})
    assert (await since_baseline(report, other, database)).changes == report.changes  # a baseline that is gone


async def test_nights_that_were_not_kept_are_made(database: Database) -> None:
    """A run closed before nights were kept still gets one; a running one has none."""
    run = await factories.store(database)
    (night,) = await read_nights("sample", 10, database)
    assert (night.name, night.headline) == (run.name, "checks")
    assert await database.raw["nights"].count_documents({}) == 1
    assert await read_nights("sample", 10, database) == [night]
    await database.runs.update_one({"_id": run.id}, {"$set": {"status": RunStatus.ACTIVE.value}})
    assert await read_nights("sample", 10, database) == []
