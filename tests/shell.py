"""Runs `nightjar` as a user does: as a separate process, in an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.forked_commands import run_forked

PROJECT = Path(__file__).parents[1]
LIMIT_S = 240
QUICK = {"NIGHTJAR_PROBE": "false", "NIGHTJAR_MODEL__THREADS": "1"}
"""Files of tests run side by side, so that threads beyond one only get into each other's way."""


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Runs `nightjar` in an empty folder; `environment` is added to one without any settings."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    limit_s: float = LIMIT_S
    fresh: bool = False
    """Each command starts an interpreter, where it matters how that begins."""

    def run(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """The finished command, whatever its exit code."""
        words = [*map(str, arguments)]
        if not self.fresh and all(name.startswith("NIGHTJAR_") for name in {*self.environment, *(env or {})}):
            return run_forked(words, cwd=self.folder, environ=self.environ(env), limit_s=self.limit_s)
        return subprocess.run(
            [sys.executable, "-m", "nightjar", *words],
            cwd=self.folder,
            env=self.environ(env),
            capture_output=True,
            text=True,
            timeout=self.limit_s,
            check=False,
        )

    def environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment that a command runs in."""
        bare = {key: value for key, value in os.environ.items() if not key.startswith("NIGHTJAR_")}
        return bare | {"PYTHONPATH": str(PROJECT)} | QUICK | self.environment | dict(more or {})

    def ok(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
        """Standard output of a command that must succeed."""
        done = self.run(*arguments, env=env)
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str | Path) -> Any:
        """What a reading command prints with --json."""
        return json.loads(self.ok(*arguments, "--json"))

    def refused(self, *arguments: str | Path, code: int = 2, env: Mapping[str, str] | None = None) -> str:
        """The error of a command that must fail with that exit code: one paragraph, no traceback."""
        done = self.run(*arguments, env=env)
        assert done.returncode == code, f"exit code {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return " ".join(done.stderr.split())
