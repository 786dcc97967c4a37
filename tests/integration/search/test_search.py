"""Searches over what MongoDB holds: what is found, by whom, and what goes with its run, its night or its request."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from beanie.odm.utils.dump import get_dict

from nightjar.config.errors import NightjarError, UnknownNameError
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.live.runs import remove_ended_live
from nightjar.jobs.live_request import LiveRequest
from nightjar.jobs.lookup import find_turn
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.runs.removal import remove_run
from nightjar.jobs.search.unindexed import find_unindexed
from nightjar.jobs.search.vector_reading import LIVE_RUN
from nightjar.jobs.search.vectors import TextKind, being_indexed
from nightjar.jobs.states import JobKind, JobStatus, RunKind, RunStatus
from nightjar.pipeline.search import matrix, start
from nightjar.pipeline.search.duplicates import find_equal_replies
from nightjar.pipeline.search.index import index_texts
from nightjar.pipeline.search.matrix import VectorMatrix, map_matrix
from nightjar.pipeline.search.question import SearchAnswer, SearchQuestion
from nightjar.pipeline.search.start import search
from tests.documents import a_job, a_run, a_turn
from tests.word_embedder import WordEmbedder

if TYPE_CHECKING:
    from nightjar.jobs.search.text_embedder import Vectors

LIGHTHOUSE = "I like boats. A lighthouse stood in the storm. The keeper slept."
BREAD = "Bread needs flour and water."


async def stored(database: Database, *documents: Run | Job) -> None:
    for document in documents:
        row = get_dict(document, to_db=True)
        await database.raw["runs" if isinstance(document, Run) else "jobs"].insert_one(
            {"_id": document.id} | {name: value for name, value in row.items() if name != "id"}
        )


def done(job_id: str, *replies: str, prompt: str = "Tell me something.", **changes: Any) -> Job:
    turns = [a_turn(index, prompt=prompt, reply=reply) for index, reply in enumerate(replies)]
    return a_job(job_id, **({"status": JobStatus.DONE, "turns": turns, "finished_at": utc_now()} | changes))


@pytest.fixture
async def two_runs(database: Database) -> Database:
    """run1 has ended, with a judge's words; run2 works. Both asked the same."""
    judged = a_turn(reply='{"plot": {"reason": "The ending surprises.", "score": 5}}', prompt="Judge it.")
    await stored(
        database,
        a_run("run1", status=RunStatus.DONE),
        done("aaaaaa01", LIGHTHOUSE, BREAD),
        done("aaaaaa02", BREAD, model="n"),
        a_job(
            "aaaaaa03",
            kind=JobKind.JUDGE,
            model="judge",
            status=JobStatus.DONE,
            turns=[judged],
            payload={"job": "aaaaaa01", "turn": 1, "rubric": "r"},
        ),
        a_run("run2"),
        done("bbbbbb01", "Nothing of the sort.", run="run2"),
        a_job("bbbbbb02", run="run2"),
    )
    return database


async def ask(database: Database, home: Path, text: str = "", **changes: Any) -> SearchAnswer:
    embedder = changes.pop("embedder", None) or WordEmbedder()
    return await search(SearchQuestion(text=text, **changes), embedder, database, home)


async def test_words_and_meaning_together(two_runs: Database, tmp_path: Path) -> None:
    """The sentence that matched, where it stands, and each text embedded once."""
    embedder = WordEmbedder()
    answer = await ask(two_runs, tmp_path, "a lighthouse in the storm", embedder=embedder)
    hit = answer.hits[0]
    assert hit.sentence == "A lighthouse stood in the storm."
    assert (hit.exact, hit.places_total) == (True, 1)
    [place] = hit.places
    assert (place.run, place.job, place.turn, place.part, place.model, place.repeat) == (
        "run1",
        "aaaaaa01",
        1,
        TextKind.REPLY,
        "m",
        1,
    )
    assert answer.texts == 5, "the prompt that all were asked, three replies and a reason"
    assert answer.unindexed == 0
    indexed = [text for text in embedder.texts if text in (LIGHTHOUSE, BREAD, "Tell me something.")]
    assert sorted(indexed) == sorted([LIGHTHOUSE, BREAD, "Tell me something."]), "never twice for one text"
    other = await ask(two_runs, tmp_path, "water and flour")
    assert other.hits[0].text == BREAD
    assert {place.job for place in other.hits[0].places} == {"aaaaaa01", "aaaaaa02"}


