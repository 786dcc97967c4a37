"""`nightjar doctor` as a person types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys


def doctor(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nightjar", "doctor", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **variables}
    )


def test_it_tells_of_everything_and_starts_nothing() -> None:
    done = doctor("--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert {"settings", "mongo", "redis", "memory", "cores", "llama.cpp", "disk: home"} <= set(checks)
    assert checks["mongo"]["state"] == "fine"
    assert checks["mongo"]["found"].startswith("down embedded")
    assert done.returncode == int(any(check["state"] == "problem" for check in checks.values()))


def test_a_server_that_cannot_be_reached_is_a_problem_without_its_password() -> None:
    done = doctor(NIGHTJAR_REDIS_URL="redis://:hunter2-4f9a@127.0.0.1:1/0")
    assert done.returncode == 1, done.stderr
    assert "unreachable configured 127.0.0.1:1" in done.stdout
    assert "NIGHTJAR_REDIS_URL" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


def test_a_misspelt_setting_is_told_in_one_paragraph() -> None:
    done = doctor(NIGHTJAR_MODEL_CONTEXT="4096")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Did you mean NIGHTJAR_MODEL__CONTEXT?" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
