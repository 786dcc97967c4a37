"""What a first `make demo` says while llama.cpp is compiled."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "install_progress.sh"
BEFORE = "Collecting arq\n  Building wheel for llama-cpp-python (pyproject.toml): started\n"
COMPILING = "  Running command Building wheel\n  [1/136] /usr/bin/c++ a.cpp\n  [34/136] /usr/bin/c++ b.cpp\n"

# pip's log so far, and what is said of it.
LOGS = [
    ("", ""),
    (BEFORE, "  Building wheel for llama-cpp-python (pyproject.toml): started"),
    (BEFORE + COMPILING + "  In file included from b.cpp\n", "compiling llama.cpp, 25 %"),
    (BEFORE + COMPILING + "Installing collected packages: arq, " + "x" * 200, "Installing collected packages: arq, "),
]


@pytest.mark.parametrize(("log", "said"), LOGS)
def test_the_log_in_a_line(log: str, said: str, tmp_path: Path) -> None:
    """Per cent while it is compiled, pip's own words before and after, cut to the window."""
    (tmp_path / "log").write_text(log)
    done = subprocess.run(["bash", SCRIPT, tmp_path / "log"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.rstrip("\n").startswith(said)
    assert done.stdout.count("\n") == 1
    assert len(done.stdout) <= 91
