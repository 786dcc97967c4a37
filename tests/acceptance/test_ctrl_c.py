"""Ctrl-C in an evaluation: finished work stays, and the message says how to continue."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import psutil

from tests.shell import Shell


def turns(shell: Shell) -> int:
    """Committed turns of the run; 0 before there is a run."""
    done = shell.run("status", "interrupted", "--json")
    return int(json.loads(done.stdout)["runs"][0]["turns"]["committed"]) if done.stdout else 0


def test_ctrl_c_in_a_demo_says_how_to_go_on(shell: Shell) -> None:
    command = ["demo", "--name", "interrupted", "--repeats", "200"]
    with subprocess.Popen(
        [sys.executable, "-m", "nightjar", *command],
        cwd=shell.folder,
        env=shell.environ(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as demo:
        try:
            end = time.monotonic() + 120
            while not turns(shell):  # until a reply is there: it is in the middle of its work
                assert time.monotonic() < end
            workers = psutil.Process(demo.pid).children(recursive=True)
            demo.send_signal(signal.SIGINT)
            _, said = demo.communicate(timeout=90)
        finally:
            demo.kill()
    said = " ".join(said.split())
    assert demo.returncode == 130
    assert "the same command with --name interrupted goes on" in said
    assert "nightjar run cancel interrupted" in said
    assert "Traceback" not in said
    assert not [worker for worker in workers if worker.is_running() and "worker" in worker.cmdline()]
    run = shell.json("run", "show", "interrupted")["run"]
    assert (run["status"], run["jobs"]["RUNNING"], run["jobs"]["DEAD"]) == ("ACTIVE", 0, 0)
