"""The charts of the Workers page, judging a run again, and cleanup: what is shown before, done, and written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nightjar.config.settings import Settings
from nightjar.jobs.accounts.access import add_token, begin_session
from nightjar.jobs.accounts.documents import AuditEntry, Role, TokenScope
from nightjar.jobs.documents import Run
from nightjar.jobs.machines.machine_readings import read_readings, this_minute, write_reading
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import publish_model
from nightjar.jobs.states import RunStatus
from nightjar.scripts.noting_machine import MachineNotes
from nightjar.web.cleaning import Cleaning
from nightjar.web.gate import OUR_HEADER
from tests.factories import model_facts
from tests.integration.web.conftest import HOST, Visits
from tests.integration.web.test_pages import add_turns, get

RUBRIC = {"name": "r", "criteria": [{"name": "plot", "description": "d", "scale": {"1": "bad", "2": "good"}}]}
FOUND: dict[str, Any] = {
    "dry_run": True,
    "items": [{"path": "/secret/models/x/.cache", "bytes": 2**30, "why": "unfinished download of x", "model": None}],
    "nights": [{"run": "old", "id": "1", "series": "s", "bytes": 2**20, "why": "beyond the newest 14"}],
    "kept": [],
    "removed": ["gone"],
    "records": 3,
    "nights_not_looked_at": None,
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    registry = tmp_path / "models.toml"
    registry.write_text('[judge]\npath = "judge.gguf"\n')
    return Settings(home=tmp_path / "home", models_file=registry)


async def test_a_machine_is_noted_once_a_minute(database: Database, tmp_path: Path) -> None:
    """However often it is looked at, and by how many processes; another minute is another document."""
    for notes in (MachineNotes(folder=tmp_path, database=database, host="h") for _ in range(2)):
        await notes.note()
        await notes.note()
    readings = await read_readings(timedelta(hours=1), database)
    assert len({reading.at for reading in readings}) == len(readings) <= 2  # a minute may have begun meanwhile
    assert readings[0].memory_used_bytes
    long_ago = await this_minute(database) - timedelta(days=2)
    await write_reading("h", long_ago, {"memory_used_bytes": 1, "gpus": []}, database)
    assert len(await read_readings(timedelta(days=1), database)) == len(readings)


async def test_prometheus_is_told_of_every_card(visits: Visits, database: Database) -> None:
    """Of each machine the newest minute; what a card does not say, and what nobody looked at lately, is left out."""
    minute = await this_minute(database)
    quiet = {"index": "0", "name": "A card", "use": 0.25, "memory_bytes": 24 * 2**30, "memory_used_bytes": 2**30}
    loud = {**quiet, "index": "1", "use": 1.0, "temperature_c": 71.0, "power_w": 310.5}
    for host, ago, cards in (("near", 1, [quiet]), ("near", 0, [quiet, loud]), ("bare", 1, []), ("gone", 9, [loud])):
        fields = {"memory_bytes": 64 * 2**30, "memory_used_bytes": 2**30, "gpus": cards}
        await write_reading(host, minute - timedelta(minutes=ago), fields, database)
    token = await add_token("prometheus", None, [TokenScope.METRICS], database=database)
    async with visits.client(authorization=f"Bearer {token}") as client:
        text = (await client.get("/metrics")).text
    told: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            named = told.setdefault(sample.name.removeprefix("nightjar_"), {})
            labels = [sample.labels[name] for name in ("host", "gpu") if name in sample.labels]
            named[" ".join(labels)] = sample.value
    assert told["gpu_use_ratio"] == {"near 0": 0.25, "near 1": 1.0}
    assert told["gpu_memory_used_bytes"] == {"near 0": 2**30, "near 1": 2**30}
    assert told["gpu_temperature_celsius"] == {"near 1": 71.0}
    assert told["gpu_power_watts"] == {"near 1": 310.5}
    assert told["machine_memory_bytes"] == {"bare": 64 * 2**30, "near": 64 * 2**30}
    assert "machine_disk_bytes" not in told


async def test_machines_are_drawn_over_time(visits: Visits, database: Database) -> None:
    """Elsewhere, since drawing takes a while; in the page, where its colours are."""
    now = await this_minute(database)
    for minutes in (1, 2, 30):
        fields = {"memory_used_bytes": 3 * 2**30, "memory_bytes": 8 * 2**30, "gpus": []}
        await write_reading("night-host", now - timedelta(minutes=minutes), fields, database)
    async with await visits.somebody(Role.VIEWER) as client:
        while "being drawn" in (text := await get(client, "/workers?hours=1")):
            assert "data-live" in text
    assert '<svg xmlns="http://www.w3.org/2000/svg" class="chart"' in text
    assert "Memory, GiB. night-host: between 3.0 and 3.0" in text
    assert "GPU" not in text.partition('id="machines-section"')[2].partition("</section>")[0]  # none has said anything
    assert 'style="' not in text.partition("<svg")[2]  # the policy would forbid it
    assert "/workers?hours=168" in text


async def test_a_run_is_judged_again(visits: Visits, run: Run, database: Database) -> None:
    """By whom is chosen; the rubric is its own or its suite's, and nobody's file."""
    for sequence in "ab":
        await add_turns(database, "Once upon a time.", sequence)
    async with await visits.owner() as client:
        assert "/runs/nightly/judge" not in await get(client, "/runs/nightly")  # it is still at work
        await database.runs.update_one({}, {"$set": {"status": RunStatus.DONE}})
        assert 'hx-post="/runs/nightly/judge"' in await get(client, "/runs/nightly")
        refused = await client.post("/runs/nightly/judge", data={})
        assert "Choose at least one" in refused.text
        without = await client.post("/runs/nightly/judge", data={"judge": "judge"})
        assert without.status_code == 400
        assert "rubric" in without.text
        await database.raw["suites"].update_one({}, {"$set": {"rubric": RUBRIC}})
        await publish_model(database, model_facts("judge"), "here")
        done = await client.post("/runs/nightly/judge", data={"judge": "judge"}, headers={"hx-request": "true"})
        assert done.headers["hx-redirect"] == "/runs/nightly", done.text
    judged = await Run.find_one({"name": "nightly"})
    assert judged is not None
    assert judged.status is RunStatus.JUDGING
    assert judged.judging.under_way is not None
    assert judged.judging.under_way.judges == ["judge"]
    outcomes = [(each.action, each.outcome == "done") for each in await AuditEntry.find_all().sort("+_id").to_list()]
    assert outcomes == [("judge", False), ("judge", False), ("judge", True)]
    async with await visits.somebody(Role.VIEWER) as client:
        assert "/judge" not in await get(client, "/runs/nightly")


async def test_cleanup_is_shown_before_it_is_done(visits: Visits) -> None:
    """Operators see what would go, without folders; admins alone clear it, which the audit keeps."""
    asked: list[Sequence[str]] = []

    async def command(options: Sequence[str]) -> Mapping[str, Any]:
        asked.append(list(options))
        return FOUND

    object.__setattr__(visits.app.state.site, "cleaning", Cleaning(command=command))
    async with await visits.somebody(Role.OPERATOR) as client:
        assert 'href="/doctor/cleanup"' in await get(client, "/doctor")
        text = await get(client, "/doctor/cleanup?unused=30&logs=7")
        assert asked == [["--unused", "30", "--logs", "7", "--dry-run"]]
        for words in ("unfinished download of x", "transcripts of old", "1.0 GiB", "3 old records", "run gone"):
            assert words in text
        assert "/secret" not in text
        assert "Clear it for good" not in text
        assert (await client.post("/doctor/cleanup/clear", headers={OUR_HEADER: "1"})).status_code == 403
        assert (await client.get("/doctor/cleanup?unused=0")).status_code == 400
        assert (await client.get("/doctor/cleanup?logs=x")).status_code == 400
    assert len(asked) == 1
    session = await begin_session("admin", HOST, instead_of=None, database=visits.database)
    async with visits.client(session, accept="text/html", **{OUR_HEADER: "1"}) as client:
        assert "Clear it for good" in await get(client, "/doctor/cleanup?unused=30&logs=7")
        done = await client.post("/doctor/cleanup/clear", data={"unused": "30", "logs": "7"})
        assert "Cleared: 1.0 GiB in 2 places, 3 old records." in done.text
    assert asked[-1] == ["--unused", "30", "--logs", "7"]
    [entry] = [each for each in await AuditEntry.find_all().to_list() if each.outcome == "done"]
    assert (entry.who, entry.action, entry.about) == ("admin", "clear", "--unused 30 --logs 7")


async def test_a_server_that_cannot_clean_up_says_what_does(visits: Visits) -> None:
    async with await visits.owner() as client:
        assert "<code>nightjar cleanup</code>" in await get(client, "/doctor/cleanup")
        assert (await client.post("/doctor/cleanup/clear")).status_code == 400
