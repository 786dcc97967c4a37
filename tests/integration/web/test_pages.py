"""Every page on a real run: what it shows, what can be done, what a hostile reply does there, and what it costs."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from html.parser import HTMLParser

import httpx
import pytest

from nightjar.jobs.accounts.documents import AuditEntry, Role
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Baseline, Schedule
from nightjar.jobs.states import JobStatus, RunKind, RunStatus
from nightjar.web.gate import OUR_HEADER
from nightjar.web.pages.settings import SHOWN
from tests.documents import a_turn
from tests.integration.web.conftest import Visits

MARKUP = (
    '</div><script>alert(1)</script><img src=x onerror=alert(1)> <b hx-post="/runs/nightly/remove" hx-trigger="load">'
)
CONTROLS = "\x1b[31mred\x07 \u202egnp.exe\u202c \u200f"


class Tags(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


async def add_turns(database: Database, reply: str, sequence: str = "a") -> Job:
    """The job of a sequence is DONE, with one turn that replied this."""
    job = await Job.find_one({"sequence": sequence})
    assert job is not None
    turn = a_turn(prompt=reply, reply=reply, reasoning=reply).model_dump(mode="python")
    done = {"status": JobStatus.DONE, "turns": [turn], "turns_committed": 1, "reason": reply}
    await database.jobs.update_one({"_id": job.id}, {"$set": done})
    return job


async def get(client: httpx.AsyncClient, path: str) -> str:
    answer = await client.get(path)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
    return answer.text


async def test_every_page_of_an_empty_home_says_the_next_step(visits: Visits) -> None:
    async with await visits.owner() as client:
        for path in (
            "/",
            "/runs",
            "/suites",
            "/models",
            "/workers",
            "/doctor",
            "/compare",
            "/trend",
            "/schedules",
            "/costs",
            "/search",
            "/duplicates",
        ):
            text = await get(client, path)
            assert text.startswith("<!doctype html>"), path
            assert 'class="none"' in text or path in ("/models", "/compare"), path
        assert "nightjar demo" in await get(client, "/")
        assert "nightjar schedule add" in await get(client, "/schedules")
        costs = await get(client, "/costs")
        assert "nightjar endpoint add" in costs
        assert "nightjar router learn" in costs
        assert "nightjar user add" in await get(client, "/settings")


async def test_a_run_and_its_transcripts(visits: Visits, run: Run, database: Database) -> None:
    await add_turns(database, "Once upon a time.")
    async with await visits.owner() as client:
        assert 'href="/runs/nightly"' in await get(client, "/")
        assert 'href="/runs/nightly"' in await get(client, "/runs?q=NIGHT")
        assert "No run is like that." in await get(client, "/runs?q=other")
        shown = await get(client, "/runs/nightly")
        assert "1 of 1" in shown
        assert "0 of 1" in shown
        assert 'data-run="nightly"' in shown  # it is at work, so the page is read again when it moves
        talks = await get(client, "/runs/nightly/transcripts")
        assert "1 to 2 of 2" in talks
        assert "Once upon a time." in talks
        assert "1 to 1 of 1" in await get(client, "/runs/nightly/transcripts?sequence=a&status=DONE")
        assert "None of 2" in await get(client, "/runs/nightly/transcripts?page=9")
        assert "tales" in await get(client, "/suites")
        assert "@1" not in await get(client, "/suites/tales")
        assert (await client.get("/runs/nightli")).status_code == 404
        assert "nightly" in (await client.get("/runs/nightli")).text


async def test_a_hostile_reply_stays_text(visits: Visits, run: Run, database: Database) -> None:
    """No element and no attribute comes of it; what would turn or hide text is written out."""
    await add_turns(database, MARKUP + CONTROLS)
    await database.runs.update_one({}, {"$set": {"status_reason": MARKUP, "outcome.answer": MARKUP + CONTROLS}})
    async with await visits.owner() as client:
        for path in ("/", "/runs", "/runs/nightly", "/runs/nightly/transcripts", f"/runs?q={MARKUP}", "/suites/tales"):
            answer = await client.get(path)
            tags = Tags(answer.text).found
            nonce = re.findall(r"'nonce-([^']+)'", answer.headers["content-security-policy"])[0]
            assert not [tag for tag, _ in tags if tag in ("img", "b")], path
            assert all(attrs.get("nonce") == nonce for tag, attrs in tags if tag == "script"), path
            assert all(attrs.get("hx-nonce") == nonce for _, attrs in tags if "hx-post" in attrs or "hx-get" in attrs)
            assert not [name for _, attrs in tags for name in attrs if name.startswith("on") or name == "style"], path
            assert not set(answer.text) & set("\x1b\x07\u202e\u202c\u200f"), path
        assert "[U+202E]" in await get(client, "/runs/nightly/transcripts")


async def test_what_is_done_about_a_run(visits: Visits, run: Run, database: Database) -> None:
    """Each action changes the run and is written to the audit, with who and from where; so is what was refused."""
    async with await visits.owner() as client:
        assert ">Pause<" in await get(client, "/runs/nightly")
        assert (await client.post("/runs/nightly/pause")).json() == {"said": "nightly is paused."}
        assert ">Resume<" in await get(client, "/runs/nightly")
        answer = await client.post("/runs/nightly/resume", headers={"hx-request": "true"})
        assert answer.text == '<p class="info">nightly goes on.</p>'
        assert answer.headers["hx-trigger"] == "nightjar-changed"
        await database.jobs.update_one({"sequence": "a"}, {"$set": {"status": "DEAD", "reason": "boom"}})
        assert "boom" in await get(client, "/runs/nightly")
        assert (await client.post("/runs/nightly/retry")).json() == {"said": "Tried again: 1 job."}
        refused = await client.post("/runs/nightly/remove")
        assert refused.status_code == 400
        assert "Cancel it first" in refused.text
        assert (await client.post("/runs/nightly/cancel")).status_code == 200
        gone = await client.post("/runs/nightly/remove", headers={"hx-request": "true"})
        assert gone.headers["hx-redirect"] == "/runs"
        assert (await client.get("/runs/nightly")).status_code == 404
        text = await get(client, "/settings")
        assert "Cancel it first" in text
    entries = await AuditEntry.find_all().sort("+_id").limit(SHOWN).to_list()
    done = [(entry.who, entry.action, entry.about, entry.outcome == "done") for entry in entries]
    actions = ("pause", True), ("resume", True), ("retry", True), ("remove", False), ("cancel", True), ("remove", True)
    assert done == [("owner", action, "nightly", well) for action, well in actions]
    assert {entry.address for entry in entries} == {"127.0.0.1"}


async def test_a_baseline_and_a_schedule(visits: Visits, run: Run, database: Database) -> None:
    await database.runs.update_one({}, {"$set": {"status": RunStatus.DONE}})
    moment = await database.now()
    options = {"suite": "tales", "models": ["m"], "known_models": ["m"]}
    schedule = Schedule(id="n", cron="0 2 * * *", timezone="UTC", enqueue=options, last_tick=moment, created_at=moment)
    await schedule.insert()
    async with await visits.owner() as client:
        assert (await client.post("/runs/nightly/baseline")).status_code == 200
        assert [each.run for each in await Baseline.find_all().to_list()] == [run.id]
        shown = await get(client, "/runs/nightly")
        assert ">Delete<" not in shown  # a baseline stays
        assert ">No longer the baseline of tales<" in shown
        cleared = await client.post("/runs/nightly/clear-baseline")
        assert cleared.json() == {"said": "nightly is no longer the baseline of tales."}
        assert await Baseline.find_all().to_list() == []
        assert ">Delete<" in await get(client, "/runs/nightly")
        assert (await client.post("/runs/nightly/clear-baseline")).json() == {"said": "nightly is no baseline."}
        assert "02:00" in await get(client, "/schedules")
        assert (await client.post("/schedules/n/pause")).status_code == 200
        assert "paused" in await get(client, "/schedules")
        assert (await client.post("/schedules/n/resume")).status_code == 200
        assert (await client.get("/schedules/other")).status_code == 404


async def test_a_hidden_live_run_has_no_page(visits: Visits, run: Run, database: Database) -> None:
    """Its texts are its user's alone: neither lists nor its name nor its id lead to it."""
    await add_turns(database, "Between you and me.")
    await database.runs.update_one({}, {"$set": {"kind": RunKind.LIVE}})
    async with await visits.owner() as client:
        for name in (run.name, run.id):
            for part in ("", "/transcripts", "/report"):
                assert (await client.get(f"/runs/{name}{part}")).status_code == 404
            assert (await client.post(f"/runs/{name}/cancel")).status_code == 404
        for path in ("/", "/runs"):
            assert "nightly" not in await get(client, path)


