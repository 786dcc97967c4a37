"""Commands that run in forks of one process which has imported Nightjar: a start from nothing takes a second or two.

Each is a process of its own all the same, with its own arguments, folder, environment and output. Where it matters how
an interpreter starts (what is on its path, how its streams are read), tests start one.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from unittest.mock import patch


def run_forked(
    arguments: Sequence[str], *, cwd: Path, environ: Mapping[str, str], limit_s: float
) -> subprocess.CompletedProcess[str]:
    """`nightjar ARGUMENTS`, as `subprocess.run` would return it. Raises TimeoutExpired."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        command = _server().Process(target=_command, args=(list(arguments), str(cwd), dict(environ), out, err))
        command.start()
        try:
            command.join(limit_s)
            if command.exitcode is None:
                raise subprocess.TimeoutExpired(list(arguments), limit_s, out.read_bytes(), err.read_bytes())
        finally:
            if command.exitcode is None:
                command.kill()
                command.join()
        return subprocess.CompletedProcess(
            list(arguments), command.exitcode, out.read_text("utf-8"), err.read_text("utf-8")
        )


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    # The server is an interpreter of its own and outlives this test: it works in no home that a test may close.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTJAR_")}
    with patch.dict(os.environ, ours | {"PYTHONPATH": str(Path(__file__).parents[1])}, clear=True):
        forkserver.ensure_running()
    return context


def _command(arguments: list[str], cwd: str, environ: dict[str, str], out: Path, err: Path) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    for stream, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, stream)
        os.close(file)
    sys.argv = ["nightjar", *arguments]
    from nightjar.scripts.cli import main

    try:
        main()
    finally:
        atexit._run_exitfuncs()  # a fork ends without them
