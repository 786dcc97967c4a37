"""Commands of `--on-finish` come from MongoDB: where others can write to it, they are another's. And `run import`."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.machines import Machine
from tests.shell import PROJECT

if TYPE_CHECKING:
    from nightjar.config.embedded import ServiceUrls

RUN = ("--suite", "story-starters", "--model", "nightjar-demo", "--limit", "1", "--set", "max_tokens=4", "--name", "r")
SECRETS = {"AWS_SECRET_ACCESS_KEY": "aws-4711", "HF_TOKEN": "hf_usersowntoken0123456789"}
SECRETS |= {"NIGHTJAR_NIGHT__SMTP_PASSWORD": "smtp-4711"}
WAIT_S = 120


@pytest.fixture
def machine(tmp_path: Path, services: ServiceUrls) -> Machine:
    environment = {
        "NIGHTJAR_HOME": str(tmp_path / "home"),
        "NIGHTJAR_MONGO_URL": services.mongo.get_secret_value(),
        "NIGHTJAR_REDIS_URL": services.redis.get_secret_value(),
        "NIGHTJAR_MONGO_DATABASE": f"test_{uuid.uuid4().hex[:12]}",
    }
    return Machine(package=PROJECT, user=tmp_path / "user", environment=environment | SECRETS)


@contextmanager
def dispatching(machine: Machine, folder: Path, **more: str) -> Iterator[None]:
    command = [sys.executable, "-P", "-m", "nightjar", "dispatcher"]
    with (folder / "dispatcher.log").open("a") as log:
        process = subprocess.Popen(command, cwd=folder, env=machine.environ(**more), stderr=log, umask=0o022)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def delivery(machine: Machine, folder: Path) -> dict[str, Any]:
    """The only delivery of the run, once it was tried."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found: list[dict[str, Any]] = machine.json(folder, "run", "show", "r")["run"]["deliveries"]
        if found and found[0]["tries"] and found[0]["outcome"]:
            return found[0]
        time.sleep(0.3)
    raise AssertionError("nobody tried the delivery")


def test_a_command_of_a_database_by_url_runs_only_where_it_is_allowed(machine: Machine, tmp_path: Path) -> None:
    """Off by default; with the setting it runs in a clean environment, and its password is shown nowhere."""
    work = tmp_path / "work"
    script = tmp_path / "hook.py"
    script.write_text(
        "import json, os, sys\n"
        f"open({str(tmp_path / 'env.json')!r}, 'w').write(json.dumps(dict(os.environ)))\n"
        "print('was given', sys.argv[1:])\n"
    )
    command = shlex.join([sys.executable, str(script), "--password", "hunter2", "https://me:pw4711@host/T0/tok4711"])
    said = machine.ok(work, "enqueue", *RUN, "--on-finish", command)
    assert "NIGHTJAR_NIGHT__COMMANDS" in said, "whoever asks for it is told at once"
    with dispatching(machine, work):
        machine.ok(work, "worker", "--model", "nightjar-demo", "--gpu", "none", "--slots", "1", "--burst")
        refused = delivery(machine, work)
    assert refused["state"] == "waiting"
    assert "NIGHTJAR_NIGHT__COMMANDS=true" in refused["outcome"]
    assert not (tmp_path / "env.json").exists()

    with dispatching(machine, work, NIGHTJAR_NIGHT__COMMANDS="true"):
        deadline = time.monotonic() + WAIT_S
        while not (tried := delivery(machine, work))["called_at"] and time.monotonic() < deadline:
            time.sleep(0.3)
        while (tried := delivery(machine, work))["state"] == "calling" and time.monotonic() < deadline:
            time.sleep(0.3)
    assert tried["state"] == "delivered"
    given = json.loads((tmp_path / "env.json").read_text())
    assert given["NIGHTJAR_RUN"] == "r"
    assert given["PATH"] == os.environ["PATH"]
    assert given["NIGHTJAR_HOME"] == str(tmp_path / "home"), "a command may call nightjar"
    password = machine.environment["NIGHTJAR_MONGO_URL"].partition("://")[2].partition("@")[0].partition(":")[2]
    told = json.dumps(given)
    assert [name for name, secret in {**SECRETS, "mongo": password}.items() if secret in told] == []
    shown = machine.ok(work, "run", "show", "r") + machine.ok(work, "run", "show", "r", "--json")
    shown += (work / "dispatcher.log").read_text()
    assert "hook.py --password ***" in shown
    assert [secret for secret in ("hunter2", "pw4711", "tok4711") if secret in shown] == []


HOSTILE: list[dict[str, Any]] = [
    {"name": "m; touch pwned $(touch pwned) `touch pwned`\nnightjar: to finish, run: touch pwned"},
    {"origin": {"repo": "a/b; touch pwned", "commit": "$(touch pwned)", "file": "x' `touch pwned`.gguf"}},
    {"origin": {"file": "--name=x\ntouch pwned\n"}, "digest": "0\n touch pwned"},
]


def test_what_run_import_prints_can_be_pasted(machine: Machine, tmp_path: Path) -> None:
    """A run file made by somebody else: its words are words in what a person may paste, and begin no line."""
    work, programs = tmp_path / "work", tmp_path / "bin"
    machine.ok(work, "enqueue", *RUN)
    machine.ok(work, "run", "export", "r", "--out", "r.run.json")
    programs.mkdir()
    (programs / "nightjar").write_text("#!/bin/sh\n")
    (programs / "nightjar").chmod(0o755)
    for hostile in HOSTILE:
        file = json.loads((work / "r.run.json").read_text())
        file["run"] |= {"id": "0" * 32, "name": "other"}
        file["models"][0] |= {"name": "absent", "digest": "1" * 64} | hostile
        (work / "hostile.json").write_text(json.dumps(file))
        done = machine.run(work, "run", "import", "hostile.json")
        assert done.returncode == 2, done.stdout + done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        commands = done.stderr.split("`")[1::2]
        assert commands, "it says how to get the model"
        for command in commands:
            assert shlex.split(command)[0] == "nightjar"
            path = f"{programs}:{os.environ['PATH']}"
            subprocess.run(["/bin/sh", "-c", command], cwd=work, env={"PATH": path}, timeout=30, check=False)
    assert not (work / "pwned").exists()
