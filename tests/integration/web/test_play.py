"""The playground's stream and what is kept of it, without a worker and with a scripted one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.accounts.documents import Role
from nightjar.jobs.documents import Job, SequenceDocument, SuiteVersion
from nightjar.jobs.models import ModelKind
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import publish_model
from nightjar.jobs.states import JobStatus
from nightjar.web.events.feed import MOST_OF_SESSION
from nightjar.web.gate import OUR_HEADER
from nightjar.web.play.schema import MOST_MODELS
from nightjar.web.play.streams import DEFECT
from nightjar.workers.engine.fake import ScriptedEngine, scripted_facts
from tests.integration.web.conftest import HOST, Visits
from tests.integration.web.test_memory_header import lacking
from tests.integration.web.test_server import SOON_S, Served, served
from tests.workbench import Bench, opened_bench, until

STORY = [{"role": "user", "content": "Tell me of a fox."}]
CHATS = scripted_facts("scripted", context=4096, kind=ModelKind.CHAT, digest="0" * 64)


@pytest.fixture
async def bench(database: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(database, services, Settings(home=tmp_path / "work", drain_s=5)) as bench:
        yield bench


@asynccontextmanager
async def real_browser(visits: Visits, server: Served) -> AsyncIterator[httpx.AsyncClient]:
    """The owner's, over a socket: it can leave a stream."""
    async with await visits.owner() as client:
        headers = {**client.headers, "host": HOST}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=SOON_S) as real:
        yield real


