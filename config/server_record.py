"""The record through which every command finds an embedded server, and whether it still holds."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.config.files import write_private
from nightjar.config.programs import Kind

if TYPE_CHECKING:
    import psutil


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a server keeps data, log and record."""

    data: Path
    log: Path
    record: Path

    @classmethod
    def of(cls, kind: Kind, home: Path) -> Place:
        """The place of a server's files under a home."""
        home = home.resolve()
        return cls(
            data=home / kind.name,
            log=home / "logs" / f"{kind.program}.log",
            record=home / "services" / f"{kind.name}.json",
        )


@dataclass(frozen=True, kw_only=True)
class ServerRecord:
    """What is known about a server. Port and password outlive the process: clients come back to the same address."""

    port: int
    password: str
    version: str
    """Of the program that last used the data."""
    pid: int | None = None
    created: float | None = None
    """When the process was created, according to the system; proof that the pid is still the same process."""
    since: str | None = None
    """When the server was ready; None: not (yet) running."""


def read_record(place: Place) -> ServerRecord | None:
    """The record; None if there is none or it cannot be read."""
    try:
        return ServerRecord(**json.loads(place.record.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_record(place: Place, record: ServerRecord) -> None:
    write_private(place.record, json.dumps(asdict(record), indent=1))


def process_of(record: ServerRecord | None, place: Place) -> psutil.Process | None:
    """The record's process, if it is alive: after a reboot the same pid may belong to another process."""
    import psutil

    if record is None or record.pid is None:
        return None
    try:
        process = psutil.Process(record.pid)
        same = record.created is not None and abs(process.create_time() - record.created) < 2
        # The clock may have been set since; the folder that the process runs in is proof as well.
        if process.status() != psutil.STATUS_ZOMBIE and (same or Path(process.cwd()) == place.data):
            return process
    except psutil.Error:
        pass
    return None


def is_up(place: Place, record: ServerRecord | None) -> bool:
    """True if the recorded process is alive, has been ready and listens. A slow one counts as up."""
    if record is None or record.since is None or process_of(record, place) is None:
        return False
    try:
        with socket.create_connection(("127.0.0.1", record.port), timeout=1):
            return True
    except TimeoutError:
        return True
    except OSError:
        return False
