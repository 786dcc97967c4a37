"""The page Search: a question is answered by the pool with the small embedder, and leads to the turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from httpx import AsyncClient
from PIL import Image

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.accounts.documents import Role
from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.search.photo_homes import announce_photos
from nightjar.workers.photos.index import index_photos
from nightjar.workers.photos.store import read_indexes
from tests.integration.web.conftest import Visits, visiting
from tests.integration.web.test_pages import MARKUP, Tags, add_turns
from tests.minilm import WHEEL_SHA256, cached_gguf
from tests.word_embedder import WordEmbedder


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
    configured = settings.model_copy(update={"memory_model": str(path)})
    async with visiting(configured, database, services) as made:
        yield made


async def answered(client: AsyncClient, address: str) -> str:
    """The page when it has been worked out."""
    for _ in range(600):
        text = (await client.get(address)).text
        if "being computed" not in text:
            break
        await asyncio.sleep(0.1)
    return text


async def test_a_question_leads_to_the_turn(with_model: Visits, run: Run, database: Database) -> None:
    """By meaning, without a word in common; a hostile reply stays text."""
    job = await add_turns(database, f"The beacon on the cliff shone during the gale. {MARKUP}")
    async with await with_model.owner() as client:
        text = await answered(client, "/search?q=a+lighthouse+in+a+storm")
        assert "The beacon on the cliff shone during the gale." in text
        assert f'href="/runs/nightly/transcripts?sequence=a&amp;model={job.model}#t{job.id}"' in text
        assert f"/search?like={job.id}%3A1" in text
        assert not [tag for tag, _ in Tags(text).found if tag in ("img", "b")]
        text = await answered(client, "/search?q=fox&model=nope")
        assert "There is no model &#39;nope&#39;" in text
        assert 'value="nope"' in text, "the question is still there to be mended"
        await database.runs.update_one({"_id": run.id}, {"$set": {"name": "live"}})
        text = await answered(client, "/search?q=a+beacon")
        assert f'href="/runs/live/transcripts?sequence=a&amp;model={job.model}#t{job.id}"' in text, "no live request"


async def test_thumbnails_are_had_by_id_and_by_the_owner_alone(
    visits: Visits, settings: Settings, tmp_path: Path
) -> None:
    """A viewer of the page sees none; no path of a request is opened."""
    Image.new("RGB", (300, 200), (200, 30, 30)).save(tmp_path / "red.png")
    await index_photos(tmp_path, settings.home, WordEmbedder(), None)
    [index] = read_indexes(settings.home)
    address = f"/photos/{index.id}/{index.records[0].id}"
    async with await visits.owner() as client:
        answer = await client.get(address)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.content.startswith(b"\xff\xd8")
        for path in (f"/photos/{index.id}/{'0' * 16}", f"/photos/{index.id}/..%2Findex.json", "/photos/../x"):
            assert (await client.get(path)).status_code == 404
    async with await visits.somebody(Role.VIEWER) as client:
        assert (await client.get(address)).status_code == 403


async def test_replies_that_are_nearly_the_same(with_model: Visits, run: Run, database: Database) -> None:
    """A page of its own: group by group, with the way to the first; a nearness that is none is refused."""
    first = await add_turns(database, f"The keeper lit the lamp in the lighthouse. {MARKUP}")
    await add_turns(database, f"The keeper lit the lamp in the light house. {MARKUP}", sequence="b")
    async with await with_model.owner() as client:
        assert 'name="least"' in (await client.get("/duplicates")).text
        text = await answered(client, "/duplicates?run=nightly&least=0.8")
        assert "1 group among the replies of nightly." in text
        assert f"#t{first.id}" in text
        assert not [tag for tag, _ in Tags(text).found if tag in ("img", "b")]
        assert "No two replies are that near." in await answered(client, "/duplicates?run=nightly&least=1")
        for least in ("2", "near", "nan"):
            assert (await client.get(f"/duplicates?run=nightly&least={least}")).status_code == 400, least
        assert (await client.get("/duplicates?run=nobody")).status_code == 404


async def test_who_else_serves_photos(with_model: Visits, run: Run, database: Database) -> None:
    """Said to those who may see photos, by the name of the host."""
    await add_turns(database, "A beacon.")
    await announce_photos("another home", "attic", 1, 7, database)
    async with await with_model.owner() as client:
        assert "served by the host attic" in await answered(client, "/search?q=beacon")
    async with await with_model.somebody(Role.VIEWER) as client:
        assert "attic" not in await answered(client, "/search?q=beacon")
