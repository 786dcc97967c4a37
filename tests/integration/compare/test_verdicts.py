"""What the gates of a run say at its end, held against a baseline in MongoDB."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightjar.jobs.database import Database
from nightjar.jobs.documents import Run
from nightjar.jobs.ending import Ending, Gate, GateKind, GateOutcome
from nightjar.pipeline.closing.close import close_run
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.compare.verdict import set_baseline
from tests import factories

REGRESSION = Gate(kind=GateKind.REGRESSION, metric="checks", value=0.05)
BELOW = Gate(kind=GateKind.BELOW, metric="checks", value=0.0)


@pytest.fixture
async def night(database: Database) -> Run:
    """A second night of the same suite, in which every reply is a single wrong word."""
    await factories.store(database)
    (first,) = await Run.find_all().to_list()
    raw = await database.runs.find_one({"_id": first.id})
    assert raw is not None
    await database.runs.insert_one(raw | {"_id": "second", "name": "second"})
    async for job in database.jobs.find({"run": first.id}):
        for turn in job["turns"]:
            turn["draws"][0] |= {"reply": "Lorem ipsum. " * 80, "empty": None, "degenerate": None}
        await database.jobs.insert_one(job | {"_id": f"2{job['_id']}", "run": "second"})
    found = await Run.get("second")
    assert found is not None
    return found


async def closed(night: Run, database: Database, tmp_path: Path, *gates: Gate, strict: bool = False) -> Run:
    await Run.find_one({"_id": night.id}).update({"$set": {"ending": Ending(gates=gates, strict=strict).model_dump()}})
    await close_run(night.id, database, tmp_path)
    found = await Run.get(night.id)
    assert found is not None
    return found


async def test_a_regression_against_the_suites_baseline(database: Database, night: Run, tmp_path: Path) -> None:
    """Tripped for the models that got worse beyond doubt; stored with the run, said in its report and its JSON."""
    (first,) = [run for run in await Run.find_all().to_list() if run.id != night.id]
    await set_baseline(first, None, database)
    ended = await closed(night, database, tmp_path, REGRESSION, BELOW)
    assert ended.verdict is not None
    assert (ended.verdict.outcome, ended.verdict.failed, ended.verdict.baseline) == (
        GateOutcome.TRIPPED,
        True,
        first.name,
    )
    report = await collect(night.id, database)
    assert report.verdict == ended.verdict
    tripped = [result for result in ended.verdict.results if result.outcome is GateOutcome.TRIPPED]
    assert {result.gate.kind for result in tripped} == {GateKind.REGRESSION}
    warnings = [notice.text for notice in report.notices if notice.level == "warning"]
    assert {result.sentence() for result in tripped} <= set(warnings)
    said = json.loads((tmp_path / "second.json").read_text("utf-8"))["gates"]
    assert (said["outcome"], said["failed"], said["baseline"]) == ("tripped", True, first.name)


@pytest.mark.parametrize("strict", [False, True])
async def test_without_a_baseline_it_is_inconclusive(
    strict: bool, database: Database, night: Run, tmp_path: Path
) -> None:
    """Said, with what to do; it fails only when strict."""
    ended = await closed(night, database, tmp_path, REGRESSION, strict=strict)
    assert ended.verdict is not None
    assert (ended.verdict.outcome, ended.verdict.failed) == (GateOutcome.INCONCLUSIVE, strict)
    assert "nightjar baseline set" in ended.verdict.results[0].reason


async def test_a_gate_that_cannot_be_tried_any_more_ends_no_night(
    database: Database, night: Run, tmp_path: Path
) -> None:
    """Its metric is gone since it was frozen: inconclusive, with the reason; the report is written all the same."""
    gone = Gate(kind=GateKind.BELOW, metric="own_scorer", value=1)
    ended = await closed(night, database, tmp_path, gone)
    assert ended.verdict is not None
    assert ended.verdict.outcome is GateOutcome.INCONCLUSIVE
    assert "no metric 'own_scorer'" in ended.verdict.results[0].reason
    assert len(ended.files) == 2


async def test_the_baseline_is_not_held_against_itself(database: Database, night: Run, tmp_path: Path) -> None:
    await set_baseline(night, None, database)
    ended = await closed(night, database, tmp_path, REGRESSION)
    assert ended.verdict is not None
    assert ended.verdict.results[0].reason == "the run is the baseline itself"