def told(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


async def test_each_model_has_an_end_of_its_own(visits: Visits, bench: Bench) -> None:
    """One replies, of another nobody knows; the same seed says the same."""
    asks = [{"model": "scripted", "messages": STORY, "seed": 5}, {"model": "unknown", "messages": STORY}]
    async with bench.worker(ScriptedEngine(slots=2)), visits.app.state.site.live, await visits.owner() as client:
        await until(lambda: bench.database.raw["models"].find_one({"_id": "scripted"}), within_s=SOON_S)
        answers = [await client.post("/play/ask", json={"asks": asks}, timeout=SOON_S) for _ in range(2)]
    heard = [told(answer.text) for answer in answers]
    texts = ["".join(each.get("text", "") for each in events if each["index"] == 0) for events in heard]
    assert texts[0] == texts[1]
    assert texts[0]
    [end] = [each["end"] for each in heard[0] if "end" in each]
    assert end["seed"] == 5
    assert end["reply_tokens"] > 0
    [error] = [each for each in heard[0] if "error" in each]
    assert error["index"] == 1
    assert "unknown" in error["error"]


async def test_leaving_the_stream_cancels(visits: Visits, bench: Bench, database: Database) -> None:
    """Nobody serves the model now; whoever asked leaves."""
    async with bench.worker(ScriptedEngine(slots=1)):
        await until(lambda: database.raw["models"].find_one({"_id": "scripted"}), within_s=SOON_S)
    async with visits.app.state.site.live, served(visits) as server, real_browser(visits, server) as real:
        asked = {"asks": [{"model": "scripted", "messages": STORY}]}
        async with real.stream("POST", "/play/ask", json=asked) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    break
            assert (await Job.find_all().to_list())[0].status is JobStatus.PENDING
        await until(lambda: Job.find_one({"status": JobStatus.CANCELLED}), within_s=SOON_S)


@pytest.mark.parametrize(
    "body",
    [
        {"asks": []},
        {"asks": [{"model": "m", "messages": STORY}] * (MOST_MODELS + 1)},
        {"asks": [{"model": "m", "messages": []}]},
        {"asks": [{"model": "m", "messages": [{"role": "tool", "content": "x"}]}]},
        {"asks": [{"model": "m", "messages": STORY, "seed": -1}]},
        {"asks": [{"model": "m", "messages": STORY}], "parameters": {"grammar": "x"}},
    ],
)
async def test_what_cannot_be_asked(body: dict[str, Any], visits: Visits) -> None:
    async with await visits.owner() as client:
        assert (await client.post("/play/ask", json=body)).status_code == 400


async def test_a_conversation_is_kept_as_a_suites_turn(visits: Visits) -> None:
    """What was said before is fixed; another one is a new version; the reply may be the reference."""
    said = [{"role": "system", "content": "Be brief."}, *STORY, {"role": "assistant", "content": "A fox."}]
    said.append({"role": "user", "content": "And then?"})
    fields = {"suite": "mine", "sequence": "one", "messages": json.dumps(said), "reference": "It slept."}
    form = {"content-type": "application/x-www-form-urlencoded"}
    async with await visits.owner() as client:
        kept = await client.post("/play/keep", data=fields, headers=form)
        assert kept.json() == {"said": "Kept as one of mine, version 1."}
        assert (await client.post("/play/keep", data=fields, headers=form)).status_code == 400  # the name is taken
        second = await client.post("/play/keep", data={**fields, "sequence": "two"}, headers=form)
        assert second.json() == {"said": "Kept as two of mine, version 2."}
        wrongs = {"suite": "a b", "sequence": "../x", "messages": "x"}
        for name, value in wrongs.items():
            assert (await client.post("/play/keep", data={**fields, name: value}, headers=form)).status_code == 400
    newest = await SuiteVersion.find_one({"name": "mine", "version": 2})
    assert newest is not None
    assert [ref.id for ref in newest.sequences] == ["one", "two"]
    document = await SequenceDocument.get(newest.sequences[0].document)
    assert document is not None
    sequence = document.sequence
    assert (sequence.system, [message.text for message in sequence.messages]) == (
        "Be brief.",
        ["Tell me of a fox.", "A fox."],
    )
    assert (sequence.turns[0].prompt, sequence.turns[0].reference) == ("And then?", "It slept.")


async def test_viewers_play_nothing(visits: Visits) -> None:
    async with await visits.somebody(Role.VIEWER) as client:
        assert (await client.get("/play")).status_code == 403
        asked = {"asks": [{"model": "m", "messages": STORY}]}
        answer = await client.post("/play/ask", json=asked, headers={OUR_HEADER: "1"})
        assert answer.status_code == 403


async def test_a_column_that_fails_by_a_fault_of_ours_ends(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others would wait for it without end; nothing of the fault is told."""

    async def broken(ask: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(visits.app.state.site.live, "submit", broken)
    asked = {"asks": [{"model": name, "messages": STORY} for name in ("a", "b")]}
    async with await visits.owner() as client:
        answer = await client.post("/play/ask", json=asked, timeout=SOON_S)
    assert sorted(each["index"] for each in told(answer.text) if each["error"] == DEFECT) == [0, 1]
    assert "secret detail" not in answer.text


async def test_a_memory_is_off_until_it_is_switched_on(visits: Visits, database: Database) -> None:
    """Then every column has it; it is the asker's own, or a shared one that there is."""
    await publish_model(database, CHATS, by="t")
    asked: dict[str, Any] = {"asks": [{"model": "scripted", "messages": STORY}] * 2}
    async with visits.app.state.site.live, served(visits) as server, real_browser(visits, server) as client:
        page = (await client.get("/play")).text
        assert 'name="remember">' in page
        assert 'value="playground"' in page
        assert 'name="remember" checked>' in (await client.get("/play?memory=notes")).text
        for wrong in ("a b", "user/bob/notes", "shared/none"):
            assert (await client.post("/play/ask", json={**asked, "memory": wrong})).status_code == 400, wrong
        for named, given in (({}, None), ({"memory": "notes"}, "notes")):
            async with client.stream("POST", "/play/ask", json={**asked, **named}) as answer:
                told_of = [line async for line in until_begun(answer, columns=2)]
            jobs = [json.loads(line.removeprefix("data: "))["job"] for line in told_of]
            sequences = await SequenceDocument.find({"sequence.id": {"$in": jobs}}).to_list()
            assert [each.sequence.parameters.get("memory") for each in sequences] == [given, given]


async def test_without_a_small_embedding_model_there_is_no_switch(visits: Visits) -> None:
    await publish_model(visits.database, CHATS, by="t")
    visits.app.state.site = replace(visits.app.state.site, enforceable=lacking)
    asked = {"asks": [{"model": "scripted", "messages": STORY}], "memory": "notes"}
    async with await visits.owner() as client:
        page = (await client.get("/play?memory=notes")).text
        assert 'name="remember" disabled>' in page
        assert "memory_model" in page
        answer = await client.post("/play/ask", json=asked)
    assert (answer.status_code, "memory_model" in answer.text) == (400, True)
    assert await Job.find_all().count() == 0


async def test_its_streams_count_among_those_of_a_session(visits: Visits, database: Database) -> None:
    """One more than a session may have is refused, as any other stream is; when they have ended there is room again."""
    await publish_model(
        database, scripted_facts("scripted", context=4096, kind=ModelKind.CHAT, digest="0" * 64), by="t"
    )
    site = visits.app.state.site
    asked = {"asks": [{"model": "scripted", "messages": STORY}]}
    async with site.live, served(visits) as server, real_browser(visits, server) as real, AsyncExitStack() as streams:
        for _ in range(MOST_OF_SESSION):
            answer = await streams.enter_async_context(real.stream("POST", "/play/ask", json=asked))
            assert answer.status_code == 200
        refused = await real.post("/play/ask", json=asked)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
        assert (await real.get("/events")).status_code == 429
        await streams.aclose()
        await until(lambda: not site.feed._streams, within_s=SOON_S)


async def until_begun(answer: httpx.Response, *, columns: int) -> AsyncIterator[str]:
    """The lines that name the job of each column."""
    missing = columns
    async for line in answer.aiter_lines():
        if line.startswith("data: ") and "job" in json.loads(line.removeprefix("data: ")):
            yield line
            missing -= 1
        if not missing:
            return
