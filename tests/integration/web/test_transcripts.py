"""Which conversations the page shows: by score, tag, ending, text and label; two models side by side."""

from __future__ import annotations

import html
import re

import pytest

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.mongo import Database
from tests.integration.web.conftest import Visits
from tests.integration.web.test_pages import MARKUP, Tags, add_turns, get


async def scored(job: Job, scorer: str, value: float | None, database: Database, reason: str | None = None) -> None:
    state = "unscored" if value is None else "scored"
    row = {"run": job.run, "job": job.id, "turn": 0, "scorer": scorer, "value": value, "state": state}
    row |= {"answer": None, "reason": reason, "scorer_digest": "d", "judging": None}
    await database.raw["scores"].insert_one({"_id": f"{job.id}.0.{scorer}", **row})


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("", "ab"),
        ("text=FOX", "a"),
        ("text=.*", ""),  # a text, no pattern
        ("text=star", "b"),  # of a reply
        ("tag=hard", "b"),
        ("finish=stop", "ab"),
        ("finish=length", ""),
        ("label=good", "a"),
        ("score=length_ok", "ab"),
        ("score=length_ok&most=0.5", "b"),
        ("score=length_ok&least=0.5", "a"),
        ("score=none", ""),  # nothing is scored by it
        ("score=unscored", ""),
        ("model=m", "ab"),
        ("model=other", ""),
        ("status=DONE&text=star&tag=hard", "b"),
    ],
)
async def test_filters(asked: str, seen: str, visits: Visits, run: Run, database: Database) -> None:
    first, second = await add_turns(database, "Of a fox."), await add_turns(database, "Of a star.", "b")
    await database.jobs.update_one({"_id": second.id}, {"$set": {"tags": ["hard"], "turns.0.prompt": "x"}})
    await database.jobs.update_one({"_id": first.id}, {"$set": {"labels": ["good"]}})
    for job, value in ((first, 1.0), (second, 0.0)):
        await scored(job, "length_ok", value, database)
        await scored(job, "unscored", None, database)
    async with await visits.owner() as client:
        text = await get(client, f"/runs/nightly/transcripts?{asked}")
    found = {name for name, job in (("a", first), ("b", second)) if f'id="t{job.id}"' in text}
    assert found == set(seen), asked


async def test_a_bound_that_is_no_number_is_refused(visits: Visits, run: Run) -> None:
    async with await visits.owner() as client:
        answer = await client.get("/runs/nightly/transcripts?score=x&least=a")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "asked",
    [
        "page=" + "9" * 30,  # more than MongoDB can skip
        "page=" + "9" * 5_000,
        "page=-1",
        "page=%C2%B2",
        "page=999999999",
        "text=%00",
        "text=%FF%FE",
        "text=" + "(" * 300,
        "label=%00&tag=$where",
        "score=x&least=nan&most=inf",
        "sequence=a&sequence=%7B%7D&model[$ne]=m",
    ],
)
async def test_nonsense_in_the_address_is_no_fault_of_ours(asked: str, visits: Visits, run: Run) -> None:
    async with await visits.owner() as client:
        answer = await client.get(f"/runs/nightly/transcripts?{asked}")
    assert answer.status_code in (200, 400)


async def test_two_models_side_by_side(visits: Visits, run: Run, database: Database) -> None:
    job = await add_turns(database, "Of a fox.")
    row = await database.jobs.find_one({"_id": job.id})
    assert row is not None
    await database.jobs.insert_one({**row, "_id": "other", "model": "n", "order": 99})
    await database.runs.update_one({}, {"$push": {"models": {"name": "n", "digest": None}}})
    async with await visits.owner() as client:
        beside = await get(client, "/runs/nightly/transcripts?model=m&model=n&sequence=a")
        assert beside.count('class="beside"') == 1
        assert beside.count("<article") == 2
        assert "1 to 2 of 2" in beside
        assert 'class="beside"' not in await get(client, "/runs/nightly/transcripts?sequence=a")


async def test_the_parameters_of_a_turn_and_the_words_of_judges(visits: Visits, run: Run, database: Database) -> None:
    """Every parameter with where it is from, the strongest layer first; a reason whether there is a value or not."""
    job = await add_turns(database, "Of a fox.")
    values = {"temperature": 0.2, "top_k": 5, "stop": ["</b>"], "grammar": None, "memory": None}
    sources = {"temperature": "suite", "top_k": "--set", "stop": "--set", "grammar": "default", "memory": "turn"}
    changes = {"turns.0.parameters": values, "turns.0.sources": sources, "turns.0.draws.0.seed": 77}
    await database.jobs.update_one({"_id": job.id}, {"$set": changes})
    await scored(job, "judge:wit", 4.0, database, MARKUP)
    await scored(job, "judge:depth", None, database, "no verdict was given")
    async with await visits.owner() as client:
        text = await get(client, "/runs/nightly/transcripts?sequence=a")
    assert "Parameters, seed 77" in text
    lines = re.findall(r'<dt>(.*?)</dt><dd dir="auto">(.*?)</dd>', text)
    assert [(source, html.unescape(shown)) for source, shown in lines] == [
        ("--set", 'top_k 5, stop ["</b>"]'),
        ("turn", "memory null"),  # set to nothing there; the grammar is not set at all
        ("suite", "temperature 0.2"),
    ]
    words = re.findall(r'<li>(judge:\w+) <b>(.*?)</b> <span dir="auto">(.*?)</span>', text, re.DOTALL)
    assert [(name, shown, html.unescape(reason)) for name, shown, reason in words] == [
        ("judge:depth", "unscored", "no verdict was given"),
        ("judge:wit", "4", MARKUP),
    ]
    assert "img" not in {tag for tag, _ in Tags(text).found}


async def test_labels_are_put_on_and_taken_off(visits: Visits, run: Run) -> None:
    job = await Job.find_one({"sequence": "a"})
    assert job is not None
    path = f"/runs/nightly/jobs/{job.id}/label"
    async with await visits.owner() as client:
        assert (await client.post(path, content="label=good+one")).json() == {"said": "Labelled good one."}
        assert ">good one</span>" in await get(client, "/runs/nightly/transcripts")
        for wrong in ("", "<b>", "x" * 41, "a\nb"):
            assert (await client.post(path, data={"label": wrong})).status_code == 400
        assert (await client.post(path, content="label=good+one")).json() == {"said": "The label good one is off."}
        assert (await client.post("/runs/nightly/jobs/x/label", content="label=a")).status_code == 404
        for number in range(20):
            await client.post(path, content=f"label=l{number}")
        assert (await client.post(path, content="label=more")).status_code == 400
