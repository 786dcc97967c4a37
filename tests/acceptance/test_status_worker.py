"""`nightjar status` and `nightjar worker` at the command line: what they print, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.shell import PROJECT, Shell

DEMO = PROJECT / "config" / "models" / "nightjar-demo.gguf"


def enqueue(shell: Shell) -> None:
    shell.ok("enqueue", "--suite", "story-starters", "--model", "nightjar-demo", "--limit", "2", "--name", "night")


def status(shell: Shell, *arguments: str) -> tuple[dict[str, Any], int]:
    done = shell.run("status", *arguments, "--json")
    return json.loads(done.stdout), done.returncode


def test_an_idle_house_is_fine(shell: Shell) -> None:
    """Having nothing to do is not a failure; both services are shown."""
    told, code = status(shell)
    assert code == 0
    assert told["services"] == {"mongo": {"ok": True, "reason": None}, "redis": {"ok": True, "reason": None}}
    assert (told["queues"], told["runs"]) == ([], [])


def test_a_model_without_a_worker_is_said_plainly(shell: Shell) -> None:
    """The keys scripts rely on, the reason of the wait, and exit code 1: nothing here will ever start these jobs."""
    enqueue(shell)
    told, code = status(shell, "night")
    assert code == 1
    assert [(q["model"], q["waiting"], q["reason"]) for q in told["queues"]] == [
        ("nightjar-demo", 2, "no worker for model")
    ]
    run = told["runs"][0]
    assert {"id", "name", "suite", "status", "jobs", "turns", "eta_s"} <= set(run)
    assert run["jobs"] == {"PENDING": 2, "RUNNING": 0, "DONE": 0, "DEAD": 0, "CANCELLED": 0}
    assert run["turns"] == {"committed": 0, "empty": 0}
    text = shell.run("status").stdout
    assert "no worker for model" in text
    assert "night" in text


def test_an_unknown_run_names_the_nearest(shell: Shell) -> None:
    enqueue(shell)
    done = shell.run("status", "nigt")
    assert done.returncode == 2
    assert "'night'" in done.stderr


def test_servers_that_are_away_are_part_of_the_answer(shell: Shell) -> None:
    """Both named with their address, no traceback, exit code 1."""
    away = {"NIGHTJAR_MONGO_URL": "mongodb://127.0.0.1:9/", "NIGHTJAR_REDIS_URL": "redis://127.0.0.1:9/0"}
    done = shell.run("status", "--json", env=away)
    services = json.loads(done.stdout)["services"]
    assert done.returncode == 1
    assert "127.0.0.1:9" in services["mongo"]["reason"]
    assert "Traceback" not in done.stderr
    redis_only = shell.run("status", "--json", env={"NIGHTJAR_REDIS_URL": "redis://127.0.0.1:9/0"})
    services = json.loads(redis_only.stdout)["services"]
    assert (services["mongo"]["ok"], services["redis"]["ok"]) == (True, False)
    assert "127.0.0.1:9" in services["redis"]["reason"]


def test_a_worker_of_an_unknown_model_or_card_is_wrong_usage(shell: Shell) -> None:
    unknown = shell.run("worker", "--model", "nightjar-dem", "--burst")
    assert (unknown.returncode, "nightjar-demo" in unknown.stderr) == (2, True)
    card = shell.run("worker", "--model", "nightjar-demo", "--gpu", "GPU-00000000", "--burst")
    assert (card.returncode, "is not a card of this machine" in card.stderr) == (2, True)


def test_a_model_that_does_not_load_is_told_by_worker_and_status(shell: Shell) -> None:
    """A truncated file: exit code 1, the reason at the queue; the jobs stay PENDING."""
    enqueue(shell)
    broken = shell.folder / "nightjar-demo.gguf"
    broken.write_bytes(DEMO.read_bytes()[:100_000])
    done = shell.run("worker", "--model", broken, "--gpu", "none")
    assert done.returncode == 1
    told, code = status(shell)
    assert code == 1
    worker = told["workers"][0]
    assert worker["state"] == "failed"
    assert str(broken.name) in worker["reason"]
    assert told["queues"][0]["reason"].startswith("no worker for model")  # a file of one's own has a name of its own
    assert told["runs"][0]["jobs"]["PENDING"] == 2


def test_a_burst_without_work_ends_at_once(shell: Shell, tmp_path: Path) -> None:
    threads = {"NIGHTJAR_MODEL__THREADS": "1"}
    done = shell.run("worker", "--model", "nightjar-demo", "--gpu", "none", "--slots", "1", "--burst", env=threads)
    assert done.returncode == 0, done.stderr
    assert status(shell)[0]["workers"] == [], "an orderly end takes a worker off the list"
