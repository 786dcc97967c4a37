"""A run's model files: the first one loaded is the run's; for a judge it is one yardstick for all of the run."""

from __future__ import annotations

import asyncio

import pytest

from nightjar.jobs.documents import Run, RunModel
from nightjar.jobs.judgings import JudgeCheck
from nightjar.jobs.models import LoadFacts, ModelFacts
from nightjar.jobs.mongo import Database
from nightjar.jobs.runs.model_files import LOADS_KEPT, fix_file, names_model
from nightjar.workers.engine.fake import ScriptedEngine
from tests.workbench import make_run


def loaded(digest: str, name: str = "scripted") -> tuple[ModelFacts, LoadFacts]:
    engine = ScriptedEngine(digest=digest * 64)
    return engine.facts.model_copy(update={"name": name}), engine.load


async def now(run: Run) -> Run:
    current = await Run.get(run.id)
    assert current is not None
    return current


async def test_the_first_file_is_the_runs(database: Database) -> None:
    """And stays it: the same file is welcome again, another one is refused with both digests."""
    run = await make_run("r")
    assert await fix_file(run, *loaded("a"), database) is None
    assert await fix_file(run, *loaded("a"), database) is None
    refusal = await fix_file(run, *loaded("b"), database)
    assert refusal is not None
    assert "a" * 64 in refusal
    assert "b" * 64 in refusal
    assert "enqueue a new run" in refusal
    (model,) = (await now(run)).models
    assert (model.digest, len(model.loads)) == ("a" * 64, 2)
    assert model.facts == loaded("a")[0]


async def test_of_two_that_load_at_once_one_wins(database: Database) -> None:
    run = await make_run("r")
    refusals = await asyncio.gather(*(fix_file(run, *loaded(digest), database) for digest in "abcd"))
    assert sum(refusal is None for refusal in refusals) == 1


async def test_a_judges_file_is_fixed_likewise(database: Database) -> None:
    """Beside the models that reply; several workers put it on the list once."""
    run = await make_run("r", judges=["judge"])
    refusals = await asyncio.gather(*(fix_file(run, *loaded("a", "judge"), database) for _ in range(4)))
    assert refusals == [None] * 4
    assert [(helper.name, helper.digest) for helper in (await now(run)).helpers] == [("judge", "a" * 64)]
    assert "give this one another name" in str(await fix_file(run, *loaded("b", "judge"), database))


async def test_old_loads_are_forgotten(database: Database) -> None:
    run = await make_run("r", models=[RunModel(name="scripted", loads=[loaded("a")[1]] * LOADS_KEPT)])
    await fix_file(run, *loaded("a"), database)
    assert len((await now(run)).models[0].loads) == LOADS_KEPT


@pytest.mark.parametrize(
    ("name", "named"), [("scripted", True), ("judge", True), ("checked", True), ("embedder", True), ("other", False)]
)
async def test_the_models_of_a_run(database: Database, name: str, named: bool) -> None:
    check = JudgeCheck(judges=["checked"], rubric={}, seed=1, sequences=2)
    run = await make_run("r", embed_model="embedder", judges=["judge"], check=check)
    assert names_model(run, name) is named
