"""A job's page: attempts with their reasons, and what its model was asked and wrote, as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from nightjar.config.errors import NightjarError
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.records import Attempt, AttemptEnd
from nightjar.jobs.states import JobStatus
from nightjar.web.prompts import Prompts
from tests.documents import a_turn
from tests.integration.web.conftest import Visits
from tests.integration.web.test_pages import CONTROLS, MARKUP, Tags, get

BEGAN = utc_now() - timedelta(minutes=5)


def attempt(fence: int, end: AttemptEnd | None, error: str | None = None) -> dict[str, Any]:
    moment = BEGAN + timedelta(minutes=fence)
    ended = None if end is None else moment + timedelta(seconds=30)
    made = Attempt(fence=fence, worker=f"w{fence}", host="h", started_at=moment, ended_at=ended, end=end, error=error)
    return made.model_dump(mode="python")


async def change(database: Database, sequence: str, **fields: Any) -> Job:
    """The job of a sequence, with other fields."""
    await database.jobs.update_one({"sequence": sequence}, {"$set": fields})
    job = await Job.find_one({"sequence": sequence})
    assert job is not None
    return job


async def test_attempts_and_their_reasons(visits: Visits, run: Run, database: Database) -> None:
    """Of jobs that failed or were begun again; a job that simply runs is not among them."""
    boom = [attempt(1, AttemptEnd.CRASHED, "SIGSEGV"), attempt(2, AttemptEnd.ERROR, "ContextError: too long")]
    async with await visits.owner() as client:
        assert "No job failed or had to be begun again." in await get(client, "/runs/nightly")
        dead = await change(
            database, "a", status="DEAD", fence=2, tries=1, crashes=1, reason="ContextError: too long", attempts=boom
        )
        running = await change(database, "b", status="RUNNING", fence=1, attempts=[attempt(1, None)], owner="w1")
        text = await get(client, "/runs/nightly")
        assert f'href="/runs/nightly/jobs/{dead.id}"' in text
        assert "crashed, error" in text
        assert "w1" not in text.partition('id="troubled-jobs"')[2].partition("</table>")[0]
        page = await get(client, f"/runs/nightly/jobs/{dead.id}")
        for words in ("DEAD: ContextError: too long", "SIGSEGV", "0 min 30 s", "w2"):
            assert words in page, words
        assert "data-live" not in page
        under_way = await get(client, f"/runs/nightly/jobs/{running.id}")
        assert "under way" in under_way
        assert "data-live" in under_way
        again = await change(database, "b", fence=3, attempts=[attempt(1, AttemptEnd.RELEASED), attempt(3, None)])
        assert "released, under way" in await get(client, "/runs/nightly")
        assert (await client.get("/runs/nightly/jobs/other")).status_code == 404
        assert again.fence == 3


def answer_with(visits: Visits, answers: list[Mapping[str, Any] | NightjarError]) -> list[tuple[str, str, str]]:
    """The server renders prompts so; what it is asked."""
    asked: list[tuple[str, str, str]] = []

    async def command(run: str, sequence: str, contestant: str) -> Mapping[str, Any]:
        asked.append((run, sequence, contestant))
        answer = answers.pop(0)
        if isinstance(answer, NightjarError):
            raise answer
        return answer

    object.__setattr__(visits.app.state.site, "prompts", Prompts(command=command))
    return asked


async def test_a_running_conversation_as_it_is_sent(visits: Visits, run: Run, database: Database) -> None:
    """The prompts as the model reads them, also of the turn under way, and replies before anything is taken out."""
    turn = a_turn(prompt="Tell me.", reply="Once.", raw_text="<think>hm</think>Once.").model_dump(mode="python")
    job = await change(database, "a", status=JobStatus.RUNNING, turns=[turn], turns_committed=1, turns_total=2)
    said = {
        "conversations": [
            {"job": "another", "turns": [{"rendered": "no"}], "under_way": None},
            {"job": job.id, "turns": [{"rendered": f"<|user|>{MARKUP}{CONTROLS}"}], "under_way": "<|user|>More."},
        ],
        "notes": [],
    }
    asked = answer_with(visits, [NightjarError("The file is not here."), said])
    path = f"/runs/nightly/jobs/{job.id}"
    async with await visits.owner() as client:
        first = await get(client, path)
        assert "The file is not here." in first
        assert "this is the message alone" in first
        assert "&lt;think&gt;hm&lt;/think&gt;Once." in first
        text = await get(client, path)  # what failed is tried again
        assert "&lt;|user|&gt;More." in text
        assert "Turn 2: it is being replied to" in text
        await get(client, path)
        assert asked == [(run.id, "a", "m")] * 2  # it is not rendered once more
        assert not [tag for tag, _ in Tags(text).found if tag in ("img", "b")]
        assert not set(text) & set("\x1b\x07\u202e\u202c\u200f")
        assert f'href="{path}"' in await get(client, "/runs/nightly")


async def test_what_takes_long_is_told_when_it_is_there(visits: Visits, run: Run, database: Database) -> None:
    """And a server that cannot render says what does."""
    turn = a_turn(prompt="Tell me.").model_dump(mode="python")
    job = await change(database, "a", status=JobStatus.DONE, turns=[turn], turns_committed=1)
    path = f"/runs/nightly/jobs/{job.id}"
    there = asyncio.Event()

    async def command(*_: str) -> Mapping[str, Any]:
        await there.wait()
        return {"conversations": [], "notes": ["m: its prompts can't be rendered here: none"]}

    async with await visits.owner() as client:
        assert "nightjar show nightly --prompt a --rendered" in await get(client, path)
        prompts = Prompts(command=command)
        object.__setattr__(visits.app.state.site, "prompts", prompts)
        text = await get(client, path)
        assert "being rendered" in text
        assert "data-live" in text
        there.set()
        text = await get(client, path)
        assert "rendered here: none" in text
        assert "data-live" not in text
    await prompts.close()


@pytest.mark.parametrize("name", ["nightly", "other"])
async def test_a_job_of_another_run_is_not_shown(name: str, visits: Visits, run: Run, database: Database) -> None:
    job = await change(database, "a", run="another")
    async with await visits.owner() as client:
        assert (await client.get(f"/runs/{name}/jobs/{job.id}")).status_code == 404