async def test_filters(two_runs: Database, tmp_path: Path) -> None:
    """A run, a contestant; a judge's reason stands at the turn it is about; what is like a turn is not that turn."""
    only = await ask(two_runs, tmp_path, "bread", run="run2")
    assert {place.run for hit in only.hits for place in hit.places} == {"run2"}
    assert only.texts == 2, "those of the run"
    with pytest.raises(UnknownNameError, match="no model 'mm'"):
        await ask(two_runs, tmp_path, "bread", model="mm")
    assert (await ask(two_runs, tmp_path, "bread", model="n", run="run2")).hits == ()
    of_n = await ask(two_runs, tmp_path, "flour", model="n")
    assert {place.job for hit in of_n.hits for place in hit.places} == {"aaaaaa02"}
    reason = (await ask(two_runs, tmp_path, "the ending surprises")).hits[0]
    assert [(place.job, place.turn, place.part) for place in reason.places] == [("aaaaaa01", 2, TextKind.REASON)]
    like = await ask(two_runs, tmp_path, like=("aaaaaa01", 0))
    assert LIGHTHOUSE not in [hit.text for hit in like.hits]
    assert like.hits
    assert {place.part for hit in like.hits for place in hit.places} == {TextKind.REPLY}
    with pytest.raises(UnknownNameError, match="indexed"):
        await ask(two_runs, tmp_path, like=("aaaaaa01", 7))
    job, turn = await find_turn("aaaaaa01:2", two_runs)
    assert (job.id, turn) == ("aaaaaa01", 1)
    with pytest.raises(UnknownNameError):
        await find_turn("cccccc:1", two_runs)


async def test_nothing_is_there(database: Database, tmp_path: Path) -> None:
    answer = await ask(database, tmp_path, "anything at all")
    assert (answer.hits, answer.texts, answer.notices) == ((), 0, ())


