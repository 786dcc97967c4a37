"""EMBED jobs from planning to the report, with a model whose vectors are letter counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import ModelError, UnknownNameError
from nightjar.config.settings import Settings
from nightjar.jobs.documents import Job, PublishedModel, Run, SequenceDocument
from nightjar.jobs.models import ModelKind
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.jobs.states import JobKind, JobStatus, RunStatus
from nightjar.pipeline.closing.close import close_run
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.embedding.write_jobs import write_embedding
from nightjar.pipeline.runs.preflight import check_embedder
from nightjar.workers.engine.fake import ScriptedEngine, scripted_facts
from tests.workbench import Bench, make_run, opened_bench, until

EMBEDDER = "embedder"


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(
        database,
        services,
        Settings(home=tmp_path / "home", reports_dir=tmp_path / "reports", lease_s=3, beat_s=0.2, drain_s=5),
    ) as bench:
        yield bench


async def with_references(run: str, reference: str, database: Database) -> None:
    """Gives every turn of the run's sequences a reference."""
    for ref in await database.jobs.distinct("sequence_document", {"run": run}):
        document = await SequenceDocument.get(ref)
        assert document is not None
        turns = tuple(TurnSpec(prompt=turn.prompt, reference=reference) for turn in document.sequence.turns)
        changed: Sequence = document.sequence.model_copy(update={"turns": turns})
        await database.raw["sequences"].update_one(
            {"_id": ref}, {"$set": {"sequence": changed.model_dump(mode="json")}}
        )


async def embed_rows(run: str, database: Database) -> list[dict[str, Any]]:
    return await database.jobs.find({"run": run, "kind": JobKind.EMBED}).sort("order", 1).to_list()


async def status_is(run: str, status: RunStatus) -> bool:
    found = await Run.get(run)
    return found is not None and found.status is status


def embedder(**options: Any) -> ScriptedEngine:
    return ScriptedEngine(name=EMBEDDER, kind=ModelKind.EMBEDDING, slots=2, **options)


async def test_a_run_is_embedded_and_closed(bench: Bench) -> None:
    """ACTIVE, JUDGING, DONE: the embedder's worker compares, the report has the numbers, and scores are stored once."""
    await make_run("r", sequences=3, turns=2, embed_model=EMBEDDER)
    await with_references("r", "notes", bench.database)
    replies = ScriptedEngine(lambda prompt, seed: "stone" if "turn 1" not in prompt else "xyz", slots=2)
    async with bench.dispatching():
        async with bench.worker(replies):
            await until(lambda: status_is("r", RunStatus.JUDGING))
        async with bench.worker(embedder(), name="host:2:2"):
            await until(lambda: status_is("r", RunStatus.DONE), within_s=40)
    jobs = await embed_rows("r", bench.database)
    assert [(job["status"], job["turns_committed"]) for job in jobs] == [(JobStatus.DONE, 1)] * 3
    report = await collect("r", bench.database)
    for job in report.jobs:
        first, second = (turn.scores for turn in job.turns)
        assert first["embedding_reference"].value == pytest.approx(1)
        assert "embedding_previous" not in first
        assert (second["embedding_reference"].value, second["embedding_previous"].value) == (0, 0)
    metric = report.models[0].total.metrics["embedding_reference"]
    assert metric.mean == pytest.approx(0.5)
    assert (metric.n, metric.unscored) == (3, 0)
    query = {"scorer": {"$regex": "^embedding"}}
    stored = await bench.database.raw["scores"].find(query).sort("_id", 1).to_list()
    assert len(stored) == 9
    await close_run("r", bench.database, bench.settings.reports_dir)
    assert await bench.database.raw["scores"].find(query).sort("_id", 1).to_list() == stored


async def test_planning_twice_plans_nothing_new(database: Database) -> None:
    """Inserted where absent, with the same ids; single turns without a reference need no job."""
    run = await make_run("r", sequences=2, turns=2, embed_model=EMBEDDER, status=RunStatus.JUDGING)
    turn = {"index": 0, "chain": "c", "draws": [{"reply": "x"}]}
    await database.jobs.update_many({}, {"$set": {"status": JobStatus.DONE, "turns": [turn]}})
    assert await write_embedding(run, database) == 2
    before = await embed_rows("r", database)
    assert await write_embedding(run, database) == 2
    assert await embed_rows("r", database) == before
    other = await make_run("single", sequences=2, turns=1, embed_model=EMBEDDER, status=RunStatus.JUDGING)
    await database.jobs.update_many({"run": "single"}, {"$set": {"status": JobStatus.DONE, "turns": [turn]}})
    assert await write_embedding(other, database) == 0


async def test_what_could_not_be_embedded_is_unscored(bench: Bench) -> None:
    """A worker that holds a chat model under that name: the job dies, its turns have a reason and no number."""
    await make_run("r", sequences=1, turns=2, embed_model=EMBEDDER, max_tries=1)
    async with bench.dispatching():
        async with bench.worker(ScriptedEngine(slots=1)):
            await until(lambda: status_is("r", RunStatus.JUDGING))
        async with bench.worker(ScriptedEngine(name=EMBEDDER, slots=1), name="host:2:2"):
            await until(lambda: status_is("r", RunStatus.DONE), within_s=40)
    (job,) = await embed_rows("r", bench.database)
    assert job["status"] == JobStatus.DEAD
    report = await collect("r", bench.database)
    score = report.jobs[0].turns[1].scores["embedding_previous"]
    assert score.value is None
    assert "embed job is DEAD" in (score.reason or "")
    assert "generates text" in (score.reason or "")


async def test_the_embedder_must_be_one(database: Database) -> None:
    """A chat model and an unknown name are refused before anything is generated."""
    facts = scripted_facts("chat", context=512, kind=ModelKind.CHAT, digest="0" * 64)
    await PublishedModel(id="chat", facts=facts, published_by="host", published_at=utc_now()).insert()
    with pytest.raises(ModelError, match="--embed-model"):
        await check_embedder("chat", [], database)
    with pytest.raises(UnknownNameError):
        await check_embedder("nope", [], database)


async def test_repeats_are_compared_and_asked_measures_stored(database: Database, tmp_path: Path) -> None:
    """Self-similarity needs all repeats; when one more comes its scores are replaced, the others stay."""
    from tests import factories

    run = await factories.store(database)
    await database.runs.update_one(
        {"_id": run.id}, {"$set": {"measures": {"self_similarity": True, "mattr": {"window": 5}}}}
    )
    await close_run(run.id, database, tmp_path)
    query = {"scorer": "self_similarity"}
    before = {row["_id"]: row async for row in database.raw["scores"].find(query)}
    assert any(row["value"] is not None for row in before.values())
    lasting = await database.raw["scores"].find({"scorer": "mattr"}).sort("_id", 1).to_list()
    assert lasting
    gone = await Job.find_one({"repeat": 1, "model": "amber-1b", "sequence": "train"})
    assert gone is not None
    await gone.delete()
    await close_run(run.id, database, tmp_path)
    now = {row["_id"]: row async for row in database.raw["scores"].find(query)}
    assert any(now[key]["value"] is None and row["value"] is not None for key, row in before.items())
    assert await database.raw["scores"].find({"scorer": "mattr"}).sort("_id", 1).to_list() == lasting
