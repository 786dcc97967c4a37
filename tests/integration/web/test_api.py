"""Nightjar's own API: the command line's words as JSON, with cursors, tags and keys that make asking twice harmless."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightjar.config.settings import Settings
from nightjar.jobs.accounts.access import add_token, begin_session
from nightjar.jobs.accounts.documents import AuditEntry, Role, TokenScope
from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import RunKind, RunStatus
from nightjar.pipeline.suites.benchmarks.ladders import ladder
from nightjar.pipeline.suites.importer import import_suite
from nightjar.web.gate import OUR_HEADER
from tests.integration.web.conftest import HOST, Visits
from tests.integration.web.test_pages import add_turns


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    registry = tmp_path / "models.toml"
    registry.write_text('[m]\npath = "m.gguf"\n')
    return Settings(home=tmp_path / "home", models_file=registry)


async def test_everything_that_can_be_read(visits: Visits, run: Run) -> None:
    """As JSON, with a tag: what has not changed is not sent again."""
    async with await visits.somebody(Role.VIEWER) as client:
        found = {path: await client.get(f"/api/{path}") for path in ("status", "runs", "suites", "models", "workers")}
        assert {answer.status_code for answer in found.values()} == {200}
        assert [each["run"] for each in found["runs"].json()["runs"]] == ["nightly"]
        assert found["runs"].json()["next"] is None
        assert found["status"].json()["runs"][0]["name"] == "nightly"
        assert found["suites"].json()["suites"][0]["sequences"] == 2
        assert "story-starters" in found["suites"].json()["bundled"]
        [model] = [each for each in found["models"].json()["models"] if each["name"] == "m"]
        assert "path" not in model
        detail = (await client.get("/api/runs/nightly")).json()["run"]
        assert (detail["suite_name"], detail["jobs"]["PENDING"]) == ("tales", 2)
        suite = (await client.get("/api/suites/tales@1")).json()["suite"]
        assert [each["id"] for each in suite["sequences"]] == ["a", "b"]
        for path in ("runs/other", "suites/other"):
            assert (await client.get(f"/api/{path}")).status_code == 404
        same = await client.get("/api/runs", headers={"if-none-match": found["runs"].headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")


async def test_runs_are_paged(visits: Visits, run: Run, database: Database) -> None:
    row = await database.runs.find_one({})
    assert row is not None
    moment = row["created_at"]
    for number in range(5):
        later = moment.replace(year=moment.year + 1 + number)
        await database.runs.insert_one({**row, "_id": f"r{number}", "name": f"n{number}", "created_at": later})
    await database.runs.update_one({"_id": "r4"}, {"$set": {"kind": RunKind.LIVE}})  # nobody's but its user's
    names: list[str] = []
    async with await visits.somebody(Role.VIEWER) as client:
        after = ""
        while True:
            page = (await client.get(f"/api/runs?limit=2{after}")).json()
            names += [each["run"] for each in page["runs"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert (await client.get("/api/runs?limit=0")).status_code == 400
    assert names == ["n3", "n2", "n1", "n0", "nightly"]


async def test_a_run_is_made_once(visits: Visits, run: Run) -> None:
    """The same key, or the same name, is the same run."""
    body = {"suite": "tales", "models": ["m"], "repeats": 2}
    async with await visits.owner() as client:
        first = await client.post("/api/runs", json=body, headers={"idempotency-key": "k"})
        again = await client.post("/api/runs", json=body, headers={"idempotency-key": "k"})
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["run"]["jobs_added"] == 4
        assert again.json()["run"] == {**first.json()["run"], "jobs_added": 0}
        wrong = {"models": [], "repeats": 0, "on_finish": ["rm -rf ~"], "paths": {"x": "/etc/passwd"}}
        for field, value in wrong.items():
            refused = await client.post("/api/runs", json={**body, field: value})
            assert refused.status_code == 400, field
        unknown = await client.post("/api/runs", json={**body, "models": ["other"]})
        assert unknown.status_code == 404
    assert await Run.find_all().count() == 2


async def test_the_same_key_of_somebody_else_is_another_run(visits: Visits, run: Run, database: Database) -> None:
    """Each has one, however often they ask; by a token, too, whose program chose its keys by itself."""
    await visits.users()
    body = {"suite": "tales", "models": ["m"]}
    token = await add_token("programs", "admin", [TokenScope.RUN], database=database)
    secrets = [await begin_session(name, HOST, instead_of=None, database=database) for name in ("admin", "operator")]
    clients = [visits.client(secret, **{OUR_HEADER: "1"}) for secret in secrets]
    clients.append(visits.client(authorization=f"Bearer {token}"))
    made: list[str] = []
    for client in clients:
        async with client:
            answers = [await client.post("/api/runs", json=body, headers={"idempotency-key": "k"}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 200]
        assert len({answer.json()["run"]["run"] for answer in answers}) == 1
        made.append(answers[0].json()["run"]["run"])
    assert len(set(made)) == 3
    assert await Run.find_all().count() == 1 + 3


async def test_a_run_may_stop_when_it_is_decided(
    visits: Visits, run: Run, settings: Settings, database: Database
) -> None:
    """As `nightjar enqueue` has it, held against a model, too."""
    settings.models_file.write_text('[m]\npath = "m.gguf"\n[n]\npath = "n.gguf"\n')
    await import_suite(ladder("needle", (1024, 2048), each=20, seed=0), database)
    body = {"suite": "ladder-needle", "models": ["m", "n"], "until": "decided", "margin": 0.1, "fidelity_to": "m"}
    async with await visits.owner() as client:
        made = await client.post("/api/runs", json={**body, "name": "d"})
        assert (made.status_code, made.json()["run"]["jobs_added"]) == (201, 40)
        for field, value in {"until": "later", "margin": -1, "primary": "other", "suite": "tales"}.items():
            refused = await client.post("/api/runs", json={**body, field: value})
            assert refused.status_code in (400, 404), field
        shown = (await client.get("/api/runs/d")).json()["run"]
    assert shown["fidelity"]["reference"] == "m"
    found = await Run.find_one({"name": "d"})
    assert found is not None
    assert found.waves is not None
    assert (found.waves.plan.metric, found.waves.plan.margin) == ("includes", 0.1)


async def test_what_is_done_about_a_run(visits: Visits, run: Run, database: Database) -> None:
    token = await add_token("runs", None, [TokenScope.RUN], database=database)
    reads = await add_token("reads", None, [TokenScope.READ], database=database)
    async with visits.client(authorization=f"Bearer {reads}") as client:
        assert (await client.post("/api/runs/nightly/pause")).status_code == 403
    async with visits.client(authorization=f"Bearer {token}") as client:
        statuses = []
        for word in ("pause", "resume", "cancel"):
            statuses.append((await client.post(f"/api/runs/nightly/{word}")).json()["run"]["status"])
        assert statuses == [RunStatus.PAUSED, RunStatus.ACTIVE, RunStatus.CANCELLED]
        assert (await client.post("/api/runs/nightly/retry")).status_code == 400
    entries = await AuditEntry.find_all().sort("+_id").to_list()
    assert [(entry.action, entry.outcome == "done") for entry in entries] == [
        ("pause", True),
        ("resume", True),
        ("cancel", True),
        ("retry", False),
    ]
    assert {entry.who for entry in entries} == {"owner (token runs)"}


async def test_a_report_as_json(visits: Visits, run: Run, database: Database) -> None:
    for sequence in "ab":
        await add_turns(database, "Once upon a time.", sequence)
    async with await visits.somebody(Role.VIEWER) as client:
        assert (await client.get("/api/runs/nightly/report")).status_code == 400
        ended = {"status": RunStatus.DONE, "outcome.finished_at": await database.now()}
        await database.runs.update_one({}, {"$set": ended})
        while (answer := await client.get("/api/runs/nightly/report")).status_code == 503:
            assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["run"]["name"] == "nightly"
