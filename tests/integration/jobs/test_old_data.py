"""What commit e84adcd left behind is read, reported, compared, resumed and repeated, once it is migrated."""

from __future__ import annotations

import asyncio
import gzip
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings, load_settings
from nightjar.jobs.database import Access, connect
from nightjar.jobs.documents import Run
from nightjar.jobs.lookup import find_run
from nightjar.jobs.migrations import MIGRATIONS, SCHEMA_VERSION
from nightjar.jobs.mongo import Database
from nightjar.jobs.runs import control
from nightjar.jobs.states import JobKind, JobStatus, RunStatus
from nightjar.pipeline.closing.close import close_run
from nightjar.pipeline.runs.repeat import import_run
from nightjar.pipeline.runs.run_file import read_run_file
from nightjar.scripts.cli import main
from nightjar.workers.engine.fake import ScriptedEngine
from tests.old_data import RUN_FILE, old_documents, put_old_data
from tests.workbench import Bench, opened_bench, statuses, until

DROPPED = "hourly-2026-11-29-0853Z"
RUNS = {"first", "pairs", "judging", "unfinished", DROPPED, "hourly-2026-11-29-0854Z"}
READING = [
    "run list",
    "run show first",
    "run wait first",
    "run export first",
    "report first",
    "compare pairs",
    "trend pocket",
    "baseline list",
    "suite list",
    "suite show pocket",
    "schedule list",
]


class Terminal:
    """Commands in this process, on a database of their own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def run(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Exit code, output, and errors in one line."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        return int(ended.value.code or 0), out, " ".join(err.split())

    def ok(self, *arguments: str | Path) -> str:
        code, out, err = self.run(*arguments)
        assert code == 0, (arguments, out, err)
        return out

    def json(self, *arguments: str | Path) -> Any:
        return json.loads(self.ok(*arguments, "--json"))


@pytest.fixture
def terminal(
    services: ServiceUrls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Terminal]:
    """A terminal before the old data, in an empty folder."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("NIGHTJAR_MONGO_URL", services.mongo.get_secret_value())
    monkeypatch.setenv("NIGHTJAR_REDIS_URL", services.redis.get_secret_value())
    monkeypatch.setenv("NIGHTJAR_MONGO_DATABASE", name)
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()

    async def put(*, dropped: bool) -> None:
        async with await connect(services.mongo, name, access=Access.LOOK, documents=False) as database:
            await (database.client.drop_database(name) if dropped else put_old_data(database))

    asyncio.run(put(dropped=False))
    yield Terminal(capsys)
    asyncio.run(put(dropped=True))


@pytest.fixture
async def migrated(services: ServiceUrls, database: Database) -> AsyncIterator[Database]:
    await put_old_data(database)
    async with await connect(services.mongo, database.raw.name) as connected:
        yield connected


@pytest.fixture
async def bench(migrated: Database, services: ServiceUrls, tmp_path: Path) -> AsyncIterator[Bench]:
    """Servers with the migrated data; its schedules are past their ticks and would start runs of their own."""
    await migrated.raw["schedules"].delete_many({})
    async with opened_bench(
        migrated,
        services,
        Settings(home=tmp_path / "home", reports_dir=tmp_path / "reports", lease_s=3, beat_s=0.2, drain_s=5),
    ) as bench:
        yield bench


def test_commands_that_read_refuse_and_say_what_to_do(terminal: Terminal) -> None:
    for command in READING:
        code, out, err = terminal.run(*command.split())
        assert (code, out) == (1, ""), command
        assert "is of schema version 0" in err, command
        assert "`nightjar services migrate`" in err, command
    code, out, _ = terminal.run("status", "--json")
    assert code == 1
    assert "nightjar services migrate" in json.loads(out)["services"]["mongo"]["reason"]
    checks = {check["name"]: check for check in json.loads(terminal.run("doctor", "--json")[1])["checks"]}
    assert "nightjar services migrate" in checks["schema"]["remedy"]
    assert terminal.run("services", "status")[0] == 0


def test_commands_that_write_migrate_first(terminal: Terminal) -> None:
    terminal.ok("run", "pause", "unfinished")
    listed = {run["run"]: run["status"] for run in terminal.json("run", "list")["runs"]}
    assert (set(listed), listed["unfinished"]) == (RUNS, "PAUSED")


