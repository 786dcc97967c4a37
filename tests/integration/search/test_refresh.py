"""The index of runs that have ended keeps itself up to date: once for each text, and never beside work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import ModelError
from nightjar.config.settings import Settings
from nightjar.jobs.mongo import Database
from nightjar.jobs.search.unindexed import Unindexed, find_unindexed
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.pipeline.dispatch import dispatcher
from nightjar.pipeline.dispatch.dispatcher import Dispatcher
from nightjar.pipeline.search import refresh
from nightjar.pipeline.search.refresh import IndexRefresher
from tests.documents import a_job, a_run
from tests.integration.search.test_search import BREAD, LIGHTHOUSE, done, stored
from tests.word_embedder import WordEmbedder
from tests.workbench import opened_bench, until


@asynccontextmanager
async def opened(embedder: WordEmbedder) -> AsyncIterator[WordEmbedder]:
    yield embedder


async def test_what_ended_is_embedded_once(database: Database) -> None:
    """A run that closes is indexed with the next round; a second dispatcher finds nothing left to do."""
    embedder = WordEmbedder()
    await stored(database, a_run("run1", status=RunStatus.DONE), done("aaaaaa01", LIGHTHOUSE, BREAD))
    one, other = (IndexRefresher(lambda _: opened(embedder), name, database) for name in ("one", "other"))
    assert await one.refresh() == 1
    texts = len(embedder.texts)
    assert texts == len(set(embedder.texts)) == 3, "prompt and replies"
    assert (await one.refresh(), await other.refresh(), len(embedder.texts)) == (0, 0, texts)
    assert not await find_unindexed(embedder.facts.digest, database)
    await stored(database, a_run("run2", status=RunStatus.DONE), done("bbbbbb01", BREAD, "Snow.", run="run2"))
    assert sum(await asyncio.gather(one.refresh(), other.refresh())) == 1
    assert embedder.texts[texts:] == ["Snow."], "the rest was embedded for another run"


@pytest.mark.parametrize(
    ("run", "job"),
    [
        (RunStatus.ACTIVE, JobStatus.PENDING),  # an evaluation, whose speed would be measured
        (RunStatus.JUDGING, JobStatus.PENDING),
        (RunStatus.DONE, JobStatus.RUNNING),  # somebody's live request
    ],
)
async def test_it_waits_while_something_works(database: Database, run: RunStatus, job: JobStatus) -> None:
    embedder = WordEmbedder()
    await stored(database, a_run("run1", status=RunStatus.DONE), done("aaaaaa01", LIGHTHOUSE))
    await stored(database, a_run("run2", status=run), a_job("bbbbbb01", run="run2", status=job))
    refresher = IndexRefresher(lambda _: opened(embedder), "one", database)
    assert (await refresher.refresh(), embedder.texts) == (0, [])


async def test_it_stops_where_a_run_begins(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two conversations; the rest comes later. More than is little is left to jobs."""
    monkeypatch.setattr(refresh, "AT_ONCE", 1)
    jobs = [done(f"aaaaaa0{number}", f"Reply {number}.") for number in range(4)]
    await stored(database, a_run("run1", status=RunStatus.DONE), *jobs)

    class Starting(WordEmbedder):
        async def embed(self, texts: list[str]) -> object:  # type: ignore[override]
            if len(self.texts) > 1:
                await database.runs.update_one({"_id": "run2"}, {"$set": {"status": RunStatus.ACTIVE}}, upsert=False)
            return await super().embed(texts)

    await stored(database, a_run("run2", status=RunStatus.PAUSED))
    embedder = Starting()
    refresher = IndexRefresher(lambda _: opened(embedder), "one", database)
    assert await refresher.refresh() == 2
    await database.runs.update_one({"_id": "run2"}, {"$set": {"status": RunStatus.CANCELLED}})
    monkeypatch.setattr(refresh, "MOST", 1)
    assert await refresher.refresh() == 0
    monkeypatch.undo()
    assert await refresher.refresh() == 2
    assert not await find_unindexed(embedder.facts.digest, database)


async def test_a_model_that_cannot_be_used_is_asked_once(database: Database) -> None:
    asked: list[int] = []

    @asynccontextmanager
    async def broken(needed_by: str) -> AsyncIterator[WordEmbedder]:
        asked.append(1)
        raise ModelError("no such model")
        yield

    refresher = IndexRefresher(broken, "one", database)
    assert [await refresher.refresh() for _ in range(3)] == [0, 0, 0]
    assert len(asked) == 1


async def test_a_dispatcher_does_it(
    database: Database, services: ServiceUrls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "INDEX_EVERY_S", 0.05)
    embedder = WordEmbedder()
    async with opened_bench(database, services, Settings(home=tmp_path / "home")) as bench:
        bench.dispatcher = Dispatcher(database, bench.doorbell, bench.settings, embedder=lambda _: opened(embedder))
        async with bench.dispatching():
            await stored(database, a_run("run1", status=RunStatus.CANCELLED), done("aaaaaa01", LIGHTHOUSE))
            await until(lambda: _all_indexed(embedder, database))
    assert LIGHTHOUSE in embedder.texts


async def _all_indexed(embedder: WordEmbedder, database: Database) -> bool:
    return bool(embedder.texts) and not await find_unindexed(embedder.facts.digest, database)


def test_conversations_are_taken_out_in_parts() -> None:
    """A run's version goes with its last conversation; one without any missing goes first."""
    unindexed = Unindexed(jobs={"a": ["1", "2", "3"], "b": ["4"]}, versions={"a": "va", "b": "vb", "c": "vc"})
    parts = []
    while part := unindexed.take(2):
        parts.append((part.jobs, part.versions))
    assert parts == [
        ({"a": ["1", "2"]}, {"c": "vc"}),
        ({"a": ["3"], "b": ["4"]}, {"a": "va", "b": "vb"}),
    ]
