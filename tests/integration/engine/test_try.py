"""`nightjar try`, as a person types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DEMO = "config/models/nightjar-demo.gguf"


def tried(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts", "try", *arguments]
    environment = {**os.environ, "NIGHTJAR_HOME": str(home)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_reply_goes_to_standard_output_and_what_it_took_to_standard_error(tmp_path: Path) -> None:
    done = tried(tmp_path, "-m", DEMO, "Tell me a story.", "--set", "max_tokens=12", "--gpu", "none")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "12 generated (length)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-m", "no-such-model", "Hi"), "no-such-model"),  # unknown model
        (("-m", DEMO, "Hi", "--set", "temperatur=1"), "temperature"),  # misspelt parameter, with the nearest
    ],
)
def test_bad_input_is_refused_with_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = tried(tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
