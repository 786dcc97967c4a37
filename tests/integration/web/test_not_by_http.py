"""What is settable by the command line and files alone: commands, hooks, addresses, keys, paths, scorers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from nightjar.config.settings import Settings
from nightjar.jobs.documents import Run, SuiteVersion
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Schedule
from nightjar.web.gate import FORM
from tests.integration.web.conftest import Visits

EVIL = "rm -rf ~; https://evil.example/?k=$HF_TOKEN"
REGISTRY = '[m]\npath = "m.gguf"\n'
FIELDS: dict[str, Any] = {
    "on_finish": [EVIL],
    "notify": [EVIL],
    "hook": EVIL,
    "command": EVIL,
    "key_env": "HF_TOKEN",
    "endpoint": "evil",
    "endpoints": {"evil": {"base_url": "https://evil.example", "key_env": "HF_TOKEN"}},
    "base_url": "https://evil.example",
    "allow_private": True,
    "scorers": ["os:system"],
    "scorer": "os:system",
    "path": "/etc/passwd",
    "paths": {"x": "/etc/passwd"},
    "models_file": "/etc/passwd",
    "mmproj": "/etc/passwd",
    "adapters": ["/etc/passwd"],
    "template": "/etc/passwd",
    "rubric": "/etc/passwd",
    "file": "/etc/passwd",
    "formats": ["html"],
    "out": "/etc/x",
    "closers": ["other"],
    "known_models": ["other"],
    "source": EVIL,
}
"""What one might try to send with anything."""
UNKNOWN = {name: value for name, value in FIELDS.items() if name != "rubric"}
"""What no form of a run knows; of rubrics it knows the names of those that come with Nightjar, and no file."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    registry = tmp_path / "models.toml"
    registry.write_text(REGISTRY)
    return Settings(home=tmp_path / "home", models_dir=tmp_path, models_file=registry)


def as_form(fields: dict[str, Any]) -> str:
    return str(
        httpx.QueryParams({name: value if isinstance(value, str) else str(value) for name, value in fields.items()})
    )


async def test_a_run_has_no_such_field(visits: Visits, run: Run) -> None:
    """The API refuses each by its name; the form does not know them."""
    body = {"suite": "tales", "models": ["m"]}
    async with await visits.owner() as client:
        for field, value in FIELDS.items():
            refused = await client.post("/api/runs", json={**body, field: value})
            assert refused.status_code == 400, field
            assert field in refused.text
        form = as_form({"suite": "tales", "model": "m", "name": "second", **UNKNOWN})
        refused = await client.post(
            "/runs/make", content=f"{form}&rubric=%2Fetc%2Fpasswd", headers={"content-type": FORM}
        )
        assert (refused.status_code, "no rubric" in refused.text) == (404, True)
        made = await client.post("/runs/make", content=form, headers={"content-type": FORM})
        assert made.status_code == 200, made.text
    second = await Run.find_one({"name": "second"})
    assert second is not None
    _says_nothing_of_it(repr(second))
    assert [model.name for model in second.models] == ["m"]


async def test_a_schedule_gets_none(visits: Visits, run: Run, database: Database) -> None:
    moment = await database.now()
    options = {"suite": "tales", "models": ["m"], "known_models": ["m"]}
    schedule = Schedule(id="n", cron="0 2 * * *", timezone="UTC", enqueue=options, last_tick=moment, created_at=moment)
    await schedule.insert()
    async with await visits.owner() as client:
        form = as_form({"cron": "30 3 * * *", "enqueue": EVIL, **FIELDS})
        for word in ("edit", "run", "pause", "resume"):
            done = await client.post(f"/schedules/n/{word}", content=form, headers={"content-type": FORM})
            assert done.status_code == 200, done.text
        form = as_form({"name": "o", "cron": "30 3 * * *", "suite": "tales", "model": "m", **UNKNOWN})
        added = await client.post("/schedules/add", content=form, headers={"content-type": FORM})
        assert added.status_code == 200, added.text
    other, changed = await Schedule.get("o"), await Schedule.get("n")
    assert other is not None
    _says_nothing_of_it(repr(other))
    assert changed is not None
    assert changed.cron == "30 3 * * *"
    _says_nothing_of_it(repr(changed))
    for made in await Run.find_all().to_list():
        _says_nothing_of_it(repr(made))