def test_migrated_runs_are_listed_shown_reported_and_compared(terminal: Terminal, tmp_path: Path) -> None:
    names = [migration.name for migration in MIGRATIONS]
    told = {"schema": {"before": 0, "after": SCHEMA_VERSION, "migrations": names}}
    assert terminal.json("services", "migrate") == told
    told = {"schema": {"before": SCHEMA_VERSION, "after": SCHEMA_VERSION, "migrations": []}}
    assert terminal.json("services", "migrate") == told

    assert {run["run"] for run in terminal.json("run", "list")["runs"]} == RUNS
    (stored,) = [run for run in old_documents()["runs"] if run["name"] == "first"]
    shown = terminal.json("run", "show", "first")["run"]
    flat = ("judges", "planned", "self_judging", "against", "check", "deadline_met", "answer", "files", "stalled_at")
    assert {name: shown[name] for name in flat} == {name: stored[name] for name in flat}
    assert (shown["gates"]["outcome"], shown["jobs"]["DEAD"]) == ("passed", 4)
    assert shown["finished_at"] is not None
    assert [delivery["state"] for delivery in shown["deliveries"]] == ["delivered"]
    assert not {"judging", "outcome", "rubric"} & set(shown)
    crashed = old_documents()["crashes"][0]["held"][0]
    job = terminal.json("run", "show", "unfinished", "--job", crashed)["job"]
    assert job["crashes"][0]["reason"] == "died of SIGSEGV"

    out = tmp_path / "out"
    for name in sorted(RUNS - {"unfinished"}):
        terminal.ok("report", name, "--format", "html", "--format", "json", "--out", out)
    report = json.loads((out / "first.json").read_text("utf-8"))
    (amber, birch) = report["models"]
    assert (amber["name"], birch["name"]) == ("amber", "birch")
    assert amber["loads"][0]["probe"]["all_slots_prefill_tokens_per_s"] is None
    assert report["judging"]["judges"][0]["name"] == "amber"
    assert "were dropped on 2026-11-29" in (out / f"{DROPPED}.html").read_text("utf-8")
    assert json.loads((out / f"{DROPPED}.json").read_text("utf-8"))["models"][0]["name"] == "amber"
    assert "pairs:amber against first:amber" in terminal.ok("compare", "pairs")
    assert terminal.json("trend", "pocket", "--out", out)["nights"] == 4
    assert terminal.json("baseline", "list")["baselines"][0]["run"] == "first"
    assert {schedule["name"] for schedule in terminal.json("schedule", "list")["schedules"]} == {"hourly", "nightly"}
    terminal.ok("run", "export", "first")
    exported = json.loads(Path("first.run.json").read_text("utf-8"))
    before = json.loads(gzip.decompress(RUN_FILE.read_bytes()))
    before["run"]["rubric"]["prompts"] = 1  # which its judges were asked by, and is said since there are others
    for load in (load for model in before["models"] for load in model["loads"]):
        load["grammar_engine"] = "llama.cpp"  # said since there is another
        load["given_up"] = []  # said since loads may be made smaller, as is how a probe was made
        load["probe"] |= {"kind": "work", "measured_at": None, "by_slots": {}, "busy": False}
    assert exported | {key: before[key] for key in ("exported_at", "exported_by")} == before


async def test_no_field_is_lost_and_scores_have_one_form(migrated: Database) -> None:
    stored = old_documents()
    for old in stored["runs"]:
        new = await migrated.runs.find_one({"_id": old["_id"]})
        assert new is not None
        judging = first_of(new["judging"])
        flat = new | judging | new["outcome"]
        assert set(old) == set(flat) - {"judging", "outcome", "closers", "variants", "kind"}
        if judging["judges"]:
            (only,) = new["judging"]["passes"]
            done = old["status"] == "DONE"
            assert (only["status"], only["ended_at"]) == (("COMPLETE", old["finished_at"]) if done else ("OPEN", None))
            assert (only["verdict"], only["files"]) == ((old["verdict"], old["files"]) if done else (None, []))
        assert {name: flat[name] for name in old if name not in ("models", "helpers")} == {
            name: value for name, value in old.items() if name not in ("models", "helpers")
        }
    scores = await migrated.raw["scores"].find().to_list()
    assert len(scores) == len(stored["scores"])
    assert {score["_id"] for score in scores} == {f"{s['job']}.{s['turn']}.{s['scorer']}" for s in stored["scores"]}
    assert any("." not in score["_id"] for score in stored["scores"]), "judges' scores had another form"
    assert {score.get("judging") for score in scores if score["scorer"].startswith("judge")} == {1}
    assert {score.get("judging") for score in scores if not score["scorer"].startswith("judge")} == {None}
    for name in ("runs", "workers", "worker_records"):
        rows = await migrated.raw[name].find().to_list()
        assert "all_slots_prefill" not in str(rows)
        assert "all_slots_prefill" in str(stored[name])


