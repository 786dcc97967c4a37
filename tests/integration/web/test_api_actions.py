"""What pages do, over `/api`: judged, scheduled, imported, fetched, loaded, compared; with the same roles and audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from nightjar.config.settings import Settings
from nightjar.jobs.accounts.access import add_token
from nightjar.jobs.accounts.documents import AuditEntry, Role, TokenScope
from nightjar.jobs.documents import Run
from nightjar.jobs.live.places import wanted_models
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Schedule
from nightjar.jobs.published import publish_model
from nightjar.jobs.states import RunStatus
from nightjar.web.gate import BODY_BYTES, LARGER_BODIES, OUR_HEADER
from tests.factories import model_facts
from tests.integration.web.conftest import Visits
from tests.integration.web.test_machines import RUBRIC
from tests.integration.web.test_pages import add_turns
from tests.integration.web.test_suite_upload import BAD, GOOD


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    registry = tmp_path / "models.toml"
    registry.write_text('[m]\npath = "m.gguf"\n[judge]\npath = "judge.gguf"\n')
    return Settings(home=tmp_path / "home", models_file=registry, models_dir=tmp_path)


async def ended(run: Run, database: Database) -> None:
    for sequence in "ab":
        await add_turns(database, "Once upon a time.", sequence)
    done = {"status": RunStatus.DONE, "outcome.finished_at": await database.now()}
    await database.runs.update_one({"_id": run.id}, {"$set": done})


async def worked_out(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    while (answer := await client.get(path, timeout=60)).status_code == 503:
        assert int(answer.headers["retry-after"]) > 0
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def acts() -> list[tuple[str, str, bool]]:
    entries = await AuditEntry.find_all().sort("+_id").to_list()
    return [(entry.action, entry.about, entry.outcome == "done") for entry in entries]


async def test_runs_and_nights_are_compared(visits: Visits, run: Run, database: Database) -> None:
    """As the commands' JSON, numbers and no table; a viewer may."""
    async with await visits.somebody(Role.VIEWER) as client:
        assert (await client.get("/api/trend/tales", timeout=60)).status_code == 400  # no night yet
        await ended(run, database)
        compared = await worked_out(client, "/api/compare?base=nightly&other=nightly")
        [comparison] = compared["comparisons"]
        assert (comparison["base"], comparison["shared"], compared["unpaired"]) == ("nightly:m", 1, [])
        assert all(metric["difference"] in (0, None) for metric in comparison["metrics"])
        assert comparison["metrics"]
        shown = await worked_out(client, "/api/trend/tales")
        assert (shown["suite"], [night["name"] for night in shown["nights"]]) == ("tales", ["nightly"])
        for path in ("/api/trend/other", "/api/compare?base=nightly&other=other"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/api/compare?base=nightly")).status_code in (400, 422)


async def test_a_run_is_judged_and_made_a_baseline(visits: Visits, run: Run, database: Database) -> None:
    await ended(run, database)
    await database.raw["suites"].update_one({}, {"$set": {"rubric": RUBRIC}})
    await publish_model(database, model_facts("judge"), "here")
    async with await visits.owner() as client:
        made = await client.post("/api/runs/nightly/baseline")
        assert made.json()["done"] == {
            "said": "nightly is the baseline of tales.",
            "about": "nightly",
            "details": {"suite": "tales"},
        }
        [baseline] = (await client.get("/api/baselines")).json()["baselines"]
        assert (baseline["suite"], baseline["run"], baseline["id"]) == ("tales", "nightly", run.id)
        assert (await client.post("/api/runs/nightly/baseline", json={"suite": "other"})).status_code == 404
        cleared = await client.post("/api/runs/nightly/clear-baseline")
        assert cleared.json()["done"]["details"] == {"suites": ["tales"]}
        assert (await client.get("/api/baselines")).json()["baselines"] == []
        wrongs: list[dict[str, Any]] = [{}, {"judges": []}, {"judges": "judge"}]
        for wrong in (*wrongs, {"judges": ["judge"], "rubric": "/etc/passwd"}):
            assert (await client.post("/api/runs/nightly/judge", json=wrong)).status_code == 400, wrong
        judged = await client.post("/api/runs/nightly/judge", json={"judges": ["judge"]})
        assert judged.json()["done"]["details"] == {"judges": ["judge"]}
    found = await Run.get(run.id)
    assert found is not None
    assert found.status is RunStatus.JUDGING
    done = [("baseline", True), ("baseline", False), ("clear-baseline", True), *[("judge", False)] * 4, ("judge", True)]
    assert await acts() == [(action, "nightly", well) for action, well in done]


async def test_a_schedule_is_added(visits: Visits, run: Run, settings: Settings) -> None:
    """What a run would be refused for is refused now; what only the command line may give is an unknown field."""
    settings.models_file.write_text('[m]\npath = "m.gguf"\n')
    asked = {"name": "n", "cron": "0 2 * * *", "suite": "tales", "models": ["m"], "repeats": 2, "overlap": "skip"}
    async with await visits.owner() as client:
        wrongs: list[dict[str, Any]] = [{"cron": "never"}, {"models": []}, {"overlap": "often"}, {"on_finish": ["x"]}]
        for wrong in (*wrongs, {"repeats": 0}, {"name": "../n"}):
            assert (await client.post("/api/schedules", json=asked | wrong)).status_code == 400, wrong
        assert (await client.post("/api/schedules", json=asked | {"suite": "other"})).status_code == 404
        made = (await client.post("/api/schedules", json=asked)).json()["done"]
        assert made["details"] == {"cron": "0 2 * * *", "timezone": "UTC", "suite": "tales", "models": ["m"]}
        shown = (await client.get("/api/schedules/n")).json()["schedule"]
        assert (shown["enqueue"]["repeats"], shown["overlap"]) == (2, "skip")
    assert [act[::2] for act in await acts()] == [*[("add", False)] * 7, ("add", True)]


async def test_a_schedule_is_read_and_changed(visits: Visits, run: Run, database: Database) -> None:
    """Whom it notifies is not told, since an address may hold a secret; a hook cannot be set."""
    moment = await database.now()
    hook = {"kind": "webhook", "target": "https://example.net/hook?key=secret"}
    options = {"suite": "tales", "models": ["m"], "known_models": ["m"]}
    schedule = Schedule(id="n", cron="0 2 * * *", timezone="UTC", enqueue=options, last_tick=moment, created_at=moment)
    await schedule.insert()
    async with await visits.owner() as client:
        edit = {"cron": "30 3 * * *", "timezone": "Europe/Berlin", "repeats": 2}
        assert (await client.post("/api/schedules/n/edit", json=edit)).status_code == 200
        shown = (await client.get("/api/schedules/n")).json()["schedule"]
        assert (shown["cron"], shown["timezone"], shown["enqueue"]["repeats"]) == ("30 3 * * *", "Europe/Berlin", 2)
        assert shown["next_local"].split()[1] == "03:30"
        for wrong in ({"cron": "never"}, {"repeats": 0}, {"on_finish": ["rm -rf ~"]}, {"cron": 3}):
            assert (await client.post("/api/schedules/n/edit", json=wrong)).status_code == 400, wrong
        for word, paused in (("pause", True), ("resume", False)):
            assert (await client.post(f"/api/schedules/n/{word}")).status_code == 200
            [row] = (await client.get("/api/schedules")).json()["schedules"]
            assert row["paused"] is paused
        made = (await client.post("/api/schedules/n/run")).json()["done"]["details"]["run"]
        assert (await client.get(f"/api/runs/{made}")).json()["run"]["suite_name"] == "tales"
        assert (await client.post("/api/schedules/other/pause")).status_code == 404
        await database.raw["schedules"].update_one({}, {"$set": {"enqueue.on_finish": [hook]}})
        assert "secret" not in (await client.get("/api/schedules")).text
    assert [act[::2] for act in await acts()] == [
        ("edit", True),
        *[("edit", False)] * 4,
        ("pause", True),
        ("resume", True),
        ("run", True),
        ("pause", False),
    ]


async def test_a_suites_file_is_sent(visits: Visits) -> None:
    async with await visits.owner() as client:
        first = await client.post("/api/suites?file=tales.yaml", content=GOOD)
        again = await client.post("/api/suites?file=tales.yaml", content=GOOD)
        assert (first.status_code, again.status_code) == (201, 200)
        facts = first.json()["suite"]
        assert (facts["name"], facts["version"], facts["sequences"], facts["created"]) == ("tales", 1, 1, True)
        refused = await client.post("/api/suites?file=tales.yaml", content=BAD)
        assert (refused.status_code, "tales.yaml, line 5" in refused.text) == (400, True)
        assert (await client.post("/api/suites?file=../x.yaml", content=GOOD)).status_code == 400
        large = b"# " + b"x" * (BODY_BYTES + 1)
        assert (await client.post("/api/suites?file=t.yaml", content=large)).status_code == 400  # read, and empty
        larger = str(LARGER_BODIES["/api/suites"] + 1)
        assert (await client.post("/api/suites", headers={"content-length": larger})).status_code == 413
    assert {action for action, _, _ in await acts()} == {"import"}


async def test_models_are_loaded_and_fetched(
    visits: Visits, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can be fetched is the hub's or the list's: no path and no address."""
    begun: list[tuple[str, ...]] = []

    async def start(model: str, source: str, quantisation: str | None, by: str) -> None:
        begun.append((model, source, str(quantisation), by))

    site = visits.app.state.site
    monkeypatch.setattr(site.pulls, "start", start)
    token = await add_token("runs", None, [TokenScope.RUN], database=database)
    async with visits.client(authorization=f"Bearer {token}") as client:
        for word, wanted in (("pin", ["m"]), ("unpin", []), ("load", ["m"]), ("unload", [])):
            assert (await client.post(f"/api/models/m/{word}")).status_code == 200, word
            assert list(await wanted_models(database)) == wanted, word
        assert (await client.post("/api/models/..%2Fm.gguf/load")).status_code == 404
        fetched = {"source": "acme/Story-GGUF", "name": "story", "quantisation": "Q4_K_M"}
        answer = await client.post("/api/pulls", json=fetched)
        assert answer.json()["done"] == {
            "said": "story is being fetched.",
            "about": "story",
            "details": {"source": "acme/Story-GGUF"},
        }
        for source in ("../etc", "/etc/passwd", "https://example.net/x", "hf://a/b", ""):
            assert (await client.post("/api/pulls", json={"source": source})).status_code == 400, source
        assert (await client.get("/api/pulls")).json() == {"pulls": []}
        assert (await client.post("/api/pulls/story/cancel")).status_code == 400  # none is under way
    assert begun == [("story", "acme/Story-GGUF", "Q4_K_M", "owner (token runs)")]
    assert [act for act in await acts() if act[0] == "begin" and act[2]] == [("begin", "story", True)]


async def test_viewers_change_nothing(visits: Visits, run: Run, database: Database) -> None:
    """They read all of it; the document says of each route what it takes."""
    async with await visits.somebody(Role.VIEWER) as client:
        for path in ("baselines", "schedules", "pulls"):
            assert (await client.get(f"/api/{path}")).status_code == 200
        document = (await client.get("/api/openapi.json")).json()["paths"]
        changing = [path for path, methods in document.items() if path.startswith("/api/") and "post" in methods]
        assert len(changing) >= 19
        for path in changing:
            answer = await client.post(path.replace("{name}", "nightly"), headers={OUR_HEADER: "1"})
            assert answer.status_code == 403, path
        assert "JudgingRequest" in str(document["/api/runs/{name}/judge"]["post"]["requestBody"])
        assert document["/api/models/{name}/load"]["post"]["description"]
    assert await acts() == []
