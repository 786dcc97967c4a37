"""MongoDB and Redis: the configured URLs, else our own servers, shared by every command with the same home."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from nightjar.config import mongod, redis_server
from nightjar.config.errors import NightjarError, OutputError, ServiceError
from nightjar.config.files import bytes_on_disk, private_folder
from nightjar.config.programs import Kind
from nightjar.config.redact import remember
from nightjar.config.server_log import too_large
from nightjar.config.server_record import (
    Place,
    ServerRecord,
    due_at,
    is_up,
    process_of,
    read_record,
    should_be_up,
)
from nightjar.config.servers import check_room, keep_log_small, start, stop_orphans, stop_server
from nightjar.config.settings import Settings

KINDS: tuple[Kind, ...] = (mongod, redis_server)
LOCK_S = 120.0
"""Longer than one server may take to start."""
REVIVE_LOCK_S = 0.5
"""Who only keeps servers up need not wait for somebody who is at it."""


class _BusyError(ServiceError):
    """Another command holds the lock."""


@dataclass(frozen=True, kw_only=True)
class ServiceUrls:
    """Where MongoDB and Redis are, configured or embedded."""

    mongo: SecretStr
    redis: SecretStr


@dataclass(frozen=True, kw_only=True)
class ServerStatus:
    """An embedded server as `nightjar services status` shows it."""

    name: str
    state: str
    """up, down (never started or stopped), starting, dead (it should be up)."""
    address: str | None
    pid: int | None
    version: str | None
    data: Path
    log: Path
    size_bytes: int
    since: str | None
    error: str | None
    """Why its last start failed."""
    put_aside: Path | None
    """Where data are that it could not read and can do without."""


def service_urls(settings: Settings, *, begin: bool = True) -> ServiceUrls:
    """The URLs to use; starts embedded servers that are not up. Raises ServiceError or OutputError."""
    return ServiceUrls(mongo=mongo_url(settings, begin=begin), redis=redis_url(settings, begin=begin))


def mongo_url(settings: Settings, *, lock_s: float = LOCK_S, begin: bool = True) -> SecretStr:
    """MongoDB's URL. If none is set, the embedded server's, which is started if it is not up. Raises ServiceError or
    OutputError.

    `lock_s`: how long to wait for another command that is starting or stopping it. `begin`: make the home if there is
    none; False for a command that only looks.
    """
    return settings.mongo_url or _ensure(mongod, settings, lock_s, begin)


def redis_url(settings: Settings, *, lock_s: float = LOCK_S, begin: bool = True) -> SecretStr:
    """Redis's URL, in the same way."""
    return settings.redis_url or _ensure(redis_server, settings, lock_s, begin)


def full_disk(settings: Settings) -> str | None:
    """What is wrong with the embedded servers' disk; None if it has room, or if no server is embedded."""
    for kind in embedded_kinds(settings):
        try:
            check_room(kind, Place.of(kind, settings.home))
        except OutputError as error:
            return str(error)
    return None


def up(settings: Settings) -> list[ServerStatus]:
    """Starts the embedded servers that are not up."""
    service_urls(settings)
    return status(settings)


def down(settings: Settings) -> list[str]:
    """Stops the embedded servers cleanly and waits for their end, also those that a URL has replaced since. Returns the
    names of those that were running.
    """
    if not _services(settings.home).is_dir():
        return []
    with _lock(settings.home):
        return [kind.name for kind in KINDS if stop_server(kind, Place.of(kind, settings.home))]


def revive(settings: Settings) -> dict[str, NightjarError | None]:
    """Restarts, at their old address, servers that should be up and are not; stopped ones stay so.

    Returns the name of each that was tried, and why it could not start. One that does not stay up is tried less and
    less often, but for ever: its cause may go away.
    """
    revived: dict[str, NightjarError | None] = {}
    for kind in embedded_kinds(settings):
        place = Place.of(kind, settings.home)
        if not _is_due(place):
            continue
        try:
            with _lock(settings.home, REVIVE_LOCK_S):
                if _is_due(place):  # no other command was faster
                    start(kind, place, settings)
                    revived[kind.name] = None
        except _BusyError:
            continue
        except NightjarError as error:
            revived[kind.name] = error
    return revived


def stopped(settings: Settings) -> list[str]:
    """The servers that somebody stopped on purpose: nobody restarts them by himself."""
    places = {kind.title: Place.of(kind, settings.home) for kind in embedded_kinds(settings)}
    records = {title: read_record(place) for title, place in places.items()}
    return [title for title, record in records.items() if record is not None and not record.wanted]