async def test_closing_again_stores_the_very_same_scores(migrated: Database, tmp_path: Path) -> None:
    """Ids, values and scorers' digests of checks, measures, judges and similarities."""
    for name in ("first", "pairs"):
        run = await find_run(name, migrated)
        before = await _scores(run, migrated)
        await close_run(run, migrated, tmp_path)
        after = await _scores(run, migrated)
        assert [_without_digest(score) for score in after] == [_without_digest(score) for score in before]
        changed = {new["scorer"] for new, old in zip(after, before, strict=True) if new != old}
        assert changed <= COUNT_WORDS
        assert {"judge"} < {score["scorer"] for score in before}
        again = await find_run(name, migrated)
        assert again.outcome.finished_at == run.outcome.finished_at
        reworded = (run.outcome.answer or "").replace("told apart", "separated").replace("At least 5", "At least 6")
        assert again.outcome.answer == reworded


def first_of(judging: dict[str, Any]) -> dict[str, Any]:
    """What of a run's judging was there before there could be several."""
    empty: dict[str, Any] = {"judges": [], "rubric": None, "self_judging": False, "against": None}
    asked = judging["passes"][0] if judging["shown"] == 1 else empty
    return {name: judging[name] for name in ("check", "planned")} | {name: asked[name] for name in empty}


COUNT_WORDS = {"words", "distinct_1", "distinct_2", "repetition", "loops", "max_words", "mattr"}
"""Scorers whose second version finds the words of every script."""


def _without_digest(score: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in score.items() if name != "scorer_digest"}


async def test_an_unfinished_run_is_resumed(bench: Bench) -> None:
    """Its lapsed jobs are taken back, and a worker of the same file does the rest."""
    run = await find_run("unfinished", bench.database)
    await control.pause(run, bench.database)
    await control.resume(await find_run("unfinished", bench.database), bench.database)
    engine = ScriptedEngine(name="birch", slots=4, digest=run.models[0].digest or "")
    async with bench.dispatching(), bench.worker(engine):
        await until(lambda: _is("unfinished", RunStatus.DONE, bench.database), within_s=60)
    assert await statuses(run.id) == {JobStatus.DONE: run.jobs_total}


async def test_a_run_that_is_judged_goes_on(bench: Bench) -> None:
    run = await find_run("judging", bench.database)
    judge = ScriptedEngine(_verdict, name="amber", slots=4, digest=run.models[0].digest or "")
    async with bench.dispatching(), bench.worker(judge):
        await until(lambda: _is("judging", RunStatus.DONE, bench.database), within_s=60)
    rows = await bench.database.jobs.find({"run": run.id, "kind": JobKind.JUDGE}).to_list()
    assert {row["status"] for row in rows} == {JobStatus.DONE}
    assert {"judge"} < {score["scorer"] for score in await _scores(run, bench.database)}


async def test_dead_jobs_are_retried(migrated: Database) -> None:
    run = await find_run("first", migrated)
    assert await control.retry(run, migrated) == 4
    again = await find_run("first", migrated)
    assert (again.status, again.judging.planned, again.outcome.finished_at) == (RunStatus.ACTIVE, False, None)
    assert again.outcome.verdict is None


async def test_an_old_run_file_is_imported_with_the_same_jobs(database: Database) -> None:
    file = read_run_file(gzip.decompress(RUN_FILE.read_bytes()), "first.run.json")
    here = {model.name: model.facts for model in (*file.models, *file.judges) if model.facts is not None}
    done = await import_run(file, here, database)
    assert (done.created, done.run.judging.judges, done.run.embed_model) == (True, ["amber"], "minilm")
    ids = {row["_id"] async for row in database.jobs.find({"run": done.run.id}, {"_id": 1})}
    old = [job for job in old_documents()["jobs"] if job["run"] == file.run.id and job["kind"] == JobKind.REPLY]
    assert ids == {job["_id"] for job in old}


async def _is(name: str, status: RunStatus, database: Database) -> bool:
    return (await find_run(name, database)).status is status


async def _scores(run: Run, database: Database) -> list[dict[str, Any]]:
    return await database.raw["scores"].find({"run": run.id}).sort("_id", 1).to_list()


def _verdict(prompt: str, seed: int) -> str:
    return json.dumps({"evidence": "It says so.", "score": 2})
