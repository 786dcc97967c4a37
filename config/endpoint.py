"""Where an embedded server listens: at a Unix socket in a folder that only this user can enter, or at a port."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from socket import AF_UNIX, create_connection
from socket import socket as Socket

from nightjar.config.errors import ServiceError

LONGEST_PATH = 107 if sys.platform == "linux" else 103
"""Bytes of a socket's path: what the kernel's address holds, without the zero at its end."""

LONGEST_NAME = "mongodb-27017.sock"
"""mongod makes this one beside the one that it is told of."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A Unix socket, or a port of 127.0.0.1: one of the two."""

    socket: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        return self.socket or f"127.0.0.1:{self.port}"

    def connect(self, timeout_s: float = 1) -> Socket:
        """A connected socket. Raises OSError."""
        if self.socket is None:
            return create_connection(("127.0.0.1", self.port or 0), timeout=timeout_s)
        connection = Socket(AF_UNIX)
        connection.settimeout(timeout_s)
        try:
            connection.connect(self.socket)
        except BaseException:
            connection.close()
            raise
        return connection


def socket_endpoints(home: Path, name: str) -> Iterator[Endpoint]:
    """Sockets for the server `name` of this home, the best first: only where a socket can lie and its path is short."""
    for path in _socket_paths(home, name):
        if len(os.fsencode(path.with_name(LONGEST_NAME))) <= LONGEST_PATH and _usable(path):
            yield Endpoint(socket=str(path))


def socket_path(home: Path, name: str) -> Path:
    """Where the helper `name` of this home listens, always the same: in a folder that only this user can enter.

    Raises ServiceError where there is no such folder, or its path is too long.
    """
    for path in _socket_paths(home, name):
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, exist_ok=True)
        if len(os.fsencode(path)) <= LONGEST_PATH and is_private(path.parent):
            return path
    raise ServiceError(
        f"No socket can lie in {_runtime_folder()} or {tempfile.gettempdir()}. Set TMPDIR to a folder of yours with a "
        "short path."
    )


def _socket_paths(home: Path, name: str) -> Iterator[Path]:
    """The folder's name holds what tells this home from every copy of it, so that two homes never share a socket."""
    there = home.stat()
    identity = f"{home}\n{there.st_dev}:{there.st_ino}"
    folder = f"nightjar-{os.getuid()}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    for base in (_runtime_folder(), Path(tempfile.gettempdir())):
        yield base / folder / f"{name}.sock"


def _runtime_folder() -> Path:
    return Path(f"/run/user/{os.getuid()}")


def is_private(folder: Path) -> bool:
    """Whether this is a folder, and no link, of this user's that nobody else can enter: what is bound there is ours."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077


def _usable(path: Path) -> bool:
    """Makes the folder if need be, and tries whether a socket can lie there. False if somebody listens at the path."""
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not is_private(path.parent) or is_taken(path):
            return False
        trial = path.with_suffix(".try")
        trial.unlink(missing_ok=True)
        with Socket(AF_UNIX) as probe:
            probe.bind(str(trial))
        trial.unlink()
    except OSError:
        return False
    return True


def is_taken(path: Path) -> bool:
    """Whether a living process listens at this socket."""
    try:
        Endpoint(socket=str(path)).connect().close()
    except (BlockingIOError, TimeoutError):
        return True
    except OSError:
        return False
    return True