def latest_mongo_url(settings: Settings, known: SecretStr) -> SecretStr:
    """Where MongoDB is by now: an embedded server may have come back at another address. Starts nothing.

    `known` where a URL is set or nothing is recorded. Raises ServiceError while it is not up.
    """
    return known if settings.mongo_url else _latest(mongod, settings, known)


def latest_redis_url(settings: Settings, known: SecretStr) -> SecretStr:
    """Where Redis is by now, in the same way. The process that listens there is ours: it may be sent the password."""
    return known if settings.redis_url else _latest(redis_server, settings, known)


def redis_in_reach(settings: Settings) -> SecretStr | None:
    """Redis's URL where it is set, or its embedded server is up; nothing is started."""
    if settings.redis_url is not None:
        return settings.redis_url
    place = Place.of(redis_server, settings.home)
    record = read_record(place)
    return None if record is None or not is_up(place, record) else _url(redis_server, record)


def _latest(kind: Kind, settings: Settings, known: SecretStr) -> SecretStr:
    place = Place.of(kind, settings.home)
    record = read_record(place)
    if record is None:
        return known
    if not is_up(place, record):
        raise ServiceError(f"The embedded {kind.title} at {record.endpoint} is not up.")
    return _url(kind, record)


def _url(kind: Kind, record: ServerRecord) -> SecretStr:
    url = SecretStr(kind.url(record.endpoint, record.password))
    remember(url)
    return url


def stop_without_home(settings: Settings) -> None:
    """Tells the servers of a home that was deleted to end: their data are gone, and no command can find them."""
    for kind in embedded_kinds(settings):
        stop_orphans(kind, Place.of(kind, settings.home))


def status(settings: Settings, *, every: bool = False) -> list[ServerStatus]:
    """The embedded servers; without `every` those that no URL replaces. Starts nothing."""
    kinds = KINDS if every else embedded_kinds(settings)
    return [_status(kind, Place.of(kind, settings.home)) for kind in kinds]


def embedded_kinds(settings: Settings) -> list[Kind]:
    """The servers that no URL is set for."""
    kinds: list[tuple[Kind, SecretStr | None]] = [(mongod, settings.mongo_url), (redis_server, settings.redis_url)]
    return [kind for kind, url in kinds if url is None]


def _ensure(kind: Kind, settings: Settings, lock_s: float, begin: bool) -> SecretStr:
    if not begin and not settings.home.is_dir():
        raise ServiceError(
            f"There is no home at {settings.home}: it was deleted, or nothing has been done with it yet. To begin one, "
            "give a command that writes, such as `nightjar demo`; if it should be elsewhere, set NIGHTJAR_HOME."
        )
    place = Place.of(kind, settings.home)
    record = read_record(place)
    if record is None or not is_up(place, record):
        with _lock(settings.home, lock_s):
            record = read_record(place)
            if record is None or not is_up(place, record):  # another command may have been faster
                record = start(kind, place, settings)
    if too_large(place.log):
        with _lock(settings.home, lock_s):
            keep_log_small(place, record)
    return _url(kind, record)


def _is_due(place: Place) -> bool:
    """Whether a server should be up, is not, and may be tried again now."""
    record, now = read_record(place), time.time()
    return record is not None and should_be_up(place, record) and due_at(record, now) <= now


def _services(home: Path) -> Path:
    return home.resolve() / "services"


@contextmanager
def _lock(home: Path, timeout_s: float = LOCK_S) -> Iterator[None]:
    from filelock import FileLock, Timeout

    file = private_folder(_services(home)) / "lock"
    try:
        with FileLock(file, timeout=timeout_s, mode=0o600):
            yield
    except Timeout:
        raise _BusyError(
            f"Another command has been starting or stopping the embedded servers for {timeout_s:.0f} s: it holds "
            f"{file}. Wait for it, or stop it and try again."
        ) from None
    except PermissionError as error:
        raise OutputError(
            f"{file} cannot be locked: {error.strerror}. Set NIGHTJAR_HOME to a folder of your own."
        ) from None


def _status(kind: Kind, place: Place) -> ServerStatus:
    record = read_record(place)
    process = process_of(record, place)
    alive = is_up(place, record)
    aside = Path(record.put_aside) if record and record.put_aside else None
    return ServerStatus(
        name=kind.name,
        state=_state(record, alive, process is not None),
        address=str(record.endpoint) if record else None,
        pid=process.pid if process else None,
        version=record.version if record else None,
        data=place.data,
        log=place.log,
        size_bytes=bytes_on_disk(place.data),
        since=record.since if record and alive else None,
        error=record.error if record else None,
        put_aside=aside if aside and aside.is_dir() else None,
    )


def _state(record: ServerRecord | None, alive: bool, lives: bool) -> str:
    if alive:
        return "up"
    if record is None or not record.wanted:
        return "down"
    return "starting" if lives and record.since is None else "dead"
