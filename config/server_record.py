"""The record through which every command finds an embedded server, and whether it still holds."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightjar.config.endpoint import Endpoint, is_private
from nightjar.config.files import write_private
from nightjar.config.programs import Kind

if TYPE_CHECKING:
    import psutil

STEADY_S = 60.0
"""A server that has been ready for so long had a good start."""
LONGEST_PAUSE_S = 20.0
"""Between two tries to start a server that does not stay up."""


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
    """What is known about a server. Address and password outlive the process: clients come back to the same place.

    `wanted` and `since` are two things: a server that was killed while it started should be up, and is not ready.
    """

    password: str
    version: str
    """Of the program that last used the data."""
    socket: str | None = None
    port: int | None = None
    """Where it listens: one of the two."""
    pid: int | None = None
    wanted: bool = False
    """It should be up: it was started, and nobody has stopped it."""
    since: str | None = None
    """When the server was ready; None: not (yet) running."""
    tried_at: float | None = None
    """When its last start began, in seconds since 1970."""
    tries: int = 0
    """Starts in a row after which it did not stay up."""
    error: str | None = None
    """Why its last start failed."""
    put_aside: str | None = None
    """The folder with data that it could not read and can do without."""
    folder: str | None = None
    """The folder that this record was written in: in a copy of the home it says nothing of processes."""

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(socket=self.socket, port=self.port)


def read_record(place: Place) -> ServerRecord | None:
    """The record; None if there is none or it cannot be read. Of a copied one, what belongs to the data."""
    try:
        stored: dict[str, Any] = json.loads(place.record.read_text("utf-8"))
        stored.setdefault("wanted", stored.get("since") is not None)  # as records were before it had a field
        known = {field.name for field in fields(ServerRecord)}
        record = ServerRecord(**{name: value for name, value in stored.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    if record.folder not in (None, str(place.record.parent)):
        return ServerRecord(password=record.password, version=record.version)
    return record


def write_record(place: Place, record: ServerRecord) -> None:
    """Stores the record as this folder's own."""
    stored = asdict(record) | {"folder": str(place.record.parent)}
    write_private(place.record, json.dumps(stored, indent=1))


def process_of(record: ServerRecord | None, place: Place) -> psutil.Process | None:
    """The record's process, if it is alive and works in this very data folder.

    After a reboot the same pid may belong to another process, and in a copied home to the original's server.
    """
    import psutil

    if record is None or record.pid is None:
        return None
    try:
        process = psutil.Process(record.pid)
        if process.status() != psutil.STATUS_ZOMBIE and works_in(process, place.data):
            return process
    except psutil.Error:
        pass
    return None


def works_in(process: psutil.Process, folder: Path) -> bool:
    """Whether the process's working folder is this one, and not another that had its path before."""
    import psutil

    try:
        here = f"/proc/{process.pid}/cwd" if sys.platform == "linux" else process.cwd()
        return os.path.samestat(Path(here).stat(), folder.stat())
    except (psutil.Error, OSError):
        return False


def is_up(place: Place, record: ServerRecord | None) -> bool:
    """True if the recorded process is alive, has been ready and listens. A slow one counts as up.

    It is the one that listens there, so a password that is sent to it reaches nobody else.
    """
    if record is None or record.since is None:
        return False
    process = process_of(record, place)
    if process is None or not listens(process.pid, record.endpoint):
        return False
    try:
        record.endpoint.connect().close()
    except (TimeoutError, BlockingIOError):  # a full backlog
        return True
    except OSError:
        return False
    return True


def listens(pid: int, endpoint: Endpoint) -> bool:
    """Whether this process is the one that listens there: nobody else can at a socket in a folder of our own."""
    import psutil

    if endpoint.socket is not None:
        return is_private(Path(endpoint.socket).parent)
    try:
        connections = psutil.Process(pid).net_connections("tcp4")
    except psutil.Error:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == endpoint.port for c in connections)


def should_be_up(place: Place, record: ServerRecord | None) -> bool:
    """Whether a server was started, was not stopped since, and is not up."""
    return record is not None and record.wanted and not is_up(place, record)


def stayed_up(record: ServerRecord, now: float) -> bool:
    """Whether its last start was a good one, at `now` (seconds since 1970)."""
    return record.since is not None and record.tried_at is not None and now - record.tried_at >= STEADY_S


def due_at(record: ServerRecord, now: float) -> float:
    """When its next start by itself is due: at once after a good start, else later with each try."""
    if record.tried_at is None or record.tried_at > now or stayed_up(record, now):
        return now
    return record.tried_at + min(LONGEST_PAUSE_S, 2.0 ** min(record.tries - 1, 10))
