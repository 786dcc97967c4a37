"""One embedded server: its process, and the record through which other commands find it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import ServiceError
from config.files import private_folder, write_private
from config.programs import Kind, find_program
from config.server_log import explain_end, keep_small, said_since
from config.settings import Settings

if TYPE_CHECKING:
    import psutil

START_S = 60.0
"""A mongod that was killed replays its journal before it listens."""
STOP_S = 30.0
_children: list[subprocess.Popen[bytes]] = []
"""Servers that this process started. They outlive it, so nobody waits for them."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a server keeps its things."""

    data: Path
    log: Path
    record: Path

    @classmethod
    def of(cls, kind: Kind, home: Path) -> Place:
        home = home.resolve()
        return cls(
            data=home / kind.name,
            log=home / "logs" / f"{kind.program}.log",
            record=home / "services" / f"{kind.name}.json",
        )


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of a server. Port and password outlive the process: clients come back to the same address."""

    port: int
    password: str
    version: str
    binary: str
    pid: int | None = None
    created: float | None = None
    """When the process was created, as the system tells; proof that the pid is still the same process."""
    since: str | None = None
    """When the server was ready; None: not (yet) running."""


class _PortTakenError(Exception):
    """Somebody else took the port since it was found to be free."""


class _EndedError(Exception):
    """The server ended before it was ready."""

    def __init__(self, code: int) -> None:
        self.code = code


def read_record(place: Place) -> Record | None:
    """The record; None when there is none or it cannot be understood."""
    try:
        return Record(**json.loads(place.record.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_record(place: Place, record: Record) -> None:
    write_private(place.record, json.dumps(asdict(record), indent=1))


def process_of(record: Record | None, place: Place) -> psutil.Process | None:
    """The living process of the record: after a reboot the same pid may be somebody else's."""
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


def is_up(kind: Kind, place: Place, record: Record | None) -> bool:
    """True when the recorded process lives, is ready and answers."""
    if record is None or record.since is None or process_of(record, place) is None:
        return False
    try:
        return kind.answers(record.port, record.password)
    except OSError:
        return False


def start(kind: Kind, place: Place, settings: Settings) -> Record:
    """Starts the server and waits until it serves. Call it under the lock. Raises ServiceError or OutputError."""
    program = find_program(kind)
    for folder in (place.data, place.log.parent, place.record.parent):
        private_folder(folder)
    last = read_record(place)
    stop_leftovers(kind, place, last)
    password = last.password if last else secrets.token_urlsafe(32)
    for port in _ports(last.port if last else None, settings):
        record = Record(port=port, password=password, version=program.version, binary=str(program.path))
        write_record(place, record)
        try:
            return _launch(kind, place, record, last, settings)
        except _PortTakenError:
            continue
    where = f"in {settings.embedded_ports} (NIGHTJAR_EMBEDDED_PORTS)" if settings.embedded_ports else "on 127.0.0.1"
    raise ServiceError(f"{kind.title} cannot start: no free port {where}. Free one or widen the range.")


def stop(kind: Kind, place: Place) -> bool:
    """Stops the server cleanly and waits for its end; False when it was not running. Raises ServiceError."""
    record = read_record(place)
    process = process_of(record, place)
    if record is not None:
        write_record(place, replace(record, since=None))
    if process is not None:
        _end(kind, process)
    if record is not None:
        write_record(place, replace(record, pid=None, created=None, since=None))
    return process is not None


def stop_leftovers(kind: Kind, place: Place, record: Record | None) -> None:
    """Ends a server of ours that nobody can find any more: half started, its record lost, or its folder removed."""
    import psutil

    folders = {str(place.data), f"{place.data} (deleted)"}
    known = process_of(record, place)
    found = {} if known is None else {known.pid: known}
    for process in psutil.process_iter(["name", "cwd"]):
        if process.info["name"] == kind.program and process.info["cwd"] in folders:
            found[process.pid] = process
    for process in found.values():
        _end(kind, process)


def _end(kind: Kind, process: psutil.Process) -> None:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(STOP_S)
        except psutil.TimeoutExpired:
            raise ServiceError(
                f"{kind.title} (process {process.pid}) has not ended {STOP_S:.0f} s after it was asked to. "
                f"Look into its log, and as a last resort: kill -9 {process.pid}"
            ) from None
    for child in _children:
        child.poll()


def _ports(last: int | None, settings: Settings) -> Iterator[int]:
    """Ports worth trying: the last one first, so that clients which hold the old address come back to the server."""
    if settings.embedded_ports:
        first, _, end = settings.embedded_ports.partition("-")
        candidates = list(range(int(first), int(end) + 1))
    else:
        candidates = [0] * 5
    for port in ([last] if last else []) + candidates:
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
                free = probe.getsockname()[1]
        except (OSError, OverflowError):
            continue
        yield free


def _launch(kind: Kind, place: Place, record: Record, last: Record | None, settings: Settings) -> Record:
    command = kind.command(
        Path(record.binary), data=place.data, log=place.log,
        port=record.port, password=record.password, cache_gb=settings.mongo_cache_gb,
    )  # fmt: skip
    keep_small(place.log)
    log_start = place.log.stat().st_size if place.log.exists() else 0
    with os.fdopen(os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        child = subprocess.Popen(
            command, cwd=place.data, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, umask=0o077, env={"PATH": os.defpath, "LC_ALL": "C"},
        )  # fmt: skip
    _children.append(child)
    try:
        record = replace(record, pid=child.pid, created=_created(child.pid))
        write_record(place, record)
        _wait_until_ready(kind, record, child)
        kind.protect(record.port, record.password, place.data, place.record)
    except _EndedError as ended:
        lines = said_since(place.log, log_start)
        if any("already in use" in line for line in lines):
            raise _PortTakenError from None
        raise explain_end(
            kind, place.log, lines, ended.code, (last.version if last else None, record.version)
        ) from None
    except BaseException:
        child.terminate()
        child.wait()
        raise
    record = replace(record, since=datetime.now(UTC).isoformat(timespec="seconds"))
    write_record(place, record)
    return record


def _created(pid: int) -> float | None:
    import psutil

    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def _wait_until_ready(kind: Kind, record: Record, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        code = child.poll()
        if code is not None:
            raise _EndedError(code)
        with contextlib.suppress(OSError):
            if kind.answers(record.port, record.password) and child.poll() is None:
                return
        time.sleep(0.02)
    raise ServiceError(
        f"{kind.title} did not answer on 127.0.0.1:{record.port} within {START_S:.0f} s of its start. "
        f"Its log may tell why: NIGHTJAR_HOME/logs/{kind.program}.log"
    )


def keep_log_small(place: Place, record: Record) -> None:
    """Puts a large log aside while its server runs. mongod reopens its log at SIGUSR1, Redis with every line."""
    process = process_of(record, place)
    if keep_small(place.log) and process is not None and process.name() == "mongod":
        process.send_signal(signal.SIGUSR1)