async def test_a_model_gets_none(visits: Visits, settings: Settings) -> None:
    """What is saved are numbers and words that load and draw; of a path, an address or a key there is no field."""
    async with await visits.owner() as client:
        form = as_form({"context": "64", **FIELDS})
        saved = await client.post("/models/m/save", content=form, headers={"content-type": FORM})
        assert saved.json() == {"said": "Saved: context."}
        begun = await client.post("/pulls/begin", content=form, headers={"content-type": FORM})
        assert begun.status_code == 400
        for name in ("--help", "../m", "a b", "$(id)"):
            fields = {"source": "acme/Story-1B-GGUF", "name": name}
            begun = await client.post("/pulls/begin", content=as_form(fields), headers={"content-type": FORM})
            assert begun.status_code == 400, name
        for quantisation in ("--out=/etc/x", "Q4 --x", "../x"):
            fields = {"source": "acme/Story-1B-GGUF", "quantisation": quantisation}
            begun = await client.post("/pulls/begin", content=as_form(fields), headers={"content-type": FORM})
            assert begun.status_code == 400, quantisation
    assert settings.models_file.read_text().split() == [*REGISTRY.split(), "[m.load]", "context", "=", "64"]


UPLOADED = """nightjar: 1
name: tales
sequences:
  - id: a
    turns: [{ prompt: Tell me of a fox. }]
"""
NAMED = {
    "scorers": '["os:system"]',
    "scorer": '"os:system"',
    "on_finish": '["rm -rf ~"]',
    "command": '"rm -rf ~"',
    "key_env": '"HF_TOKEN"',
    "endpoint": '"evil"',
}


async def test_an_uploaded_suite_names_none(visits: Visits) -> None:
    """Neither for all of it nor for a sequence or a turn; a measure is one of those that are installed."""
    fields = [f"{field}: {value}" for field, value in NAMED.items()]
    texts = (
        UPLOADED.replace("sequences:", "\n".join([*fields, "sequences:"])),
        UPLOADED.replace("    turns:", "".join(f"    {field}\n" for field in fields) + "    turns:"),
        UPLOADED.replace("fox. }", f"fox., {', '.join(fields)} }}"),
    )
    async with await visits.owner() as client:
        for text in texts:
            answer = await client.post("/suites/import?file=t.yaml", content=text, headers={"accept": "*/*"})
            assert answer.status_code == 400, answer.text
            assert [field for field in NAMED if not re.search(rf"\b{field}\b", answer.text)] == []
        measured = UPLOADED.replace("sequences:", 'measures: ["os:system", "/tmp/x.py:f"]\nsequences:')
        answer = await client.post("/suites/import?file=t.yaml", content=measured, headers={"accept": "*/*"})
        assert answer.status_code == 400, answer.text
    assert await SuiteVersion.find_all().count() == 0


async def test_a_live_request_names_none(visits: Visits) -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    async with await visits.owner() as client:
        for field in ("base_url", "key_env", "api_key", "endpoint", "path", "scorers", "chat_template"):
            for path in ("/v1/chat/completions", "/play/ask"):
                body = {**asked, field: EVIL} if path.startswith("/v1") else {"asks": [{**asked, field: EVIL}]}
                refused = await client.post(path, json=body)
                assert refused.status_code == 400, f"{path} {field}"
                assert field in refused.text


def _says_nothing_of_it(text: str) -> None:
    for word in ("evil", "rm -rf", "HF_TOKEN", "/etc/", "os:system"):
        assert word not in text, word
