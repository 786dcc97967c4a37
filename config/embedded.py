"""MongoDB and Redis: the configured URLs, else our own servers, shared by every command with the same home."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from nightjar.config import mongod, redis_server
from nightjar.config.errors import OutputError, ServiceError
from nightjar.config.files import private_folder
from nightjar.config.programs import Kind
from nightjar.config.redact import remember
from nightjar.config.server_log import too_large
from nightjar.config.server_record import Place, is_up, process_of, read_record
from nightjar.config.servers import check_room, keep_log_small, start, stop_server
from nightjar.config.settings import Settings

LOCK_S = 120.0
"""Longer than one server may take to start."""


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
    """up, down (never started or stopped), dead (it should be up)."""
    address: str | None
    pid: int | None
    version: str | None
    data: Path
    log: Path
    size_bytes: int
    since: str | None


def service_urls(settings: Settings) -> ServiceUrls:
    """The URLs to use; starts embedded servers that are not up. Raises ServiceError or OutputError."""
    return ServiceUrls(mongo=mongo_url(settings), redis=redis_url(settings))


def mongo_url(settings: Settings, *, lock_s: float = LOCK_S) -> SecretStr:
    """MongoDB's URL. If none is set, the embedded server's, which is started if it is not up. Raises ServiceError or
    OutputError.

    `lock_s`: how long to wait for another command that is starting or stopping it.
    """
    return settings.mongo_url or _ensure(mongod, settings, lock_s)


def redis_url(settings: Settings, *, lock_s: float = LOCK_S) -> SecretStr:
    """Redis's URL, in the same way."""
    return settings.redis_url or _ensure(redis_server, settings, lock_s)


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
    """Stops the embedded servers cleanly and waits for their end. Returns the names of those that were running."""
    if not _services(settings.home).is_dir():
        return []
    with _lock(settings.home):
        return [kind.name for kind in embedded_kinds(settings) if stop_server(kind, Place.of(kind, settings.home))]


def revive(settings: Settings) -> list[str]:
    """Restarts, at their old address, servers that should be up and have died; stopped ones stay so. Returns names."""
    revived = []
    for kind in embedded_kinds(settings):
        place = Place.of(kind, settings.home)
        if not _died(place):
            continue
        with _lock(settings.home):
            if _died(place):  # no other command was faster
                start(kind, place, settings)
                revived.append(kind.name)
    return revived


def status(settings: Settings) -> list[ServerStatus]:
    """The embedded servers, without those that have a URL. Starts nothing."""
    return [_status(kind, Place.of(kind, settings.home)) for kind in embedded_kinds(settings)]


def embedded_kinds(settings: Settings) -> list[Kind]:
    """The servers that no URL is set for."""
    kinds: list[tuple[Kind, SecretStr | None]] = [(mongod, settings.mongo_url), (redis_server, settings.redis_url)]
    return [kind for kind, url in kinds if url is None]


def _ensure(kind: Kind, settings: Settings, lock_s: float) -> SecretStr:
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
    url = SecretStr(kind.url(record.port, record.password))
    remember(url)
    return url


def _died(place: Place) -> bool:
    record = read_record(place)
    return record is not None and record.since is not None and not is_up(place, record)


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
        raise ServiceError(
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
    return ServerStatus(
        name=kind.name,
        state="up" if alive else "dead" if _died(place) else "down",
        address=f"127.0.0.1:{record.port}" if record else None,
        pid=process.pid if process else None,
        version=record.version if record else None,
        data=place.data,
        log=place.log,
        size_bytes=_size(place.data),
        since=record.since if record and alive else None,
    )


def _size(folder: Path) -> int:
    """Bytes on disk of the folder's content. The server may create and remove files meanwhile."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_blocks * 512
        except OSError:
            continue
    return total