async def test_viewers_are_shown_no_buttons(visits: Visits, run: Run) -> None:
    async with await visits.somebody(Role.VIEWER) as client:
        text = await get(client, "/runs/nightly")
    assert "hx-post" not in text
    assert "Pause" not in text


async def test_reports_and_comparisons_are_worked_out_elsewhere(visits: Visits, run: Run, database: Database) -> None:
    """A page that is not ready says so; the report is locked up; asked again it is there at once."""
    for sequence in "ab":
        await add_turns(database, MARKUP, sequence)
    ended = {"status": RunStatus.DONE, "outcome.finished_at": await database.now()}
    async with await visits.owner() as client:
        assert (await client.get("/runs/nightly/report")).status_code == 400  # it has not ended
        await database.runs.update_one({}, {"$set": ended})
        first = await get(client, "/runs/nightly/report")
        assert "being computed" in first
        assert "data-live" in first
        text = await _when_there(client, "/runs/nightly/report", "iframe")
        polled = {"hx-request": "true", "nightjar-live": "1"}
        polled_again = await client.get("/runs/nightly/report", headers=polled)
        assert (polled_again.headers["hx-refresh"], "nightjar-live" in polled_again.headers) == ("true", False)
        assert (await client.get("/runs", headers={"hx-request": "true"})).headers["nightjar-live"] == "1"
        frame = next(attrs for tag, attrs in Tags(text).found if tag == "iframe")
        assert "allow-same-origin" not in str(frame["sandbox"])
        document = await client.get(str(frame["src"]))
        assert "sandbox" in document.headers["content-security-policy"]
        assert "<h1>nightly</h1>" in document.text
        compared = await _when_there(client, "/compare?base=nightly&other=nightly", "nightly:m against nightly:m")
        assert "data-live" not in compared


