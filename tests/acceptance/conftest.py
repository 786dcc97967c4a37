"""Whole commands, as a person types them, against one home with embedded servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from config import embedded
from config.settings import Settings

PROJECT = Path(__file__).parents[2]
LIMIT_S = 240


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Runs `nightjar` in an empty folder; `environment` comes on top of one without any setting."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """The finished command, whatever its exit code."""
        return subprocess.run(
            [sys.executable, "-m", "scripts", *map(str, arguments)],
            cwd=self.folder,
            env=self.environ(environment),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def environ(self, more: dict[str, str] | None = None) -> dict[str, str]:
        """The environment a command runs in."""
        bare = {key: value for key, value in os.environ.items() if not key.startswith("NIGHTJAR_")}
        return bare | {"PYTHONPATH": str(PROJECT)} | self.environment | (more or {})

    def ok(self, *arguments: str | Path, **environment: str) -> str:
        """Standard output of a command that must succeed."""
        done = self.run(*arguments, **environment)
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str | Path) -> Any:
        """What a reading command prints with --json."""
        return json.loads(self.ok(*arguments, "--json"))

    def refused(self, *arguments: str | Path, code: int = 2, **environment: str) -> str:
        """The error of a command that must fail with that exit code: one paragraph, no traceback."""
        done = self.run(*arguments, **environment)
        assert done.returncode == code, f"exit code {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return " ".join(done.stderr.split())


@pytest.fixture(scope="session")
def acceptance_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose embedded servers live as long as the test session."""
    home = tmp_path_factory.mktemp("acceptance") / "home"
    try:
        yield home
    finally:
        embedded.down(Settings(home=home))


@pytest.fixture
def shell(acceptance_home: Path, tmp_path: Path) -> Shell:
    """Commands in an empty folder, with a fresh database on the session's embedded servers."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    environment = {"NIGHTJAR_HOME": str(acceptance_home), "NIGHTJAR_MONGO_DATABASE": f"t{uuid.uuid4().hex[:12]}"}
    return Shell(folder=folder, environment=environment)
