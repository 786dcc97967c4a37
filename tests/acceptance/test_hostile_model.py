"""A model that kills the process that loads it: its supervisor survives and reports it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.hostile import killer
from tests.shell import Shell


def test_a_model_that_kills_its_worker_is_told(shell: Shell, tmp_path: Path) -> None:
    """`status` names the signal, the supervisor keeps trying until it is stopped, and nothing else has died."""
    model = killer(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-m", "nightjar", "worker", "--model", str(model), "--gpu", "none"],
        cwd=shell.folder,
        env=shell.environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as supervisor:
        try:
            end, reasons = time.monotonic() + 60, [""]
            while not any("SIGABRT" in reason for reason in reasons):
                assert time.monotonic() < end, reasons
                told = json.loads(shell.run("status", "--json").stdout)
                reasons = [str(worker["reason"]) for worker in told["workers"] if worker["state"] == "dead"]
            assert supervisor.poll() is None
            supervisor.send_signal(signal.SIGTERM)
            assert supervisor.wait(60) == 0
        finally:
            supervisor.kill()


def test_an_evaluation_with_it_ends_soon(shell: Shell, tmp_path: Path) -> None:
    """Not after minutes of trying, since a user is waiting. The error names the signal and the worker's log."""
    model = killer(tmp_path)
    began = time.monotonic()
    error = shell.refused("eval", "--suite", "story-starters", "--limit", "1", "--model", model, code=1)
    assert time.monotonic() - began < 60
    assert "model 'killer' could not be served: its worker died of SIGABRT" in error
    assert "worker-" in error
