"""Every page of the table, where all free texts are hostile and so is what is asked: only text comes of it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.accounts.access import add_token, audit
from nightjar.jobs.accounts.documents import TokenScope
from nightjar.jobs.console_lines import publish_lines
from nightjar.jobs.documents import Run
from nightjar.jobs.events import EventKind, Moved
from nightjar.jobs.machines.machine_readings import this_minute, write_reading
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.nights.documents import Baseline, Schedule
from nightjar.jobs.published import publish_model
from nightjar.jobs.states import RunStatus, WorkerStatus
from nightjar.pipeline.runs.producer import enqueue
from nightjar.pipeline.runs.request import make_request
from nightjar.web.pages.routes import ROUTES
from nightjar.web.site import Site
from tests.factories import model_facts
from tests.integration.web.conftest import Visits
from tests.integration.web.test_costs import learnt, spend
from tests.integration.web.test_pages import CONTROLS, MARKUP, Tags, add_turns
from tests.workbench import until

HOSTILE = MARKUP + CONTROLS
OFTEN = 600
NAMED = {
    "/runs/{name}": "nightly",
    "/trend/{name}": "tales",
    "/schedules/{name}": "n",
    "/suites/{name}": "tales",
    "/models/{name}": "m",
    "/policies/{policy}": "router:chat",
    "/settings/users/{name}": "nobody",
    "/settings/tokens/{name}": "t",
}
"""What there is of each kind."""
BEING_MADE = r"being (computed|worked out|asked|looked at|drawn|searched|read)|worked out;"


@pytest.fixture
def settings(tmp_path: Path, services: ServiceUrls, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Children read the environment, and would start servers of their own."""
    monkeypatch.setenv("NIGHTJAR_MONGO_URL", services.mongo.get_secret_value())
    monkeypatch.setenv("NIGHTJAR_REDIS_URL", services.redis.get_secret_value())
    registry = tmp_path / "models.toml"
    registry.write_text('[m]\npath = "m.gguf"\n')
    return Settings(home=tmp_path / "home", models_dir=tmp_path / "models", models_file=registry)


