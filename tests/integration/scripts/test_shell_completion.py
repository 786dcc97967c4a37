"""Tab in a real bash, zsh and fish; names that a real MongoDB holds."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import ServiceError
from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.stored_names import newest_names
from nightjar.scripts.completion.shells import SHELLS
from tests.shell import Shell

COMMANDS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"], "fish": ["fish", "-i"]}
LOADS = {
    "bash": "source <(nightjar completion bash)",
    "zsh": "source <(nightjar completion zsh)",
    "fish": "nightjar completion fish | source",
}
LIMIT_S = 60.0


class Terminal:
    """A shell at a terminal of its own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def type(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def wait_for(self, text: str) -> str:
        """Everything that is shown up to this text. Fails where it does not come."""
        shown, deadline = "", time.monotonic() + LIMIT_S
        while text not in shown:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._descriptor], [], [], max(left, 0))
            assert ready, f"{text!r} is not shown, but {shown!r}"
            piece = os.read(self._descriptor, 65536).decode("utf-8", "replace")
            if "\x1b[c" in piece or "\x1b[0c" in piece:  # fish asks what terminal this is, and waits for the answer
                self.type("\x1b[?1;2c")
            shown += piece.replace("\a", "")
        return shown


@contextmanager
def shell_at_terminal(command: list[str], folder: Path) -> Iterator[Terminal]:
    environment = Shell(folder=folder).environ(
        {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "TERM": "dumb",
            "HOME": str(folder),
            "PS1": "ready$ ",
            "NIGHTJAR_HOME": str(folder / "home"),
        }
    )
    child, descriptor = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe(command[0], command, environment)
    try:
        yield Terminal(descriptor)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(descriptor)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A home directory with a `nightjar` on its path, and a file that looks like a model."""
    program = tmp_path / "nightjar"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m nightjar "$@"\n')
    program.chmod(0o755)
    (tmp_path / "tale-of-mine.gguf").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shutil.which(shell)])
def test_tab_completes_commands_names_and_files(shell: str, folder: Path) -> None:
    """The one candidate is put in, with what comes after it."""
    with shell_at_terminal(COMMANDS[shell], folder) as terminal:
        terminal.type(f"{LOADS[shell]}; echo load''ed\n")
        terminal.wait_for("loaded")
        terminal.type("nightjar sui\t")
        terminal.wait_for("suite ")
        terminal.type("vali\t")
        terminal.wait_for("validate")
        terminal.type("\x15nightjar eval --suite story-\t")
        terminal.wait_for("starters")
        terminal.type("--model nightjar-d\t")
        terminal.wait_for("demo")
        terminal.type("--model tale-of\t")
        terminal.wait_for("mine.gguf")
        terminal.type("--set tempe\t")
        terminal.wait_for("rature=")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_no_nonsense_to_its_shell(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(SHELLS[shell])
    checked = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


async def test_names_come_from_mongodb_the_newest_first(services: ServiceUrls, database: Database, run: Run) -> None:
    name = database.raw.name
    later = run.model_copy(update={"id": "f" * 64, "name": "weekly"})
    await database.runs.insert_one(
        later.model_dump(by_alias=True, exclude={"created_at", "id"})
        | {"_id": later.id, "created_at": run.created_at.replace(year=run.created_at.year + 1)}
    )
    assert newest_names(services.mongo, name, "runs") == ["weekly", "nightly"]
    assert newest_names(services.mongo, name, "suites") == ["tales"]
    assert newest_names(services.mongo, name, "schedules") == []


def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    began = time.monotonic()
    with pytest.raises(ServiceError):
        newest_names(SecretStr("mongodb://127.0.0.1:9/"), "nightjar", "runs")
    assert time.monotonic() - began < 30
