"""The page that compares: turns of two runs beside each other, what changed word by word, a page at a time."""

from __future__ import annotations

import re

import httpx
import pytest

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.pipeline.runs.producer import enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.web.pages import compare
from tests.documents import a_turn
from tests.integration.web.conftest import Visits
from tests.integration.web.test_pages import CONTROLS, MARKUP, Tags, get

ASKED = "/compare?base=nightly&other=later"


@pytest.fixture
async def later(run: Run, database: Database) -> Run:
    """Another run of the same sequences; both have ended."""
    request = make_request(suite="tales", models=("m",), known_models=("m",), name="later")
    made = (await enqueue(request, database)).run
    for each in (run, made):
        ended = {"status": RunStatus.DONE, "outcome.finished_at": await database.now()}
        await database.runs.update_one({"_id": each.id}, {"$set": ended})
    return made


async def reply(run: Run, sequence: str, text: str, database: Database) -> Job:
    job = await Job.find_one({"run": run.id, "sequence": sequence})
    assert job is not None
    done = {"status": JobStatus.DONE, "turns": [a_turn(reply=text).model_dump(mode="python")], "turns_committed": 1}
    await database.jobs.update_one({"_id": job.id}, {"$set": done})
    return job


async def compared(client: httpx.AsyncClient, address: str) -> str:
    while "being computed" in (text := await get(client, address)):
        pass  # each request waits for the result a moment
    return text


async def test_turns_that_changed_are_shown_word_by_word(
    visits: Visits, run: Run, later: Run, database: Database
) -> None:
    """Only those that changed, or all; a reply that is missing is said, with the reason."""
    for each, text in ((run, "A red fox."), (later, "A blue fox.")):
        await reply(each, "a", text, database)
    await reply(run, "b", "The same.", database)
    same = await reply(later, "b", "The same.", database)
    async with await visits.owner() as client:
        text = await compared(client, ASKED)
        assert "later:m against nightly:m" in text
        assert "1 of 2 turns changed. Shown: 1 to 1 of 1." in text
        assert "A<del> red</del> fox." in text
        assert "A<ins> blue</ins> fox." in text
        assert "The same." not in text
        text = await compared(client, f"{ASKED}&turns=all")
        assert "Shown: 1 to 2 of 2." in text
        assert text.count("The same.") == 2
        dead = {"status": JobStatus.DEAD, "reason": "boom", "turns": [], "turns_committed": 0}
        await database.jobs.update_one({"_id": same.id}, {"$set": dead})
        await database.runs.update_one({"_id": later.id}, {"$set": {"outcome.finished_at": await database.now()}})
        text = await compared(client, ASKED)
        assert "2 of 2 turns changed." in text
        assert "later:m: no reply, DEAD: boom" in text


async def test_they_come_a_page_at_a_time(
    visits: Visits, run: Run, later: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The links keep what was chosen; a page that there is not shows none."""
    monkeypatch.setattr(compare, "EACH", 1)
    for sequence in "ab":
        for each in (run, later):
            await reply(each, sequence, f"{sequence} in {each.name}", database)
    async with await visits.owner() as client:
        first = await compared(client, f"{ASKED}&turns=all")
        assert re.findall(r"<h3>(.*?)</h3>", first) == ["a, turn 1"]
        after = next(
            attrs["href"] for tag, attrs in Tags(first).found if tag == "a" and "page=2" in (attrs["href"] or "")
        )
        assert after == "/compare?base=nightly&other=later&turns=all&page=2"
        second = await compared(client, after)
        assert re.findall(r"<h3>(.*?)</h3>", second) == ["b, turn 1"]
        assert ">Before</a>" in second
        assert ">After</a>" not in second
        assert "None is shown." in await compared(client, f"{ASKED}&page=9")


async def test_a_hostile_reply_stays_text_there(visits: Visits, run: Run, later: Run, database: Database) -> None:
    await reply(run, "a", MARKUP + CONTROLS, database)
    await reply(later, "a", CONTROLS + MARKUP.replace("alert", "confirm"), database)
    async with await visits.owner() as client:
        text = await compared(client, ASKED)
    assert "[U+202E]" in text
    tags = Tags(text).found
    assert not [tag for tag, _ in tags if tag in ("img", "b")]
    assert not [attrs for _, attrs in tags if "hx-trigger" in attrs and attrs.get("id") != "content"]
    assert not set(text) & set("\x1b\x07\u202e\u202c\u200f")
