"""Whatever ends an evaluation, and whenever: no worker of it is left with a model in memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from nightjar.config import embedded
from nightjar.config.settings import Settings
from tests.shell import Shell

pytestmark = pytest.mark.timeout(900)  # many commands, each with an interpreter of its own
SOON_S = 120
SOON_DRAINED = {"NIGHTJAR_MODEL__SLOTS": "32", "NIGHTJAR_DRAIN_S": "1"}
"""No waiting for turns that are under way, of which there are many."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home of the test's own, by which its processes are known."""
    home = tmp_path / "home"
    try:
        yield home
    finally:
        for process in workers(home):
            process.kill()
        embedded.down(Settings(home=home))


def nightjar(home: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    shell = Shell(folder=home.parent, environment={"NIGHTJAR_HOME": str(home), **SOON_DRAINED, **more})
    return subprocess.Popen(
        [sys.executable, "-m", "nightjar", *arguments],
        cwd=shell.folder,
        env=shell.environ(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


@contextmanager
def evaluation(home: Path) -> Iterator[subprocess.Popen[str]]:
    with nightjar(home, "demo", "--name", "night", "--repeats", "500") as command:
        try:
            yield command
        finally:
            command.kill()


def workers(home: Path) -> list[psutil.Process]:
    """Supervisors and worker processes of this home that run."""
    found = []
    for process in psutil.process_iter():
        try:
            if "worker" in process.cmdline() and process.environ().get("NIGHTJAR_HOME") == str(home):
                found += [process] if process.status() != psutil.STATUS_ZOMBIE else []
        except psutil.Error:
            continue
    return found


def wait_for(what: Callable[[], object], within_s: float = SOON_S) -> None:
    end = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def said(home: Path, event: str) -> bool:
    """Whether a worker has logged the event."""
    return any(event in log.read_text(errors="replace") for log in (home / "logs").glob("worker-*.log"))


MOMENTS: dict[str, Callable[[Path], object]] = {
    "when the worker's supervisor starts": workers,
    "while the model loads": lambda home: any("--single" in process.cmdline() for process in workers(home)),
    "before the first reply": lambda home: said(home, "model_loaded"),
    "in the middle of the work": lambda home: said(home, "worker_ready"),
}


def gone(home: Path) -> bool:
    try:
        return not workers(home)
    except psutil.Error:
        return False


@pytest.mark.parametrize(
    ("signum", "moment"),
    [
        *((signal.SIGHUP, moment) for moment in MOMENTS),
        (signal.SIGINT, "before the first reply"),
        (signal.SIGKILL, "while the model loads"),
        (signal.SIGKILL, "before the first reply"),
    ],
)
def test_a_signal_to_the_evaluation_leaves_no_worker(signum: signal.Signals, moment: str, home: Path) -> None:
    """A closed terminal, Ctrl-C, and an end without warning."""
    with evaluation(home) as command:
        wait_for(lambda: MOMENTS[moment](home))
        command.send_signal(signum)
        output, _ = command.communicate(timeout=SOON_S)
    wait_for(lambda: gone(home), 20)
    expected = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}
    assert command.returncode == expected[signum], output
    assert "Traceback" not in output


@pytest.mark.parametrize("moment", ["before the first reply", "in the middle of the work"])
def test_services_down_under_an_evaluation_ends_it(moment: str, home: Path) -> None:
    """The servers are gone and nobody means to bring them back: the command says so and leaves nothing behind."""
    with evaluation(home) as command:
        wait_for(lambda: MOMENTS[moment](home))
        with nightjar(home, "services", "down") as down:
            down.communicate(timeout=SOON_S)
        output, _ = command.communicate(timeout=3 * SOON_S)
    wait_for(lambda: gone(home), 20)
    assert command.returncode == 1, output
    assert "`nightjar services down` stopped MongoDB" in output


def test_a_worker_that_hears_nothing_is_ended_too(home: Path) -> None:
    """It was stopped, or hangs in a library: neither its supervisor nor the evaluation waits for it for ever."""
    with evaluation(home) as command:
        wait_for(lambda: said(home, "worker_ready"))
        for process in workers(home):
            if "--single" in process.cmdline():
                process.suspend()
        command.send_signal(signal.SIGTERM)
        command.communicate(timeout=SOON_S)
    wait_for(lambda: gone(home), 20)
    assert command.returncode == 143


def test_under_nohup_a_worker_outlives_its_terminal(home: Path) -> None:
    """It was given no parent: it ends when it is told to, not before."""
    log = home.parent / "nohup.log"
    start = f"nohup {sys.executable} -P -m nightjar worker --model nightjar-demo --gpu none >{log} 2>&1 & sleep 1"
    shell = Shell(folder=home.parent, environment={"NIGHTJAR_HOME": str(home), "NIGHTJAR_DRAIN_S": "1"})
    subprocess.run(["/bin/sh", "-c", start], env=shell.environ(), cwd=shell.folder, timeout=SOON_S, check=True)
    wait_for(lambda: "worker_ready" in log.read_text(errors="replace"))
    started = workers(home)
    for process in started:
        os.kill(process.pid, signal.SIGHUP)
    time.sleep(2)
    assert {process.pid for process in workers(home)} == {process.pid for process in started}
    [supervisor] = [process for process in started if "--single" not in process.cmdline()]
    supervisor.terminate()
    wait_for(lambda: gone(home), 30)


def test_without_nohup_a_worker_ends_with_its_terminal(home: Path) -> None:
    with nightjar(home, "worker", "--model", "nightjar-demo", "--gpu", "none") as command:
        wait_for(lambda: any("--single" in process.cmdline() for process in workers(home)))
        time.sleep(1)
        command.send_signal(signal.SIGHUP)
        output, _ = command.communicate(timeout=SOON_S)
    wait_for(lambda: gone(home), 20)
    assert command.returncode == 0, output


DEAF = """
import asyncio, sys, time
from nightjar.config.settings import load_settings
from nightjar.scripts.session import open_session, run_async
from nightjar.workers.process.load_model import WorkerOptions
from nightjar.workers.process.main import serve

def hang():
    print("loading", flush=True)
    time.sleep(600)

async def loader(entry, options, settings):
    await asyncio.to_thread(hang)

async def work():
    async with open_session(service=True) as session:
        options = WorkerOptions(model="nightjar-demo", started_ms=1)
        return await serve(options, session.settings, session.database, session.urls.redis, loader=loader)

sys.exit(run_async(work()))
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_load_that_hangs_in_a_library_does_not_hold_the_process(signum: signal.Signals, home: Path) -> None:
    shell = Shell(folder=home.parent, environment={"NIGHTJAR_HOME": str(home)})
    with subprocess.Popen(
        [sys.executable, "-c", DEAF], env=shell.environ(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "loading\n"
            process.send_signal(signum)
            process.wait(30)
        finally:
            process.kill()
