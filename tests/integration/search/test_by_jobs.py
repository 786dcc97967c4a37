"""Much text is embedded by jobs of a worker of the embedding model, each text once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import LiveError, ModelError, UnknownNameError
from nightjar.config.live_settings import LiveSettings
from nightjar.config.settings import Settings
from nightjar.jobs.live.embedder import BATCH_TEXTS, JobEmbedder
from nightjar.jobs.live.requests import LiveRequests
from nightjar.jobs.models import ModelKind
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import publish_model
from nightjar.jobs.search.unindexed import find_unindexed
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.search.index import index_texts
from nightjar.workers.engine.fake import ScriptedEngine
from tests.documents import a_run
from tests.integration.search.test_search import done, stored
from tests.workbench import Bench, opened_bench

NAME = "embedder"


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    settings = Settings(home=tmp_path / "home", lease_s=3, beat_s=0.2, drain_s=5)
    async with opened_bench(database, services, settings) as bench:
        yield bench


def engine() -> ScriptedEngine:
    return ScriptedEngine(name=NAME, kind=ModelKind.EMBEDDING, slots=4)


async def test_texts_are_embedded_by_jobs(bench: Bench) -> None:
    """Several jobs of one call keep the order of texts; nothing of them is left but the vectors."""
    await stored(bench.database, a_run("run1", status=RunStatus.DONE), done("aaaaaa01", "Rain.", "Rain.", "Snow."))
    async with bench.worker(engine()) as worker, LiveRequests(bench.database, bench.doorbell, LiveSettings()) as live:
        await publish_model(bench.database, worker.engine.facts, by="host")
        embedder = await JobEmbedder.of(live, worker.engine.facts, "search")
        texts = [f"{'abc' * (number % 7)} text {number}" for number in range(2 * BATCH_TEXTS + 3)]
        vectors = await embedder.embed(texts)
        alone = await embedder.embed(texts[-1:])
        assert np.allclose(vectors[-1], alone[0])
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
        assert (await embedder.embed([])).shape[0] == 0
        shown: list[tuple[int, int]] = []
        unindexed = await find_unindexed(embedder.facts.digest, bench.database)
        made = await index_texts(unindexed, embedder, bench.database, lambda done, total: shown.append((done, total)))
        assert (made, shown) == (3, [(1, 1)])
        assert (await find_unindexed(embedder.facts.digest, bench.database)).count == 0
    assert await bench.database.raw["vectors"].count_documents({}) == 3
    assert await bench.database.jobs.count_documents({"payload.given": {"$exists": True}}) == 0


async def test_jobs_that_cannot_be_had(bench: Bench) -> None:
    """A model that nobody published; another file under its name; no worker."""
    facts = engine().facts
    async with LiveRequests(bench.database, bench.doorbell, LiveSettings(wait_s=1)) as live:
        with pytest.raises(UnknownNameError):
            await JobEmbedder.of(live, facts, "search")
        await publish_model(bench.database, facts, by="host")
        other = facts.model_copy(update={"digest": "f" * 64})
        with pytest.raises(ModelError, match="another file"):
            await JobEmbedder.of(live, other, "search")
        embedder = await JobEmbedder.of(live, facts, "search")
        with pytest.raises(LiveError):
            await embedder.embed(["text"])