@pytest.fixture
async def hostile(visits: Visits, run: Run, database: Database) -> Visits:
    """Two runs that have ended and all that pages show beside them; whatever may hold any text holds this one."""
    request = make_request(suite="tales", models=("m",), known_models=("m",), name="before")
    await enqueue(request, database)
    for sequence in "ab":
        await add_turns(database, HOSTILE, sequence)
    ended = {"status": RunStatus.DONE, "outcome.finished_at": await database.now(), "outcome.answer": HOSTILE}
    jobs = await database.jobs.find({"turns_committed": 1}).to_list()
    for job in jobs:
        told = {"turns": job["turns"], "turns_committed": 1, "status": "DONE", "reason": HOSTILE, "labels": [HOSTILE]}
        await database.jobs.update_many({"sequence": job["sequence"]}, {"$set": told})
    await database.runs.update_many({}, {"$set": {**ended, "status_reason": HOSTILE, "notices": [HOSTILE]}})
    words = {"description": HOSTILE, "licence": HOSTILE, "source": HOSTILE, "tags": [HOSTILE], "left_out": [HOSTILE]}
    await database.raw["suites"].update_many({}, {"$set": words})
    moment = utc_now()
    options = {"suite": "tales", "models": ["m"], "known_models": ["m"], "only": [HOSTILE]}
    schedule = Schedule(id="n", cron="0 2 * * *", timezone="UTC", enqueue=options, last_tick=moment, created_at=moment)
    await schedule.insert()
    said = dict.fromkeys(("last_run", "last_error", "waiting_for", "last_passed"), HOSTILE)
    await database.raw["schedules"].update_one({}, {"$set": said})
    await Baseline(id="tales", run=run.id, run_name=HOSTILE, set_at=moment).insert()
    facts = model_facts("m")
    assert facts.file is not None
    file = facts.file.model_copy(update={"file_name": HOSTILE, "architecture": HOSTILE, "licence": HOSTILE})
    for name in ("m", HOSTILE):
        await publish_model(database, facts.model_copy(update={"name": name, "file": file}), HOSTILE)
    beat: dict[str, Any] = {"host": HOSTILE, "pid": 1, "model": HOSTILE, "state": WorkerStatus.READY, "device": HOSTILE}
    beat |= {"reason": HOSTILE, "started_at": moment, "beat_at": moment}
    await database.raw["workers"].insert_many(
        [{**beat, "_id": "host:1:1"}, {**beat, "_id": HOSTILE, "state": "FAILED"}]
    )
    gpu = {"index": "0", "name": HOSTILE, "use": 0.5, "memory_bytes": 1, "memory_used_bytes": 1, "power_w": 1.0}
    minute = await this_minute(database)
    await write_reading(HOSTILE, minute, {"memory_bytes": 2, "memory_used_bytes": 1, "gpus": [gpu]}, database)
    await audit(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    await add_token("t", None, [TokenScope.READ], database=database)
    await database.raw["api_tokens"].update_many({}, {"$set": {"last_used_from": HOSTILE, "last_used_at": moment}})
    await spend("a", run=run.id, model=HOSTILE, endpoint=HOSTILE, asked_as=HOSTILE)
    policy = await learnt(database)
    rules = [rule.model_dump() | {"tag": HOSTILE, "reason": HOSTILE} for rule in policy.rules]
    await database.raw["policies"].update_many({}, {"$set": {"rules": rules, "metric": HOSTILE, "runs": [HOSTILE]}})
    return visits


def pages(job: str) -> list[str]:
    """Of the table of routes, whatever is added to it. `job`: one of the run's."""
    paths = [route.path.replace("{job}", job) for route in ROUTES if route.template is not None]
    for kind, name in NAMED.items():
        known = kind.partition("{")[0] + quote(name)
        paths = [path.replace(kind, known) for path in paths]
    assert [path for path in paths if "{" in path] == [], "say in NAMED what there is of that kind"
    return sorted(paths)


def only_text(answer: httpx.Response, path: str) -> None:
    """No element and no attribute comes of it; what would turn or hide text is written out."""
    tags = Tags(answer.text).found
    nonce = re.findall(r"'nonce-([^']+)'", answer.headers["content-security-policy"])[0]
    assert not [tag for tag, _ in tags if tag in ("img", "b", "object", "style")], path
    assert all(attrs.get("nonce") == nonce for tag, attrs in tags if tag == "script"), path
    asking = [attrs for _, attrs in tags if any(name.startswith("hx-") and name != "hx-nonce" for name in attrs)]
    acting = [attrs for attrs in asking if {"hx-post", "hx-get", "hx-trigger"} & attrs.keys()]
    assert all(attrs.get("hx-nonce") == nonce for attrs in acting), path
    names = {name for _, attrs in tags for name in attrs}
    assert not [name for name in names if name.startswith("on") or name == "style"], path
    addresses = [
        str(attrs[name]) for _, attrs in tags for name in ("href", "src", "action", "hx-post") if name in attrs
    ]
    assert not [each for each in addresses if not re.match(r"[/#?]", each) or each.startswith("//")], path
    assert not set(answer.text) & set("\x1b\x07\u202e\u202c\u200f"), path


async def whole(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """The page, once what it waits for is there."""
    for _ in range(OFTEN):
        answer = await client.get(path)
        if answer.status_code != 200 or not re.search(BEING_MADE, answer.text):
            return answer
        await asyncio.sleep(0.1)
    raise AssertionError(f"{path} is never there")


async def test_every_page(hostile: Visits, run: Run, database: Database) -> None:
    """As it is, and with hostile words in its address."""
    job = await database.jobs.find_one({"run": run.id}, {"_id": 1})
    assert job is not None
    asked = dict.fromkeys(("q", "tag", "status", "sequence", "label", "text", "run", "name", "only", "days"), MARKUP)
    told = 0
    async with await hostile.owner() as client:
        for path in pages(job["_id"]):
            for query in ({}, asked):
                answer = await client.get(path, params=query)
                assert answer.status_code in (200, 400, 404, 503), f"{path}: {answer.text}"
                only_text(answer, f"{path} {bool(query)}")
                told += "&lt;script&gt;alert(1)" in answer.text
    assert told > 20


async def test_what_is_worked_out_elsewhere(hostile: Visits) -> None:
    """Comparisons, trends, reports and search come from child processes, and are no less text."""
    async with await hostile.owner() as client:
        paths = (
            "/compare?base=before&other=nightly",
            "/workers",
            "/models/m",
            "/search?q=script",
            "/duplicates",
            "/new",
        )
        for path in (*paths, "/new?suite=tales&model=m", "/models/m/settings?check=yes&context=64"):
            answer = await whole(client, path)
            assert answer.status_code == 200, f"{path}: {answer.text}"
            only_text(answer, path)
        for path in ("/runs/nightly/report", "/trend/tales"):
            shown = await whole(client, path)
            assert [attrs["src"] for tag, attrs in Tags(shown.text).found if tag == "iframe"] == [f"{path}/document"]
            document = await client.get(f"{path}/document")
            assert "sandbox" in document.headers["content-security-policy"]
            tags = Tags(document.text).found
            assert not [tag for tag, attrs in tags if tag == "img" and attrs.get("src") == "x"], path
            assert not [name for _, attrs in tags for name in attrs if name.startswith(("on", "hx-"))], path
            assert "<script>alert(1)" not in document.text
            assert "alert(1)" in document.text or path.startswith("/trend")


async def test_names_that_nobody_has(hostile: Visits) -> None:
    """What is said of them is a page as well."""
    async with await hostile.owner() as client:
        for kind in NAMED:
            path = kind.partition("{")[0] + quote(MARKUP, safe="")
            answer = await client.get(path)
            assert answer.status_code in (400, 404), f"{path}: {answer.status_code}"
            only_text(answer, path)
        for action in ("/runs/nightly/judge", "/pulls/begin", "/schedules/n/edit", "/runs/make", "/play/keep"):
            form = str(httpx.QueryParams(dict.fromkeys(("judge", "source", "cron", "suite", "model", "name"), MARKUP)))
            headers = {"hx-request": "true", "content-type": "application/x-www-form-urlencoded"}
            refused = await client.post(action, content=form, headers=headers)
            assert refused.status_code in (400, 404), action
            assert [tag for tag, _ in Tags(refused.text).found] == ["p"], action


async def test_what_consoles_are_told_is_no_markup(site: Site, hostile: Visits) -> None:
    """JSON, which no browser takes for a page; the scripts make text of it."""
    site.database.events.say(Moved(kind=EventKind.MODEL, model=HOSTILE, worker=HOSTILE))
    await publish_lines(site.redis, HOSTILE, [(HOSTILE, HOSTILE)])
    async with await hostile.owner() as client:

        async def there() -> httpx.Response | None:
            answer = await client.get("/events/recent")
            return answer if answer.json()["moved"] else None

        answer = await until(there)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    told = answer.json()
    assert (told["moved"][-1]["model"], told["lines"][-1]["worker"]) == (HOSTILE, HOSTILE)