async def _when_there(client: httpx.AsyncClient, path: str, there: str) -> str:
    while not re.search(there, text := await get(client, path)):
        assert "being computed" in text, text
    return text


async def test_a_child_that_takes_too_long_is_ended(visits: Visits, run: Run, database: Database) -> None:
    ended = {"status": RunStatus.DONE, "outcome.finished_at": await database.now()}
    await database.runs.update_one({}, {"$set": ended})
    heavy = visits.app.state.site.heavy
    heavy.limit_s = 1
    heavy._start = _sleeper
    async with await visits.owner() as client:
        while (answer := await client.get("/runs/nightly/report")).status_code == 200:
            pass  # each request waits for the result a moment
    assert answer.status_code == 500
    assert "longer than 1 s" in answer.text


async def _sleeper() -> asyncio.subprocess.Process:
    """A child that hangs in a task, and has set its alarm as ours do."""
    work = "import signal, sys; sys.stdin.readline(); signal.alarm(1); signal.pause()"
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-c", work, stdin=pipe, stdout=pipe)


async def test_mongo_that_is_away_is_said(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    from pymongo.errors import AutoReconnect

    async def away(*arguments: object, **options: object) -> None:
        raise AutoReconnect("gone")

    async with await visits.owner() as client:
        monkeypatch.setattr("nightjar.web.overview.read_overview", away)
        answer = await client.get("/")
        assert answer.status_code == 503
        assert "MongoDB cannot be reached" in answer.text


def test_the_web_process_has_neither_scipy_nor_charts() -> None:
    """They belong to its children; so does everything that loads a model."""
    heavy = ("scipy", "vl_convert", "llama_cpp", "nightjar.workers.engine", "nightjar.pipeline.collect")
    code = f"import sys, nightjar.web.app; print([m for m in sys.modules if m.startswith({heavy!r})])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_a_defect_of_ours_shows_no_trace(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("nightjar.web.overview.read_overview", broken)
    async with await visits.owner() as client:
        answer = await client.get("/", headers={OUR_HEADER: "1"})
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert answer.headers["nightjar-request-id"] in answer.text
    assert "content-security-policy" in answer.headers
