"""The result of a run's gates at its end, compared with a baseline in MongoDB."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightjar.config.errors import UsageError
from nightjar.jobs.documents import Run
from nightjar.jobs.ending import Ending, Gate, GateKind, GateOutcome
from nightjar.jobs.judgings import first_judging
from nightjar.jobs.mongo import Database
from nightjar.pipeline.closing.close import close_run
from nightjar.pipeline.collect.collector import collect, gather
from nightjar.pipeline.compare.baseline import set_baseline
from nightjar.scripts.views.wait import check_asked
from tests import factories
from tests.profiling import collected, of_jobs, queries

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
    """Stored with the run, and shown in its report and JSON. Six sequences make no regression sure."""
    (first,) = [run for run in await Run.find_all().to_list() if run.id != night.id]
    await set_baseline(first, None, database)
    ended = await closed(night, database, tmp_path, REGRESSION, BELOW.model_copy(update={"value": 0.5}))
    verdict = ended.outcome.verdict
    assert verdict is not None
    assert (verdict.outcome, verdict.failed, verdict.baseline) == (GateOutcome.TRIPPED, True, first.name)
    regressions = [result.outcome for result in verdict.results if result.gate.kind is GateKind.REGRESSION]
    assert regressions == [GateOutcome.INCONCLUSIVE] * 3
    report = await collect(night.id, database)
    assert report.verdict == verdict
    tripped = [result for result in verdict.results if result.outcome is GateOutcome.TRIPPED]
    assert {result.gate.kind for result in tripped} == {GateKind.BELOW}
    warnings = [notice.text for notice in report.notices if notice.level == "warning"]
    assert {result.sentence() for result in tripped} <= set(warnings)
    said = json.loads((tmp_path / "second.json").read_text("utf-8"))["gates"]
    assert (said["outcome"], said["failed"], said["baseline"]) == ("tripped", True, first.name)


@pytest.mark.parametrize("strict", [False, True])
async def test_without_a_baseline_it_is_inconclusive(
    strict: bool, database: Database, night: Run, tmp_path: Path
) -> None:
    """The report says so, with the remedy; it fails only when strict."""
    ended = await closed(night, database, tmp_path, REGRESSION, strict=strict)
    assert ended.outcome.verdict is not None
    assert (ended.outcome.verdict.outcome, ended.outcome.verdict.failed) == (GateOutcome.INCONCLUSIVE, strict)
    assert "nightjar baseline set" in ended.outcome.verdict.results[0].reason


async def test_a_gate_that_cannot_be_tried_any_more_ends_no_night(
    database: Database, night: Run, tmp_path: Path
) -> None:
    """Its metric is gone since it was frozen: inconclusive, with the reason; the report is written all the same."""
    gone = Gate(kind=GateKind.BELOW, metric="own_scorer", value=1)
    ended = await closed(night, database, tmp_path, gone)
    assert ended.outcome.verdict is not None
    assert ended.outcome.verdict.outcome is GateOutcome.INCONCLUSIVE
    assert "no metric 'own_scorer'" in ended.outcome.verdict.results[0].reason
    assert len(ended.outcome.files) == 2


async def test_the_baseline_is_not_held_against_itself(database: Database, night: Run, tmp_path: Path) -> None:
    await set_baseline(night, None, database)
    ended = await closed(night, database, tmp_path, REGRESSION)
    assert ended.outcome.verdict is not None
    assert ended.outcome.verdict.results[0].reason == "the run is the baseline itself"


@pytest.mark.parametrize("gates", [(REGRESSION, BELOW), ()])
async def test_closing_collects_run_and_baseline_once_each(
    gates: tuple[Gate, ...], database: Database, night: Run, tmp_path: Path
) -> None:
    """The verdict and the changes since the baseline come from the same reports."""
    (first,) = [run for run in await Run.find_all().to_list() if run.id != night.id]
    await set_baseline(first, None, database)
    async with queries(database) as commands:
        await closed(night, database, tmp_path, *gates)
    assert (collected(commands, first.id), collected(commands, night.id)) == (1, 1)
    document = json.loads((tmp_path / "second.json").read_text("utf-8"))
    assert document["changes"]["baseline"] == first.name


async def test_asking_for_a_gate_reads_no_verdict(database: Database, night: Run) -> None:
    """Before it waits, `run wait --fail-below` looks at suite and rubric for the metric's name, and at no job."""
    scale = {"1": "bad", "2": "good"}
    rubric = {"name": "r", "criteria": [{"name": "plot", "description": "d", "scale": scale}]}
    night = night.model_copy(update={"judging": first_judging(["judge"], rubric), "embed_model": "embedder"})
    asked = Ending(gates=tuple(Gate(kind=GateKind.BELOW, metric=name, value=1) for name in ("judge.plot", "checks")))
    async with queries(database) as commands:
        await check_asked(night, asked, database)
    assert commands
    assert of_jobs(commands) == []
    with pytest.raises(UsageError, match=r"no metric 'judge\.plt'"):
        await check_asked(night, Ending(gates=(Gate(kind=GateKind.BELOW, metric="judge.plt", value=1),)), database)
    async with queries(database) as commands:
        await gather(night, database)
    assert of_jobs(commands)  # a report does read them
