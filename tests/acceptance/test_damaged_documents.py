"""Documents that cannot be read, in every collection that dispatcher and workers read again and again: what is healthy
goes on, what is damaged is named, and all processes end when they are told to.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nightjar.config.embedded import service_urls
from nightjar.config.settings import Settings
from nightjar.jobs.database import connect
from nightjar.jobs.mongo import Database
from tests.shell import Shell

WITHIN_S = 150
ENDED_WITHIN_S = 90
"""The deadlines of dispatcher and worker are far below; the machine may be busy."""


def in_database(home: Path, shell: Shell, work: Any) -> Any:
    async def run() -> Any:
        urls = service_urls(Settings(home=home, mongo_url=None, redis_url=None))
        async with await connect(urls.mongo, shell.environment["NIGHTJAR_MONGO_DATABASE"]) as database:
            return await work(database)

    return asyncio.run(run())


async def damage(database: Database) -> None:
    """A run at work, one that is being written, a job, a schedule, a delivery, a worker's beat, a published model."""
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    broken = {"repeats": "many", "judging": {"passes": "everybody"}}
    await database.runs.update_one({"name": "poisoned"}, {"$set": broken})
    unwritten = {"status": "EXPANDING", "created_at": long_ago, "expanded_at": long_ago, "repeats": "many"}
    await database.runs.update_one({"name": "unwritten"}, {"$set": unwritten})
    mixed = await database.runs.find_one({"name": "mixed"})
    assert mixed is not None
    job = await database.jobs.find_one({"run": mixed["_id"]}, sort=[("order", 1)])
    assert job is not None
    await database.jobs.update_one({"_id": job["_id"]}, {"$set": {"turns": [{"index": 0, "prompt": 5}]}})
    raw = database.raw
    await raw["schedules"].insert_one({"_id": "damaged-schedule", "enabled": True, "cron": 5, "last_tick": long_ago})
    delivery = {"_id": "damaged-delivery", "state": "waiting", "due_at": long_ago, "tries": 0, "owner": None}
    await raw["deliveries"].insert_one(delivery | {"hook": {"kind": "pigeon"}, "created_at": datetime.now(UTC)})
    beat = {"_id": "elsewhere:1:1", "model": "nightjar-demo", "state": "dreaming", "beat_at": datetime.now(UTC)}
    await raw["workers"].insert_one(beat)
    await raw["models"].insert_one({"_id": "damaged-model", "facts": {"name": 5}})


@contextmanager
def processes(shell: Shell, folder: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, arguments in (("dispatcher", ()), ("worker", ("--model", "nightjar-demo"))):
            with (folder / f"{name}.log").open("wb") as log:
                command = [sys.executable, "-m", "nightjar", name, *arguments]
                started[name] = subprocess.Popen(command, cwd=shell.folder, env=shell.environ(), stdout=log, stderr=log)
        yield started
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def status(shell: Shell, *arguments: str) -> tuple[dict[str, Any], int]:
    done = shell.run("status", *arguments, "--json")
    assert done.stdout, done.stderr
    return json.loads(done.stdout), done.returncode


def wait_done(shell: Shell, *names: str) -> dict[str, Any]:
    """The runs by name once all of these are DONE."""
    end = time.monotonic() + WITHIN_S
    while True:
        told, _ = status(shell)
        runs = {run["name"]: run for run in told["runs"]}
        if all(name in runs and runs[name]["status"] == "DONE" for name in names):
            return runs
        assert time.monotonic() < end, told
        time.sleep(1)


def wait_failing(shell: Shell, *subjects: str) -> tuple[dict[str, Any], int]:
    """What `status` says once chores fail at each of these: every process comes upon them in its own time."""
    end = time.monotonic() + WITHIN_S
    while True:
        told, code = status(shell)
        if set(subjects) <= {chore["about"] for chore in told["chores"] if chore["failing"]}:
            return told, code
        assert time.monotonic() < end, told["chores"]
        time.sleep(1)


def test_what_is_healthy_goes_on_and_what_is_damaged_is_named(
    shell: Shell, acceptance_home: Path, tmp_path: Path
) -> None:
    for name in ("poisoned", "unwritten", "mixed", "healthy"):
        shell.ok("enqueue", "--suite", "story-starters", "--model", "nightjar-demo", "--limit", "3", "--name", name)
    in_database(acceptance_home, shell, damage)
    with processes(shell, tmp_path) as running:
        runs = wait_done(shell, "healthy", "mixed")
        assert runs["healthy"]["jobs"]["DONE"] == 3
        assert (runs["mixed"]["jobs"]["DONE"], runs["mixed"]["jobs"]["DEAD"]) == (2, 1)

        told, code = wait_failing(shell, "run unwritten", "schedule damaged-schedule", "run poisoned")
        failing = {(chore["chore"], chore["about"]) for chore in told["chores"] if chore["failing"]}
        assert code == 1
        assert {("finish_expansions", "run unwritten"), ("fire", "schedule damaged-schedule")} <= failing, told
        named = {about for _, about in failing if about.startswith("run ")}
        assert named <= {"run poisoned", "run unwritten"}, "runs are called by their names, not by their ids"
        assert all(chore["failures"] >= 1 and chore["since"] for chore in told["chores"])
        assert any("elsewhere:1:1" in sentence for sentence in told["unreadable"])
        assert "it cannot be read: turns.0" in told["dead"][0]["example"]
        shown = shell.run("status").stdout
        assert "run unwritten" in shown
        assert "run poisoned" in shown
        doctor = shell.run("doctor")
        assert doctor.returncode == 1
        assert "finish_expansions (run unwritten)" in doctor.stdout.replace("`", "")

        shell.ok("report", "mixed", "--format", "json", "--out", str(tmp_path))
        [path] = tmp_path.glob("*.json")
        report = json.loads(path.read_text())
        assert [job["status"] for job in report["jobs"]].count("DEAD") == 1
        _all_end(running)
    assert "worker_died" not in (tmp_path / "worker.log").read_text()


def _all_end(running: dict[str, subprocess.Popen[bytes]]) -> None:
    for process in running.values():
        assert process.poll() is None, "none of them ended by itself"
        process.send_signal(signal.SIGTERM)
    assert {name: process.wait(ENDED_WITHIN_S) for name, process in running.items()} == {"dispatcher": 0, "worker": 0}
