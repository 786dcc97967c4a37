"""Nights at the command line: baselines, gates, schedules, and one notification although the dispatcher is killed."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.embedded import service_urls
from nightjar.config.settings import Settings
from nightjar.jobs.database import connect
from nightjar.jobs.mongo import Database
from tests import factories
from tests.receivers import WebReceiver
from tests.shell import Shell

RUN = "nightly-2026-11-20"
SECOND = "nightly-2026-11-21"


async def in_database(shell: Shell, home: Path, work: Any) -> Any:
    urls = service_urls(Settings(home=home, mongo_url=None, redis_url=None))
    async with await connect(urls.mongo, shell.environment["NIGHTJAR_MONGO_DATABASE"]) as database:
        return await work(database)


@pytest.fixture
def stored(shell: Shell, acceptance_home: Path) -> Shell:
    """A shell whose database holds a night of three models, and a second one like it."""

    async def write(database: Database) -> None:
        await factories.store(database)
        run = await database.runs.find_one({"name": RUN})
        assert run is not None
        later = run["created_at"] + timedelta(days=1)
        await database.runs.insert_one(
            run | {"_id": "second", "name": SECOND, "series": "nightly", "created_at": later}
        )
        jobs = [{**job, "_id": f"2{job['_id']}", "run": "second"} async for job in database.jobs.find({})]
        await database.jobs.insert_many(jobs)

    asyncio.run(in_database(shell, acceptance_home, write))
    return shell


def test_a_baseline_from_setting_to_clearing(stored: Shell) -> None:
    """Set, shown, compared with, protected from removal, cleared."""
    assert "no baseline" in stored.refused("compare", SECOND)
    assert "is the baseline of suite 'sample'" in stored.ok("baseline", "set", RUN)
    assert stored.json("baseline", "list")["baselines"][0]["run"] == RUN
    assert RUN in stored.ok("baseline", "show", "sample")
    assert f"{SECOND}:amber-1b against {RUN}:amber-1b" in stored.ok("compare", SECOND)
    assert "is a baseline" in stored.refused("run", "rm", RUN, "--yes")
    assert "the baseline itself" in stored.refused("compare", RUN)
    stored.ok("baseline", "clear", "sample")
    assert "sample" in stored.refused("baseline", "show", "sample")


def test_gates_of_a_run_that_is_waited_for(stored: Shell) -> None:
    """Exit code 1 and the reason in words; an impossible metric gives 2 before any waiting."""
    stored.ok("baseline", "set", RUN)
    done = stored.run("run", "wait", SECOND, "--fail-below", "checks:0.99", "--max-missing", "1%")
    assert done.returncode == 1
    assert "Gate --fail-below checks:0.99 tripped for nightly-2026-11-21:basalt-3b: checks is" in done.stdout
    gates = json.loads(stored.run("run", "wait", SECOND, "--fail-on-regression", "checks:0.5", "--json").stdout)
    assert {gate["outcome"] for gate in gates["run"]["gates"]} == {"passed"}  # a night like the baseline
    assert "'checks'" in stored.refused("run", "wait", SECOND, "--fail-below", "chekcs:0.5")


def test_what_a_run_could_never_keep_is_refused_before_anything_is_generated(shell: Shell) -> None:
    enqueue = ("enqueue", "--suite", "checkable", "--model", "nightjar-demo", "--name", "n")
    assert "'checks'" in shell.refused(*enqueue, "--fail-below", "cheks:0.5")
    assert "judge" in shell.refused(*enqueue, "--fail-below", "judge:3")
    assert "no run 'gone'" in shell.refused(*enqueue, "--baseline", "gone")
    assert "--on-finish" in shell.refused(*enqueue, "--on-finish", "ftp://host/x")
    assert "--deadline" in shell.refused(*enqueue, "--deadline", "later")
    assert shell.json("run", "list")["runs"] == []


def test_asking_again_with_another_priority_changes_it_and_says_so(shell: Shell) -> None:
    enqueue = ("enqueue", "--suite", "checkable", "--model", "nightjar-demo", "--name", "n")
    shell.ok(*enqueue, "--priority", "3", "--fail-below", "checks:0.5")
    assert "Nothing to do" in shell.ok(*enqueue)
    assert "its priority is now 5, was 3" in shell.ok(*enqueue, "--priority", "5")
    assert shell.json("run", "show", "n")["run"]["priority"] == 5
    assert "the gates are --fail-below checks:0.6, were --fail-below checks:0.5" in shell.refused(
        *enqueue, "--fail-below", "checks:0.6"
    )
    shown = shell.ok("run", "show", "n")
    assert "gates: --fail-below checks:0.5" in shown


def test_a_schedule_carries_everything(shell: Shell) -> None:
    """Everything a night needs; it is shown without the secret part of the address."""
    shell.ok(
        "schedule",
        "add",
        "nightly",
        "--cron",
        "0 2 * * *",
        "--timezone",
        "Europe/Berlin",
        "--suite",
        "checkable",
        "--model",
        "nightjar-demo",
        "--deadline",
        "07:00",
        "--overlap",
        "skip",
        "--missed",
        "skip",
        "--grace",
        "10m",
        "--fail-below",
        "checks:0.5",
        "--max-missing",
        "5%",
        "--strict",
        "--report",
        "html,csv",
        "--keep-nights",
        "14",
        "--stalled-after",
        "20m",
        "--on-finish",
        "https://chat.example.org/hooks/secret",
        "--on-finish",
        "true",
    )
    (row,) = shell.json("schedule", "list")["schedules"]
    assert (row["overlap"], row["missed"], row["grace_s"], row["keep_nights"]) == ("skip", "skip", 600, 14)
    assert row["enqueue"]["on_finish"] == ["https://chat.example.org/...", "true"]
    assert (row["enqueue"]["deadline"], row["enqueue"]["formats"]) == ("07:00", ["html", "csv"])
    assert "is paused" in shell.ok("schedule", "pause", "nightly")
    shell.ok(
        "schedule",
        "edit",
        "nightly",
        "--cron",
        "30 1 * * *",
        "--repeats",
        "2",
        "--reset",
        "max-missing",
        "--reset",
        "deadline",
    )
    (edited,) = shell.json("schedule", "list")["schedules"]
    same = {key: value for key, value in row["enqueue"].items() if key not in ("deadline", "gates")} | {"repeats": 2}
    assert edited["enqueue"] == same, "the rest stays"
    assert (edited["cron"], edited["overlap"], edited["paused"]) == ("30 1 * * *", "skip", True)
    assert "makes runs again" in shell.ok("schedule", "resume", "nightly")
    made = shell.json("schedule", "run", "nightly")["run"]
    assert made["name"].startswith("nightly-by-hand-")
    assert "nothing to change" in shell.refused("schedule", "edit", "nightly")
    assert "'deadline'" in shell.refused("schedule", "edit", "nightly", "--reset", "deadlin")
    refused = ("schedule", "add", "x", "--cron", "0 2 * * *", "--suite", "checkable", "--model", "nightjar-demo")
    assert "--overlap" in shell.refused(*refused, "--overlap", "both")
    assert "'checks'" in shell.refused(*refused, "--fail-below", "cheks:0.5")


def test_cleanup_lists_what_would_go_and_the_report_still_works(stored: Shell, acceptance_home: Path) -> None:
    """Only nights, not the newest, never a baseline; the numbers stay."""

    async def make_nights(database: Database) -> None:
        await database.runs.update_many({}, {"$set": {"series": "nightly"}})
        await database.runs.update_one({"_id": "second"}, [{"$set": {"created_at": "$$NOW"}}])

    asyncio.run(in_database(stored, acceptance_home, make_nights))
    before = stored.json("compare", RUN, SECOND)["comparisons"]
    (page,) = stored.json("report", RUN)["files"]
    with_transcripts = Path(page).read_bytes()
    (planned,) = stored.json("cleanup", "--dry-run", "--keep-nights", "1")["nights"]
    assert (planned["run"], planned["bytes"] > 10_000) == (RUN, True)
    assert "would be freed" in stored.ok("cleanup", "--dry-run", "--keep-nights", "1")
    assert RUN in stored.ok("cleanup", "--keep-nights", "1")
    assert stored.json("cleanup", "--dry-run", "--keep-nights", "1")["nights"] == []
    assert "transcripts of this run were dropped" in stored.ok("report", RUN, "--out", "old")
    assert stored.json("compare", RUN, SECOND)["comparisons"][0]["metrics"] == before[0]["metrics"]
    assert "transcripts dropped" in stored.ok("run", "show", RUN)
    refusal = stored.refused("report", RUN, "-f", "html,csv", code=2)
    assert page in refusal
    assert "--out" in refusal
    assert ".csv" not in refusal
    assert Path(page).read_bytes() == with_transcripts
    assert not Path(page).with_suffix(".csv").exists()
    stored.ok("report", RUN, "-f", "csv")  # nothing is overwritten
    stored.ok("report", RUN, "--out", "old")  # only a report without transcripts is


def test_a_webhook_is_received_once_although_the_dispatcher_is_killed(shell: Shell, acceptance_home: Path) -> None:
    """`nightjar dispatcher` is killed again and again around the end of a run whose gate trips."""
    with WebReceiver().serving() as web:
        shell.ok(
            "enqueue",
            "--suite",
            "checkable",
            "--model",
            "nightjar-demo",
            "--name",
            "n",
            "--limit",
            "2",
            "--max-missing",
            "0",
            "--on-finish",
            web.url,
        )

        async def work_is_done(database: Database) -> None:
            await database.jobs.update_many({}, {"$set": {"status": "DONE"}})

        asyncio.run(in_database(shell, acceptance_home, work_is_done))
        environment = shell.environ({"NIGHTJAR_NIGHT__CALL_TIMEOUT_S": "1"})
        source, kills = random.Random(7), 0
        deadline = time.monotonic() + 90
        while not web.got and time.monotonic() < deadline:
            dispatcher = subprocess.Popen(
                [sys.executable, "-m", "nightjar", "dispatcher"],
                cwd=shell.folder,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            wait_until = time.monotonic() + (source.uniform(0.9, 2.5) if kills < 4 else 30)
            while time.monotonic() < wait_until and not web.got:
                time.sleep(0.01)
            dispatcher.send_signal(signal.SIGKILL)
            dispatcher.wait()
            kills += 1
        again = subprocess.Popen([sys.executable, "-m", "nightjar", "dispatcher"], cwd=shell.folder, env=environment)
        time.sleep(4)
        again.terminate()
        assert again.wait(timeout=60) == 0
    (got,) = web.got
    assert (got.json["event"], got.json["run"]["name"]) == ("tripped", "n")
    assert "tripped for n:nightjar-demo" in got.json["text"]
    (told,) = shell.json("run", "show", "n")["run"]["deliveries"]
    assert told["state"] in ("delivered", "calling", "unsure")
    done = shell.run("run", "wait", "n")
    assert done.returncode == 1
    assert "Gate --max-missing 0 tripped" in done.stdout


def test_the_trend_says_what_changed_on_the_newest_night(stored: Shell, acceptance_home: Path, tmp_path: Path) -> None:
    """A line for each model, with the two nights; in the JSON the numbers. A run by hand is no night before."""
    said = stored.json("trend", "sample", "--out", tmp_path / "out")
    assert (said["nights"], said["by_hand"], said["changes"]) == (2, 1, [])

    async def both_are_nights(database: Database) -> None:
        await database.runs.update_many({}, {"$set": {"series": "nightly"}})

    asyncio.run(in_database(stored, acceptance_home, both_are_nights))
    printed = stored.ok("trend", "sample", "--out", tmp_path / "out")
    assert f"amber-1b, checks: can't tell ({SECOND} compared with {RUN})" in printed
    assert "trend-sample.html" in printed.splitlines()[-1]
    said = stored.json("trend", "sample", "--out", tmp_path / "out")
    changes = said["changes"]
    assert (said["nights"], said["by_hand"]) == (2, 0)
    assert {change["model"]: change["difference"] for change in changes if change["incomplete"] == 0} == {
        "amber-1b": 0.0,
        "basalt-3b": 0.0,
    }
    (holed,) = [change for change in changes if change["incomplete"]]
    assert (holed["model"], holed["incomplete"], holed["verdict"]) == ("cinder-0.5b-instruct", 1, "can't tell")
