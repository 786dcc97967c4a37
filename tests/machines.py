"""Nightjar on a separate machine: a package of its own, a user of its own, and no way to the real hub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.shell import PROJECT

NOWHERE = "http://127.0.0.1:9"
NO_SERVERS = {
    "NIGHTJAR_MONGO_URL": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=500",
    "NIGHTJAR_REDIS_URL": "redis://127.0.0.1:9/0",
}
"""For commands that can do without: none of their own is started, and they do not wait long."""


def copy_package(place: Path, *, checkout: bool) -> Path:
    """The package as pip lays it out, or as a checkout; the folder for PYTHONPATH. A checkout is its `nightjar/`."""
    shutil.copytree(PROJECT / "nightjar", place / "nightjar", ignore=shutil.ignore_patterns("__pycache__", "*.lock"))
    for left in ("nightjar.toml", ".env", "config/nightjar.toml"):
        (place / "nightjar" / left).unlink(missing_ok=True)
    if checkout:
        (place / "nightjar" / "pyproject.toml").write_text("")
    return place


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Runs `nightjar` of one package as one user; `environment` is all that is set beside a bare one."""

    package: Path
    user: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, folder: Path, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """The finished command, whatever its exit code, started in that folder with the umask of most people."""
        self.user.mkdir(exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-P", "-m", "nightjar", *map(str, arguments)],
            cwd=folder,
            env=self.environ(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            umask=0o022,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def environ(self, **more: str) -> dict[str, str]:
        """The environment that a command runs in: nothing of the developer's but the way to programs."""
        bare = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.user),
            "COLUMNS": "200",
            "PYTHONPATH": str(self.package),
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost",
        }
        return bare | self.environment | more

    def ok(self, folder: Path, *arguments: str | Path, **more: str) -> str:
        """Standard output of a command that must succeed."""
        done = self.run(folder, *arguments, **more)
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, folder: Path, *arguments: str | Path, **more: str) -> Any:
        return json.loads(self.ok(folder, *arguments, "--json", **more))
