"""Streams of `/v1` whose worker is lost: what another attempt says is gone on with, or told as OpenAI tells errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.accounts.access import add_token
from nightjar.jobs.accounts.documents import TokenScope
from nightjar.jobs.documents import Job
from nightjar.jobs.live.bell import publish_text
from nightjar.jobs.live.text import TextMessage
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import JobStatus
from nightjar.workers.engine.fake import ScriptedEngine
from tests.documents import a_turn
from tests.integration.web.conftest import HOST, Visits
from tests.integration.web.test_server import SOON_S, Served, served
from tests.workbench import opened_bench, until

ASKED: dict[str, Any] = {"/v1/chat/completions": {"messages": [{"role": "user", "content": "Tell me of a fox."}]}}
ASKED |= {"/v1/completions": {"prompt": "Once upon a time"}}


@pytest.fixture
async def server(visits: Visits, database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Served]:
    """With a model that was loaded once; whoever replies now is the test."""
    async with opened_bench(database, services, Settings(home=tmp_path / "work", drain_s=5)) as bench:
        async with bench.worker(ScriptedEngine(slots=1)):
            await until(lambda: database.raw["models"].find_one({"_id": "scripted"}), within_s=SOON_S)
        async with visits.app.state.site.live, served(visits) as server:
            yield server


class Reply:
    """A stream, and the jobs behind it."""

    def __init__(self, answer: httpx.Response, visits: Visits) -> None:
        self._lines = answer.aiter_lines()
        self._visits = visits

    async def next(self) -> Any:
        """The data of the next event; None: the stream is over."""
        async with asyncio.timeout(SOON_S):
            async for line in self._lines:
                if line.startswith("data: "):
                    data = line.removeprefix("data: ")
                    return data if data == "[DONE]" else json.loads(data)
        return None

    async def text(self) -> str:
        """The next text."""
        while True:
            [choice] = (await self.next())["choices"]
            text = choice.get("text") or choice.get("delta", {}).get("content")
            if text:
                return str(text)

    async def say(self, job: str, *messages: TextMessage) -> None:
        """As the job's worker says it."""
        await publish_text(self._visits.app.state.site.redis, [(job, message.dump()) for message in messages])


@pytest.fixture
async def client(server: Served, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    token = await add_token("speaks", None, [TokenScope.V1], database=database)
    headers = {"host": HOST, "authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=SOON_S) as client:
        yield client


async def asked_job() -> str:
    job = await until(lambda: Job.find_one({"status": JobStatus.PENDING}), within_s=SOON_S)
    return str(job.id)


@pytest.mark.parametrize("path", ASKED)
async def test_another_attempt_that_says_something_else_is_an_error_of_the_stream(
    path: str, visits: Visits, client: httpx.AsyncClient
) -> None:
    """After what was sent already comes the error, and nothing more; nobody goes on writing for it."""
    body = {"model": "scripted", "stream": True, **ASKED[path]}
    async with client.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200
        reply, job = Reply(answer, visits), await asked_job()
        await reply.say(job, TextMessage(fence=1, text="Once upon"))
        assert await reply.text() == "Once upon"
        await reply.say(job, TextMessage(fence=2, text="There was"))
        error = (await reply.next())["error"]
        assert await reply.next() is None, "something came after the error"
    assert (error["code"], error["type"], error["param"]) == ("generation_restarted", "server_error", None)
    assert "Ask again" in error["message"]
    await until(lambda: Job.find_one({"_id": job, "status": JobStatus.CANCELLED}), within_s=SOON_S)


async def test_openais_own_client_raises_it(visits: Visits, client: httpx.AsyncClient) -> None:
    path = "/v1/chat/completions"
    token = client.headers["authorization"].removeprefix("Bearer ")
    async with openai.AsyncOpenAI(
        base_url=f"{client.base_url}/v1", api_key=token, max_retries=0, default_headers={"host": HOST}
    ) as theirs:
        stream: Any = await theirs.chat.completions.create(model="scripted", stream=True, **ASKED[path])
        job, heard = await asked_job(), aiter(stream)
        redis = visits.app.state.site.redis
        await publish_text(redis, [(job, TextMessage(fence=1, text="Once upon").dump())])
        while not (await anext(heard)).choices[0].delta.content:
            pass
        await publish_text(redis, [(job, TextMessage(fence=2, text="There was").dump())])
        with pytest.raises(openai.APIError) as restarted:
            await anext(heard)
    assert restarted.value.code == "generation_restarted"


async def test_another_attempt_that_says_the_same_is_gone_on_with(
    visits: Visits, client: httpx.AsyncClient, database: Database
) -> None:
    """Nothing is sent twice; the rest comes from what was committed."""
    path = "/v1/completions"
    async with client.stream("POST", path, json={"model": "scripted", "stream": True, **ASKED[path]}) as answer:
        reply, job = Reply(answer, visits), await asked_job()
        await reply.say(job, TextMessage(fence=1, text="there was"))
        assert await reply.text() == "there was"
        await reply.say(job, TextMessage(fence=2, text="there"), TextMessage(fence=2, offset=5, text=" was a fox"))
        assert await reply.text() == " a fox"
        turn = a_turn(reply="there was a fox.", fence=2).model_dump(mode="python")
        done = {"status": JobStatus.DONE, "turns": [turn], "turns_committed": 1, "fence": 2}
        await database.jobs.update_one({"_id": job}, {"$set": done})
        await reply.say(job, TextMessage(fence=2, ended=True))
        assert await reply.text() == "."
        events = [await reply.next() for _ in range(2)]
    assert events[0]["choices"][0]["finish_reason"] == "stop"
    assert events[1] == "[DONE]"
