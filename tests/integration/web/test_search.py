"""The page Search: a question is answered by the pool with the small embedder, and leads to the turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.database import Database
from nightjar.jobs.documents import Run
from nightjar.jobs.queue import Doorbell
from nightjar.web.app import create_app
from nightjar.web.gate import GateRules
from tests.integration.web.conftest import Visits
from tests.integration.web.test_pages import MARKUP, Tags, add_turns
from tests.minilm import WHEEL_SHA256, cached_gguf


async def test_without_a_model_it_says_what_to_pull(visits: Visits, run: Run) -> None:
    async with await visits.owner() as client:
        text = (await client.get("/search?q=fox")).text
        assert "nightjar model pull" in text
        assert "memory_model" in text
        assert (await client.get("/search?q=" + "word+" * 3_000)).status_code == 400
        assert (await client.get("/search?q=fox&run=nobody")).status_code == 404


@pytest.fixture
async def with_model(
    request: pytest.FixtureRequest, settings: Settings, database: Database, services: ServiceUrls
) -> AsyncIterator[Visits]:
    assert request.config.cache is not None
    path: Path = cached_gguf(request.config.cache.mkdir(f"minilm-{WHEEL_SHA256[:12]}"))[1]
    doorbell = await Doorbell.connect(services.redis)
    configured = settings.model_copy(update={"memory_model": str(path)})
    app = create_app(configured, database, doorbell, rules=GateRules.loopback(8420), mongo_url=services.mongo)
    try:
        yield Visits(app=app, database=database)
    finally:
        await app.state.site.heavy.close()
        await doorbell.close()


async def test_a_question_leads_to_the_turn(with_model: Visits, run: Run, database: Database) -> None:
    """By meaning, without a word in common; a hostile reply stays text."""
    job = await add_turns(database, f"The beacon on the cliff shone during the gale. {MARKUP}")
    async with await with_model.owner() as client:
        for _ in range(600):
            text = (await client.get("/search?q=a+lighthouse+in+a+storm")).text
            if "being computed" not in text:
                break
            await asyncio.sleep(0.1)
        assert "The beacon on the cliff shone during the gale." in text
        assert f'href="/runs/nightly/transcripts?sequence=a&amp;model={job.model}#t{job.id}"' in text
        assert f"/search?like={job.id}%3A1" in text
        assert not [tag for tag, _ in Tags(text).found if tag in ("img", "b")]
