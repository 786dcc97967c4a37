"""Starts and stops one embedded server."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.config.endpoint import Endpoint, socket_endpoints
from nightjar.config.errors import NightjarError, OutputError, ServiceError
from nightjar.config.files import private_folder
from nightjar.config.programs import Kind, Program, find_program
from nightjar.config.server_log import explain_end, keep_small, said_since
from nightjar.config.server_record import (
    Place,
    ServerRecord,
    listens,
    process_of,
    read_record,
    stayed_up,
    works_in,
    write_record,
)
from nightjar.config.settings import Settings
from nightjar.config.take_over import put_aside, take_over

if TYPE_CHECKING:
    import psutil

START_S = 60.0
"""Seconds; a mongod that was killed replays its journal before it listens."""
STOP_S = 30.0
SPARE_BYTES = 32 * 2**20
"""Disk space that must be free for a server to start."""
_children: list[subprocess.Popen[bytes]] = []
"""Servers that this process started. They outlive it, so nobody waits for them."""


class _PortTakenError(Exception):
    """Another process took the port after it was found to be free."""


class _EndedError(Exception):
    """The server ended before it was ready."""

    def __init__(self, code: int) -> None:
        self.code = code


def start(kind: Kind, place: Place, settings: Settings) -> ServerRecord:
    """Starts the server and waits until it is ready. Call it under the lock. Raises ServiceError or OutputError.

    From now on it should be up, whether this start succeeds or not.
    """
    program = find_program(kind)
    for folder in (place.data, place.log.parent, place.record.parent):
        private_folder(folder)
    check_room(kind, place)
    last = read_record(place)
    stop_leftovers(kind, place, last)
    record = _begun(last, program)
    write_record(place, record)
    try:
        if last is not None:
            record = take_over(kind, place, record, program, lambda trial: _try(kind, trial, record, program, settings))
        return _start_somewhere(kind, place, record, program, settings)
    except (NightjarError, OSError) as error:
        with contextlib.suppress(OutputError):
            write_record(place, replace(read_record(place) or record, pid=None, error=str(error)))
        if isinstance(error, OSError):
            raise ServiceError(f"{kind.title} cannot start: {error}. {kind.remedy}") from error
        raise


def _try(kind: Kind, trial: Place, record: ServerRecord, program: Program, settings: Settings) -> None:
    """Starts the server on a copy of its data, and stops it."""
    started = _start_somewhere(kind, trial, record, program, settings)
    process = process_of(started, trial)
    if process is not None:
        _end(kind, process)


def _begun(last: ServerRecord | None, program: Program) -> ServerRecord:
    """The record of a start that begins now."""
    now = time.time()
    if last is None:
        return ServerRecord(
            password=secrets.token_urlsafe(32), version=program.version, wanted=True, tried_at=now, tries=1
        )
    tries = last.tries + 1 if last.wanted and not stayed_up(last, now) else 1
    return replace(last, pid=None, since=None, wanted=True, tried_at=now, tries=tries, error=None)


def _start_somewhere(
    kind: Kind, place: Place, record: ServerRecord, program: Program, settings: Settings
) -> ServerRecord:
    for endpoint in _endpoints(kind, place, record, settings):
        there = replace(record, socket=endpoint.socket, port=endpoint.port)
        write_record(place, there)
        try:
            return _launch(kind, place, there, program, settings)
        except _PortTakenError:
            continue
    where = f"in {settings.embedded_ports} (NIGHTJAR_EMBEDDED_PORTS)" if settings.embedded_ports else "on 127.0.0.1"
    raise ServiceError(f"{kind.title} cannot start: no free port {where}. Free one or widen the range.")


def stop_server(kind: Kind, place: Place) -> bool:
    """Stops the server cleanly and waits for its end; False if it was not running. Raises ServiceError."""
    record = read_record(place)
    process = process_of(record, place)
    with contextlib.suppress(OutputError):  # on a full disk, ending the server matters more than noting it
        if record is not None:
            write_record(place, replace(record, wanted=False, since=None, error=None))
    if process is not None:
        _end(kind, process)
    with contextlib.suppress(OutputError):
        if record is not None:
            write_record(place, replace(record, pid=None, wanted=False, since=None, error=None))
    if record is not None and record.socket is not None:
        with contextlib.suppress(OSError):  # the other server's socket lies there, or others of a killed one
            Path(record.socket).parent.rmdir()
    return process is not None


def stop_leftovers(kind: Kind, place: Place, record: ServerRecord | None) -> None:
    """Ends our servers that no command can find any more: half started, record lost, or folder removed."""
    known = process_of(record, place)
    processes = _servers_in(kind, place) | ({} if known is None else {known.pid: known})
    for process in processes.values():
        _end(kind, process)


def stop_orphans(kind: Kind, place: Place) -> None:
    """Tells our servers whose data folder was removed to end; those of a folder that has its path by now go on."""
    import psutil

    for process in _servers_in(kind, place).values():
        with contextlib.suppress(psutil.NoSuchProcess):
            if not works_in(process, place.data):
                process.terminate()


def _servers_in(kind: Kind, place: Place) -> dict[int, psutil.Process]:
    """Servers by pid that were started in a folder with this path, also if it is gone."""
    import psutil

    folders = {str(place.data), f"{place.data} (deleted)"}
    processes = psutil.process_iter(["name", "cwd"])
    return {p.pid: p for p in processes if p.info["name"] == kind.program and p.info["cwd"] in folders}


def check_room(kind: Kind, place: Place) -> None:
    """Raises OutputError if the disk is nearly full: a mongod that runs out of space dies in the middle of its work."""
    if not place.data.is_dir():
        return
    needed = SPARE_BYTES if any(place.data.iterdir()) else kind.first_bytes + SPARE_BYTES
    free = shutil.disk_usage(place.data).free
    if free < needed:
        raise OutputError(
            f"{kind.title} cannot start: the disk of {place.data} has {free / 2**20:.0f} MiB free and it needs "
            f"{needed / 2**20:.0f}. Free some space, or set NIGHTJAR_HOME to a folder on another disk."
        )


def _end(kind: Kind, process: psutil.Process) -> None:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        deadline = time.monotonic() + STOP_S
        # `process.wait` would wait for who started it too: until then it is a zombie, for as long as that one lives.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"{kind.title} (process {process.pid}) has not ended {STOP_S:.0f} s after it was asked to. "
                    f"See its log; as a last resort: kill -9 {process.pid}"
                )
            time.sleep(0.02)
    for child in _children:
        child.poll()


def _endpoints(kind: Kind, place: Place, last: ServerRecord, settings: Settings) -> Iterator[Endpoint]:
    """Endpoints worth trying: a socket where one can lie, unless ports were asked for. The last one goes first, so that
    clients with the old address find the server again."""
    if not settings.embedded_ports:
        home = place.record.parent.parent
        yield from sorted(socket_endpoints(home, kind.name), key=lambda endpoint: endpoint != last.endpoint)
    for port in _ports(last.port, settings):
        yield Endpoint(port=port)


def _ports(last: int | None, settings: Settings) -> Iterator[int]:
    if settings.embedded_ports:
        first, _, end = settings.embedded_ports.partition("-")
        candidates = list(range(int(first), int(end) + 1))
    else:
        candidates = [0] * 5
    if last is not None and (not settings.embedded_ports or last in candidates):
        candidates.insert(0, last)
    for port in candidates:
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
                free = probe.getsockname()[1]
        except (OSError, OverflowError):
            continue
        yield free


def _launch(kind: Kind, place: Place, record: ServerRecord, program: Program, settings: Settings) -> ServerRecord:
    keep_small(place.log)
    log_start = place.log.stat().st_size if place.log.exists() else 0
    child = _spawn(kind, place, record, program, settings)
    try:
        record = replace(record, pid=child.pid)
        write_record(place, record)
        _wait_until_ready(kind, record, child)
        kind.protect(record.endpoint, record.password, place.data, place.record)
        kind.adopt(record.endpoint, record.password, program.version)
    except _EndedError as ended:
        lines = said_since(place.log, log_start)
        if any("already in use" in line for line in lines):
            raise _PortTakenError from None
        without = put_aside(kind, place, record) if ended.code > 0 and kind.unreadable(lines) else None
        if without is None:
            raise explain_end(kind, place.log, lines, ended.code, (record.version, program.version)) from None
        return _launch(kind, place, without, program, settings)
    except BaseException:
        child.terminate()
        child.wait()
        raise
    record = replace(record, version=program.version, since=datetime.now(UTC).isoformat(timespec="seconds"))
    write_record(place, record)
    return record


def _spawn(
    kind: Kind, place: Place, record: ServerRecord, program: Program, settings: Settings
) -> subprocess.Popen[bytes]:
    command = kind.command(
        program.path,
        data=place.data,
        log=place.log,
        endpoint=record.endpoint,
        password=record.password,
        cache_gb=settings.mongo_cache_gb,
    )
    with os.fdopen(os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        child = subprocess.Popen(
            command,
            cwd=place.data,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            umask=0o077,
            env={"PATH": os.defpath, "LC_ALL": "C"},
        )
    _children.append(child)
    return child


def _wait_until_ready(kind: Kind, record: ServerRecord, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        code = child.poll()
        if code is not None:
            raise _EndedError(code)
        with contextlib.suppress(OSError):
            if listens(child.pid, record.endpoint) and kind.answers(record.endpoint, record.password):
                return
        time.sleep(0.02)
    raise ServiceError(
        f"{kind.title} did not answer at {record.endpoint} within {START_S:.0f} s of its start. "
        f"Its log may say why: NIGHTJAR_HOME/logs/{kind.program}.log"
    )


def keep_log_small(place: Place, record: ServerRecord) -> None:
    """Rotates a large log while its server runs. mongod reopens its log at SIGUSR1, Redis with every line."""
    process = process_of(record, place)
    if keep_small(place.log) and process is not None and process.name() == "mongod":
        process.send_signal(signal.SIGUSR1)
