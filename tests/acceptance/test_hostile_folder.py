"""A folder full of modules, as a cloned repository may be: commands that are given in it run nothing of it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.shell import LIMIT_S, PROJECT, Shell

pytestmark = pytest.mark.timeout(900)  # many commands, each with an interpreter of its own
PROGRAM = Path(sys.executable).with_name("nightjar")
MODULES = (
    "scripts config jobs workers pipeline sitecustomize usercustomize typer click yaml structlog pydantic llama_cpp "
    "numpy multiprocessing concurrent asyncio json logging jinja2 regex scipy gguf huggingface_hub my_scorers"
).split()


@pytest.fixture
def trap(shell: Shell) -> Path:
    """Where the modules of the shell's folder leave a line if they are run."""
    trap = shell.folder.parent / "trap"
    code = f"import os\nopen({str(trap)!r}, 'a').write(f'{{__name__}} {{os.getpid()}}\\n')\n"
    for name in MODULES:
        package = shell.folder / name
        package.mkdir()
        for file in ("__init__.py", "__main__.py", "cli.py"):
            (package / file).write_text(code)
    package = shell.folder / "nightjar"
    package.mkdir()
    for file in ("__init__.py", "__main__.py"):
        (package / file).write_text(code)
    return trap


def run(shell: Shell, *command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """As a user does, by the installed program."""
    done = subprocess.run(
        [str(part) for part in (PROGRAM, *command)],
        cwd=shell.folder,
        env=shell.environ(more),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


SHORT = ("--suite", "story-starters", "--limit", "1", "--model", "nightjar-demo")


def test_eval_and_worker_run_nothing_of_it(shell: Shell, trap: Path) -> None:
    """The command itself, the workers' supervisors, the worker processes, and whatever they start."""
    done = run(shell, "eval", *SHORT, "--gpu", "none", "--format", "html")
    assert done.returncode == 0, done.stderr
    assert not trap.exists(), trap.read_text()
    done = run(shell, "worker", "--model", "nightjar-demo", "--burst", "--gpu", "none")
    assert done.returncode == 0, done.stderr
    assert not trap.exists(), trap.read_text()


def test_an_empty_entry_of_the_module_path_is_not_the_current_folder(shell: Shell, trap: Path) -> None:
    """`PYTHONPATH=$PYTHONPATH:/my/modules` leaves one. What our own interpreter had loaded by then is not ours to say;
    what is loaded later, and by all it starts, is."""
    early = ("sitecustomize", "usercustomize", "typer", "click", "asyncio", "json", "logging", "concurrent", "nightjar")
    for name in early:
        for file in (shell.folder / name).iterdir():
            file.unlink()
        (shell.folder / name).rmdir()
    done = run(shell, "eval", *SHORT, "--gpu", "none", PYTHONPATH=f"{PROJECT}{os.pathsep}")
    assert done.returncode == 0, done.stderr
    assert not trap.exists(), trap.read_text()


def test_a_scorer_is_imported_from_a_folder_that_is_named_and_from_no_other(shell: Shell, trap: Path) -> None:
    named = shell.folder.parent / "mine"
    named.mkdir()
    (named / "my_scorers.py").write_text(SCORER)
    setting = {"NIGHTJAR_SCORERS": "my_scorers:marks"}
    done = run(shell, "eval", *SHORT, **setting)
    assert done.returncode == 2
    assert "name its folder in PYTHONPATH" in " ".join(done.stderr.split())
    assert not trap.exists(), trap.read_text()
    done = run(shell, "scorer", "list", **setting, PYTHONPATH=f"{PROJECT}{os.pathsep}{named}")
    assert done.returncode == 0, done.stderr
    assert "marks" in done.stdout


SCORER = """
from nightjar.scorers import Direction, FunctionScorer, Scale, Score

scale = Scale(worst=None, best=None, direction=Direction.NONE, unit="marks", least=0.0)
marks = FunctionScorer(name="marks", scale=scale, function=lambda context: Score(value=1.0), help="marks")
"""


def test_python_m_nightjar_takes_nothing_else_from_it(shell: Shell, trap: Path) -> None:
    """Whoever types `python -m` asks Python for the folder's own `nightjar`; there is none here."""
    for name in ("nightjar", "asyncio", "json", "logging", "concurrent", "multiprocessing", "sitecustomize", "typer"):
        for file in (shell.folder / name).iterdir():
            file.unlink()
        (shell.folder / name).rmdir()
    fresh = replace(shell, fresh=True)
    fresh.ok("status")
    fresh.ok("suite", "list")
    assert not trap.exists(), trap.read_text()