async def test_another_model_begins_anew_and_says_so(
    two_runs: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Much that is missing is left to jobs; nothing of the other model's is compared with."""
    await ask(two_runs, tmp_path, "bread")
    monkeypatch.setattr(start, "FEW", 0)
    embedder = WordEmbedder("b" * 64)
    answer = await ask(two_runs, tmp_path, "bread", embedder=embedder)
    assert answer.hits == ()
    assert answer.unindexed == 4
    [notice] = answer.notices
    assert "another model than words" in notice
    assert "nightjar search --index" in notice
    await index_texts(await find_unindexed("b" * 64, two_runs), embedder, two_runs)
    answer = await ask(two_runs, tmp_path, "bread", embedder=embedder)
    assert (answer.hits[0].text, answer.notices) == (BREAD, ())


async def test_a_removed_run_takes_its_texts_along(two_runs: Database, tmp_path: Path) -> None:
    """What another run says too stays, with that reference; the file is made anew."""
    before = await ask(two_runs, tmp_path, "tell me something")
    assert before.hits[0].places_total == 4
    run = await Run.get("run1")
    assert run is not None
    await remove_run(run, two_runs)
    after = await ask(two_runs, tmp_path, "tell me something")
    assert [place.run for place in after.hits[0].places] == ["run2"]
    assert (await ask(two_runs, tmp_path, "lighthouse")).texts == 2
    assert await two_runs.raw["indexed_runs"].count_documents({"run": "run1"}) == 0
    assert len(list((tmp_path / "search").iterdir())) == 1, "files of former states are removed"


async def test_many_nearer_texts_of_others_hide_nothing(two_runs: Database, tmp_path: Path) -> None:
    """However many texts of another user are nearer, what one may see is found."""
    live = a_run("live1", kind=RunKind.LIVE, user="ann", name="live:2026:m:1")
    texts = [f"bread {'bread ' * count}" for count in range(20)]
    await stored(two_runs, live, done("cccccc01", *texts, run="live1", live=LiveRequest(user="ann", seed=1)))
    assert "bread" in (await ask(two_runs, tmp_path, "bread", user="ann", most=1)).hits[0].text
    answer = await ask(two_runs, tmp_path, "bread", most=2)
    assert answer.hits[0].text == BREAD
    assert all(place.run != LIVE_RUN for hit in answer.hits for place in hit.places)
    assert len(answer.hits) == 2


async def test_files_of_other_models_and_of_the_killed_go(
    two_runs: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where another search puts a newer file in the place of one's own, it is opened."""
    folder = tmp_path / "search"
    for name in (".killed", ".at-work", "bbbbbbbbbbbb-0123456789abcdef"):
        (folder / name).mkdir(parents=True)
    os.utime(folder / ".killed", (0, 0))
    opened: list[Path] = []

    def replaced_once(path: Path) -> VectorMatrix:
        opened.append(path)
        if len(opened) == 1:
            shutil.rmtree(path)
        return map_matrix(path)

    monkeypatch.setattr(matrix, "map_matrix", replaced_once)
    assert (await ask(two_runs, tmp_path, "bread")).hits[0].text == BREAD
    assert sorted(path.name for path in folder.iterdir()) == [".at-work", opened[-1].name]


async def test_what_goes_while_it_is_embedded_is_gone(two_runs: Database, tmp_path: Path) -> None:
    """A run that is removed, texts that are dropped, a live request that expires: nothing of it is stored after it."""
    live = a_run("live1", kind=RunKind.LIVE, user="ann", name="live:2026:m:1")
    long_ago = utc_now() - timedelta(days=1)
    asked = done("cccccc01", "My garden.", run="live1", live=LiveRequest(user="ann", seed=1), finished_at=long_ago)
    await stored(two_runs, live, asked)

    class Slow(WordEmbedder):
        async def embed(self, texts: Sequence[str]) -> Vectors:
            run = await Run.get("run1")
            if run is not None:
                await remove_run(run, two_runs)
                await two_runs.raw["runs"].update_one({"_id": "run2"}, {"$set": {"transcripts_dropped_at": utc_now()}})
                await remove_ended_live(60, two_runs)
            return await super().embed(texts)

    embedder = Slow()
    unindexed = await find_unindexed(embedder.facts.digest, two_runs, user="ann")
    assert sorted(unindexed.jobs) == ["live1", "run1", "run2"]
    await index_texts(unindexed, embedder, two_runs)
    assert embedder.texts
    assert await two_runs.raw["vectors"].count_documents({}) == 0
    assert await two_runs.raw["indexed_runs"].count_documents({"run": {"$in": ["run1", "run2"]}}) == 0


async def test_live_requests_are_found_by_their_user_alone(two_runs: Database, tmp_path: Path) -> None:
    """And only while they are kept; what is not to be stored is never indexed."""
    live = a_run("live1", kind=RunKind.LIVE, user="ann", name="live:2026:m:1")
    secret = done("cccccc01", "My secret garden is green.", run="live1", live=LiveRequest(user="ann", seed=1))
    unstored = done("cccccc02", "Unstored garden.", run="live1", live=LiveRequest(user="ann", seed=1, store=False))
    await stored(two_runs, live, secret, unstored)
    for user, found in (("ann", True), ("bob", False), (None, False), ("ann", True)):
        answer = await ask(two_runs, tmp_path, "secret garden", user=user)
        assert ("My secret garden is green." in [hit.text for hit in answer.hits]) is found, user
        assert "Unstored garden." not in [hit.text for hit in answer.hits]
    mine = (await ask(two_runs, tmp_path, "secret garden", user="ann")).hits[0]
    assert [(place.run, place.sequence) for place in mine.places] == [(LIVE_RUN, None)]
    await two_runs.raw["jobs"].update_many({"run": "live1"}, {"$set": {"finished_at": utc_now() - timedelta(days=1)}})
    await remove_ended_live(60, two_runs)
    assert await two_runs.raw["vectors"].count_documents({"refs.user": "ann"}) == 0


async def test_what_was_being_indexed_when_it_was_killed_is_indexed_again(two_runs: Database) -> None:
    embedder = WordEmbedder()
    digest = embedder.facts.digest
    await index_texts(await find_unindexed(digest, two_runs), embedder, two_runs)
    assert (await find_unindexed(digest, two_runs)).count == 0
    with pytest.raises(KeyboardInterrupt):
        async with being_indexed("run2", digest, ["bbbbbb01"], two_runs):
            raise KeyboardInterrupt
    left = await find_unindexed(digest, two_runs)
    assert left.jobs == {"run2": ["bbbbbb01"]}
    count = len(embedder.texts)
    await index_texts(left, embedder, two_runs)
    assert len(embedder.texts) == count, "never twice for one text"
    assert (await find_unindexed(digest, two_runs)).count == 0


async def test_replies_that_are_nearly_the_same(two_runs: Database, tmp_path: Path, monkeypatch: Any) -> None:
    """Equal ones, and such with the same words."""
    await stored(two_runs, done("aaaaaa04", "Bread needs water and flour!"))
    await two_runs.raw["runs"].update_one({"_id": "run1"}, {"$set": {"outcome.finished_at": utc_now()}})
    [group] = await find_equal_replies("run1", 0.95, WordEmbedder(), two_runs, tmp_path)
    assert sorted(place.job for place in group.places) == ["aaaaaa01", "aaaaaa02", "aaaaaa04"]
    assert group.least > 0.99
    assert await find_equal_replies("run2", 0.95, WordEmbedder(), two_runs, tmp_path) == []
    monkeypatch.setattr(start, "FEW", 0)
    with pytest.raises(NightjarError, match="not indexed yet"):
        await find_equal_replies("run1", 0.95, WordEmbedder("c" * 64), two_runs, tmp_path)
